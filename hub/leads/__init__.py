"""Leads: from a customer's first words to the sale on the ledger.

A lead goes out to the reps of the nearest dealers at the same moment; one statement decides who
was first. Everything happens on the caller's connection, so that a decision, the messages it
causes and its entry for the ledger are stored together or not at all.
"""
