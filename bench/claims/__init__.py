"""The race for a lead: how long a tap waits for the hub's decision when many tap at once."""
