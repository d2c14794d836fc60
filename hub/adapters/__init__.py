"""How one feature sees another: the Protocols that leads and the outbox declare, over the rest."""
