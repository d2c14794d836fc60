"""Customers as persons: how to reach them, what they agreed to, what was said. Erasable.

Everything here is personal data; ids (cus_…) are what other features, the ledger and logs hold.
"""
