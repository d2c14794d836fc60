"""What delivery needs of the network. hub_link.HubLink provides it; a simulator may too."""

from collections.abc import Mapping
from typing import Any, Protocol

from shared.crypto.keys import SigningKey


class Answered(Protocol):
    """A proven answer."""

    @property
    def status(self) -> int:
        """The HTTP status, 2xx."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header names in lower case."""
        ...

    @property
    def body(self) -> bytes:
        """The answer's bytes."""
        ...


class Link(Protocol):
    """A lane's line to the hub. Every method raises HubUnreachable or HubRefused."""

    @property
    def tallies(self) -> Mapping[str, int]:
        """Since the start: ``unproven`` answers and ``refused`` ones."""
        ...

    def post_batch(self, body: bytes, *, known: int | None, wait_s: int) -> Answered:
        """200 with a receipt, or 202."""
        ...

    def get_batch(self, batch_id: str, *, known: int | None) -> Answered:
        """200 with a receipt, or 202."""
        ...

    def receipts(self, lane: str, gen: int, first_n: int, last_n: int) -> dict[str, Any]:
        """Runs of capture numbers that stand on the ledger."""
        ...

    def head(self) -> dict[str, Any]:
        """Where the hub believes this box to be."""
        ...

    def open_epoch(
        self, *, close: int, nonce: str, reason: str, above: int | None = None
    ) -> dict[str, Any]:
        """The head of a new epoch, greater than `above`."""
        ...

    def batch_body(self, batch_id: str) -> bytes:
        """A whole batch of this box as the hub took it."""
        ...

    def show_checkpoint(self, checkpoint: str) -> dict[str, Any]:
        """What a hub with fewer entries than this signed tree head wants back."""
        ...

    def give_back(self, body: bytes, *, first_index: int, received_ms: int) -> None:
        """A batch of the ring and the place that its receipt proved."""
        ...

    def cosign(self, line: str, size: int) -> None:
        """Vouch for a checkpoint."""
        ...

    def rotate(self, rotation: Mapping[str, object], *, key: SigningKey) -> dict[str, Any]:
        """Name the box's next key, in a request that `key` signs."""
        ...

    def renew_keys(self) -> None:
        """Fetch the hub's key set anew."""
        ...

    def use_key(self, key: SigningKey) -> None:
        """Sign with this key from now on."""
        ...

    def learn_time(self) -> bool:
        """Take the hub's time."""
        ...
