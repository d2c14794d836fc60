"""The vault: personal data, encrypted, outside the ledger, deletable.

It stores what boxes encrypted to the hub, in the transaction that stores the batch; the ledger
holds only the hash. Erasing an item here leaves the ledger whole.
"""
