"""For whom something has moved since the sender last looked."""
