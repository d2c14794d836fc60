"""The people of the network: who they are, where they work, who stands in, who is on duty.

Promises: a phone belongs to one person, who has not agreed to messages is offered nothing, and
whoever is away is stood in for by the deputy or by nobody. Must not know: leads, messages, HTTP.
"""
