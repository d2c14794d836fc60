"""Qontak's CRM shows what the hub knows of leads: contact, deal, stage and notes.

A copy, never a source: nothing is read back from it but the ids of what we put there. It knows no
idempotency, so everything is looked for before it is made, and its id is kept.
"""
