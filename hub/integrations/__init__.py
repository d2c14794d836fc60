"""The vendors' own words: each folder turns one vendor's webhooks and calls into the hub's words.

In: `incoming.Parsed` from a stored body. Out: an `outbox.messages.Channel`. A vendor's names, codes
and limits stay in its folder; nothing here decides what a message means or what is to be said.
"""
