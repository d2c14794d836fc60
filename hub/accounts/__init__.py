"""Who may sign in, and that they are who they say.

Promises: passwords are argon2id, tokens of sessions and links are stored as hashes only, a login
link works once, a TOTP code works once, guesses are limited per account and per address. Must not
know: HTTP, cookies, pages.
"""
