"""Regions, models, dealers and people: who may sell what, where, and when.

Promises: a file is imported whole or not at all (unless asked otherwise), a refusal names row,
column and next step, and importing the same file twice changes nothing the second time.
Must not know: HTTP, sales, devices, the ledger.
"""
