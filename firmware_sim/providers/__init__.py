"""The vendors the hub talks to, as they behave: each an HTTP server on this machine.

They enforce what the real ones enforce and can fail before and after taking effect. Nothing here
knows the hub: it is told an address for webhooks and answers whoever calls.
"""
