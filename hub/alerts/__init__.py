"""What somebody must know or do: raised in the transaction that finds it, told apart by its key.

An alert that is raised again is counted, not doubled. Until tiers exist it is stored and listed
and pushes nothing.
"""
