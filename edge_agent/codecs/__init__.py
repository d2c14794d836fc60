"""Wire protocols of tills and scooters: one module each, bytes in, values out, no I/O.

Every decoder takes a stream in chunks of any size, finds the next good message after noise, and
raises nothing for any bytes.
"""

from edge_agent.codecs.catalogue import PROTOCOLS, UnknownProtocol, decode

__all__ = ["PROTOCOLS", "UnknownProtocol", "decode"]
