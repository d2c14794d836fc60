"""What vendors' webhooks bring: stored raw and answered at once, read and acted on afterwards.

Deliveries come at least once, in any order, for days. A body is stored as it came before it is
answered; what it holds is put into `incoming`'s words, acted on once, and kept for a while.
"""
