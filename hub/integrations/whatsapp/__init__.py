"""WhatsApp straight from Meta (Cloud API): webhooks in, messages and templates out.

Whatever the network or Meta does is an answer here, never an exception: a body that cannot be read
is a problem with its place, a send that was refused is an action for the sender. What Meta may have
done without telling us is said to be unknown.
"""
