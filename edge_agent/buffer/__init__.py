"""The durable buffer between the sources and the hub.

It promises: what put() returned survives a power cut; nothing leaves without a receipt that the
caller verified; a loss is declared by an event in the commit that makes it; a damaged file is
kept and salvaged. It knows nothing of the network.
"""

from edge_agent.buffer.backlog import Backlog
from edge_agent.buffer.captures import (
    PRIORITY_OF,
    Activation,
    ActivationKey,
    Capture,
    Duplicate,
    Limits,
    Once,
    Priority,
    SealedBatch,
    Stored,
)
from edge_agent.buffer.connection import connect, connect_readonly
from edge_agent.buffer.reposition import Gap, Place, Span, Standing
from edge_agent.buffer.ring import RingPlace
from edge_agent.buffer.sealing import Sealer
from edge_agent.buffer.store import Buffer

__all__ = [
    "PRIORITY_OF",
    "Activation",
    "ActivationKey",
    "Backlog",
    "Buffer",
    "Capture",
    "Duplicate",
    "Gap",
    "Limits",
    "Once",
    "Place",
    "Priority",
    "RingPlace",
    "SealedBatch",
    "Sealer",
    "Span",
    "Standing",
    "Stored",
    "connect",
    "connect_readonly",
]
