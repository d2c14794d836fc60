"""Following the box's key with a new one, while everything else goes on.

The new key is on disk before the hub hears of it and takes the old one's place only after the
hub's proven answer. Cut anywhere, the box sends the same rotation again and gets the same answer.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from edge_agent.buffer import Buffer
from edge_agent.delivery.link import Link
from edge_agent.errors import AnswerUnproven, HubRefused, NotEnrolled
from edge_agent.timekeeping import Timekeeper
from shared.clock import Clock
from shared.crypto.keys import SigningKey
from shared.crypto.rotation import Rotation

OnEvent = Callable[[str, Mapping[str, object]], None]
KEY_SINCE = "key_since"
DAY_S = 86_400
AGAIN_MS = 600_000
"""After a refusal the hub is asked again this late: it may have been mended."""
USELESS = {"key-used", "key-superseded"}
"""The hub will never take this key, and never has."""


class KeyFolder(Protocol):
    """Where the box keeps its next key. identity.KeyFiles provides it."""

    def waiting(self) -> SigningKey | None:
        """The next key, if one was made. Raises NotEnrolled when it cannot be read."""
        ...

    def make(self) -> None:
        """Make the next key, durable on return; one that waits already stays."""
        ...

    def adopt(self) -> None:
        """Put the next key in the place of the key, durable on return."""
        ...

    def drop(self) -> None:
        """Forget the next key."""
        ...


class KeyRotation:
    """The box's key and how it changes. Its methods run on one lane's thread at a time."""

    def __init__(
        self,
        key: SigningKey,
        folder: KeyFolder | None,
        *,
        device: str,
        links: Mapping[str, Link],
        clock: Clock,
        on_event: OnEvent,
    ) -> None:
        """Without `folder` the key never changes."""
        self.key = key
        self._folder = folder
        self._device = device
        self._links = links
        self._clock = clock
        self._on_event = on_event
        self._refused_mono_ms: int | None = None

    def make_due(self, buffer: Buffer, timekeeper: Timekeeper, days: int) -> None:
        """Make the next key when this one has served `days` by a trusted clock; 0: never."""
        now_s = timekeeper.authenticated_s()
        if not days or now_s is None or self._folder is None:
            return
        keyid, _, since = (buffer.recall(KEY_SINCE) or "").partition(" ")
        if keyid != self.key.public.keyid:
            buffer.remember(KEY_SINCE, f"{self.key.public.keyid} {now_s}")
        elif now_s - int(since) >= days * DAY_S:
            self._folder.make()

    def follow(self, link: Link, *, retired: bool = False) -> bool:
        """Send the next key, if one waits; whether it is the box's key now.

        `retired`: the hub no longer knows the old key, so the new one signs the request: its
        first answer was lost for the whole overlap. Raises HubUnreachable.
        """
        if self._folder is None or (self._resting() and not retired):
            return False
        try:
            new = self._folder.waiting()
            if new is None:
                return False
            self._send(link, new, retired=retired)
        except HubRefused as refusal:
            if refusal.code == "key-retired" and not retired:
                return self.follow(link, retired=True)
            self._refused_mono_ms = self._clock.mono_ms()
            if refusal.code in USELESS:
                self._folder.drop()
            self._on_event("key_refused", {"code": refusal.code})
            return False
        except NotEnrolled as error:
            self._refused_mono_ms = self._clock.mono_ms()
            self._on_event("key_unreadable", {"why": str(error)})
            return False
        # Power lost before this: the old key is in its place and sends the same again.
        self._folder.adopt()
        self.key = new
        for each in self._links.values():
            each.use_key(new)
        self._on_event("key_rotated", {"keyid": new.public.keyid})
        return True

    def _resting(self) -> bool:
        last = self._refused_mono_ms
        return last is not None and self._clock.mono_ms() - last < AGAIN_MS

    def _send(self, link: Link, new: SigningKey, *, retired: bool) -> None:
        rotation = Rotation.sign(self._device, old=self.key, new=new)
        answer = link.rotate(rotation.values(), key=new if retired else self.key)
        if answer.get("keyid") != new.public.keyid:
            raise AnswerUnproven("the hub's answer names another key than was sent")
