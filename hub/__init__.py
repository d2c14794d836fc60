"""The hub: takes sealed batches, keeps the ledger, and lets everything else follow from it."""
