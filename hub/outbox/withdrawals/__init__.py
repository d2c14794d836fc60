"""What is not to be said any more."""
