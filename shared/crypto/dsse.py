"""DSSE v1 pre-authentication encoding: what is signed names its type and its length."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes to sign for `payload` of `payload_type` (secure-systems-lab/dsse, protocol.md)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
