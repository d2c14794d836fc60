"""Keys, encryption to the hub, and commitments. Nothing here knows what it protects."""
