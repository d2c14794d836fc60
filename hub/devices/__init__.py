"""The boxes: who they are, what they deliver, how they are.

Refuses at the door only what must be: a bad signature, malformed bytes, an unknown device.
Whatever is validly sealed goes on the ledger, and everything shown here is folded from it.
"""
