"""What happened to each lead, in its order."""
