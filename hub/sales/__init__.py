"""What the ledger says was sold, undone and answered, and how every scooter is.

Promises: a deterministic fold of the ledger; folding it in any chunks, or again from the start,
gives the same rows. Nothing is unsaid: a void or a return is a row of its own beside its sale.
Must not know: HTTP, time of day, registry or devices; a buyer is a commitment and nothing more.
"""
