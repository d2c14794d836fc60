"""What goes out: decided in the transaction that decides it, sent afterwards, accounted for.

A row names what is to be said and about what, never the words: they are put together when it is
sent, so that an erased person, an expired offer or a new language is never a stale text.
"""
