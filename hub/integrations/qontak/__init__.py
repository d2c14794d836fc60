"""WhatsApp by Mekari Qontak: webhooks in, messages into rooms and broadcasts out, the CRM beside.

Qontak signs nothing and repeats our own messages to us; its webhooks are believed by the secret in
their address, and only what a customer wrote is a message. Whatever it may have done without
telling us is said to be unknown.
"""
