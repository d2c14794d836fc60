"""A person and one of our numbers: when they last wrote, how answers to them are paced."""
