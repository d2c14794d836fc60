"""The single-file verifier: what an auditor runs on a machine of their own.

`kickstand_verify.py` imports nothing of ours and only `cryptography` from outside; nothing of
ours imports it, so that it stays a second, independent reading of the format.
"""
