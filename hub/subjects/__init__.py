"""What the law gives a customer: to see all that is stored about them, and to have it taken away.

Knows every feature that holds personal data. Must not know: HTTP, portals.
"""
