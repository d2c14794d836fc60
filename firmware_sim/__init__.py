"""Simulated hardware: tills on ptys, scooters on MQTT, whole stores and a network of them.

Promises: every byte that leaves a simulated device is written by this package alone, never by
the agent's own codecs, so that each side checks the other; and every simulated device keeps a
list of what it really did, against which the ledger can be compared.
May import the programs and `shared`; nothing imports this package.
"""
