"""Signing and verifying one request of 25 kB: our fixed profile beside http-message-signatures.

python -m bench.http_signatures
"""

import statistics
import time
from collections.abc import Callable

from shared import http_signatures as ours
from shared.crypto.keys import SigningKey
from tests.checks import http_library

ROUNDS = 9
REPEATS = 100
SEED = b"\x01" * 32
NONCE = "AAECAwQFBgcICQoLDA0ODw"


def main() -> None:
    """Print medians of interleaved rounds and their ratio."""
    key, body = SigningKey.from_seed(SEED), b"x" * 25_000
    now_s = time.time_ns() // 10**9
    plain = {"content-type": "application/json"}

    def request(headers: dict[str, str]) -> ours.Request:
        return ours.Request(
            method="POST",
            authority="hub.example",
            path="/v1/batches",
            query="",
            headers=headers,
            body=body,
        )

    def by_hand() -> None:
        signed = ours.sign_request(request(plain), key, now_s=now_s, nonce=NONCE)
        ours.verify_request(
            request({**plain, **signed}),
            authority="hub.example",
            key_of=lambda _keyid: key.public,
            now_s=now_s,
        )

    names = [name.strip('"') for name in ours.request_components(body)]
    one = http_library.OneKey(key.public.keyid, seed=SEED, public=key.public.raw)

    def by_library() -> None:
        headers = {**plain, "hub-request-id": NONCE, "content-digest": ours.content_digest(body)}
        message = http_library.LibraryRequest("POST", "https://hub.example/v1/batches", headers)
        http_library.sign(
            message,
            one,
            label="agent",
            tag=ours.AGENT_TAG,
            covered=names,
            created_s=now_s,
            expires_s=now_s + 300,
            nonce=NONCE,
        )
        ours.check_digest(headers["content-digest"], body)
        http_library.verify(message, one, tag=ours.AGENT_TAG, max_age_s=300)

    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        mine.append(measure(by_hand))
        theirs.append(measure(by_library))
    hand, library = statistics.median(mine), statistics.median(theirs)
    print(
        f"sign + verify: ours {hand:.0f} us, library {library:.0f} us, {library / hand:.1f} x ours"
    )


def measure(work: Callable[[], None]) -> float:
    """µs of CPU per call."""
    began = time.process_time()
    for _ in range(REPEATS):
        work()
    return (time.process_time() - began) / REPEATS * 1e6


if __name__ == "__main__":
    main()
