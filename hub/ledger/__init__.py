"""The ledger: an RFC 6962 tree over every event, in the order the sequencer gave it.

Promises: what it acknowledged is on disk, never changes, and can be proven to anybody who holds
the ledger's public key. It knows nothing of what its entries mean to other features.
"""
