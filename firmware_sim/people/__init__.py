"""Customers and reps who only ever see WhatsApp: seeded actors on the simulated network.

They know the hub by what it writes to them and by the ids of its buttons, nothing else; what they
have seen is the list that a run is judged by.
"""
