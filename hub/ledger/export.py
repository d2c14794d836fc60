"""One entry as a file that proves itself: what `verifier/kickstand_verify.py` reads.

It is a C2SP tlog-proof v1 whose `extra` line carries the leaf and, when the sealing key is given,
the seal of the batch with the event's place in it. docs/verify.md says how it is checked.
"""

import orjson

from hub.ledger.service import EntryProof
from shared import merkle
from shared.checkpoint import to_base64

HEADER = "c2sp.org/tlog-proof@v1\n"


def exported(proof: EntryProof, *, key: bytes | None) -> str:
    """The text of the file. `key` is the public key that sealed the batch, 32 raw bytes.

    Without it the file proves that the entry stands on the ledger, not who sealed it. The file
    holds the whole event: give it only to people who may read the entry.
    """
    extra: dict[str, object] = {"v": 1, "leaf": to_base64(proof.leaf)}
    if key is not None:
        batch = proof.batch
        place = proof.index - batch.first_index
        extra["seal"] = {
            "statement": to_base64(batch.statement),
            "seal": to_base64(batch.seal),
            "key": to_base64(key),
            "index": place,
            "path": [to_base64(step) for step in event_path(batch.events, place)],
        }
    rest = proof.tlog_proof.removeprefix(HEADER)
    return f"{HEADER}extra {to_base64(orjson.dumps(extra))}\n{rest}"


def event_path(events: tuple[bytes, ...], place: int) -> list[bytes]:
    """The RFC 6962 path from one event to the root its batch's statement names."""
    hashes = [merkle.leaf_hash(event) for event in events]

    def node(level: int, index: int) -> bytes:
        return merkle.root_of(hashes[index << level : (index + 1) << level])

    return merkle.range_proof(place, place + 1, len(hashes), node)
