"""A seeded simulation of boxes, network and hub under every fault we can think of.

Promises: one seed is one course of events, replayable; agent and hub run their real step functions
over real SQLite files; after the faults end, everything is checked against what really happened.
Simulated: the disk's commits, the network, the clocks, and who pulls the plug.
"""

from firmware_sim.chaos.command import main

__all__ = ["main"]
