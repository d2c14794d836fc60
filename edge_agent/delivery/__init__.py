"""Delivery: sealed batches go to the hub until a receipt proves that they stand on the ledger.

It promises: the same bytes every time, one batch of a lane at a time, nothing freed without a
verified receipt, no storm after an outage. It knows nothing of sources.
"""

from edge_agent.delivery.lanes import Delivery, Settings
from edge_agent.delivery.link import Link

__all__ = ["Delivery", "Link", "Settings"]
