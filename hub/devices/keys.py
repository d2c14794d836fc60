"""The boxes' keys: one is the newest, the one before it is taken for a while longer.

A seal is good iff its key was active where its batch stands on the ledger. The door reads keys
ahead of that place, so the sequencer asks again (`unfit`) inside the transaction that decides it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from hub.devices import store
from hub.devices.store import DeviceKey, Enrolled
from hub.errors import Refused
from hub.ledger.sequencer import FACTS_MAX
from hub.ledger.service import Ledger
from hub.store import Database
from shared.clock import Clock
from shared.crypto.keys import BadSignature, PublicKey, b64url
from shared.crypto.rotation import Rotation
from shared.http_signatures import SignatureRefused
from shared.wire import batch as wire

KEY_CACHE_MS = 2000
"""How long a key is believed without asking the database: the delay of a suspension."""
RETIRE_LOOK_MS = 1000
USABLE = ("active", "retiring")
BEGINNINGS = ("device.enrolled", "key.added")
"""Facts from whose place on a key may seal."""
REASON_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cached:
    enrolled: Enrolled
    key: PublicKey
    at_ms: int


class DeviceKeys:
    """Finds, follows and ends the keys of boxes."""

    def __init__(self, database: Database, ledger: Ledger, *, clock: Clock, overlap_s: int) -> None:
        """`overlap_s`: how long a key that was followed by another is still taken."""
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._overlap_ms = overlap_s * 1000
        self._cache: dict[str, _Cached] = {}
        self._on_ledger: set[str] = set()
        self._looked_mono_ms: int | None = None

    def find(self, keyid: str) -> tuple[Enrolled, PublicKey]:
        """The active device of a key.

        Raises SignatureRefused key-unknown, key-retired, key-revoked or suspended.
        """
        now_ms = self._clock.mono_ms()
        cached = self._cache.get(keyid)
        if cached is None or now_ms - cached.at_ms > KEY_CACHE_MS:
            with self._database.read() as connection:
                enrolled = store.find_key(connection, keyid)
            if enrolled is None:
                self._cache.pop(keyid, None)
                raise SignatureRefused("key-unknown", "no device has this key; enrol the box")
            cached = _Cached(enrolled=enrolled, key=PublicKey(enrolled.public_key), at_ms=now_ms)
            self._cache[keyid] = cached
        state, key_state = cached.enrolled.state, cached.enrolled.key_state
        if state == "suspended":
            raise SignatureRefused("suspended", "this device is suspended; ask head office")
        if state != "active" or key_state == "revoked":
            raise SignatureRefused("key-revoked", "this device or its key is revoked")
        if key_state == "retired":
            raise SignatureRefused("key-retired", "a newer key of this device has followed it")
        return cached.enrolled, cached.key

    def of_seal(self, device: Enrolled, body: wire.Body) -> str:
        """Key id of the box's key that sealed a batch. Raises Refused.

        Any key the box ever had: whether it may still seal is decided where the batch is placed,
        and a batch that stands already is answered whatever became of its key.
        """
        if _sealed(body, device.public_key):
            return device.keyid
        return self.of_device(device.device, body)

    def of_device(self, device: str, body: wire.Body) -> str:
        """Key id of the key of a box, by its id, that sealed a batch. Raises Refused."""
        with self._database.read() as connection:
            keys = store.keys_of(connection, device)
        for key in keys:
            if _sealed(body, key.public_key):
                return key.keyid
        raise Refused(400, "seal-invalid", "no key of this box made the seal")

    def unfit(self, connection: Connection, keyids: Collection[str]) -> Mapping[str, Refused]:
        """Which of these keys may seal nothing that this transaction places, and why."""
        states = store.key_states(connection, keyids)
        waiting: set[object] = set()
        if not states.keys() <= self._on_ledger:
            facts = self._ledger.waiting(connection, BEGINNINGS)
            waiting = {fact.get("keyid") for fact in facts}
        found: dict[str, Refused] = {}
        for keyid, state in states.items():
            if keyid in waiting:
                found[keyid] = Refused(503, "busy", "this key is not on the ledger yet")
                continue
            self._on_ledger.add(keyid)
            if state not in USABLE:
                found[keyid] = Refused(
                    403, "seal-retired", "sealed with a key that is no longer active"
                )
        return found

    def rotate(self, device: Enrolled, rotation: Rotation) -> dict[str, object]:
        """Make the rotation's key the newest of the box; again: the same answer. Raises Refused.

        On the ledger as ``key.added``, with both signatures, before the answer.
        """
        if rotation.device != device.device:
            raise Refused(403, "device-mismatch", "a box speaks for itself")
        now_ms = self._clock.wall_ms()
        answer: dict[str, object] = self._database.write(
            lambda connection: self._rotate(connection, device, rotation, now_ms)
        )
        self._cache.clear()
        self.place_facts()
        return answer

    def _rotate(
        self, connection: Connection, device: Enrolled, rotation: Rotation, now_ms: int
    ) -> dict[str, object]:
        self._ledger.sequencer.refuse_read_only(connection)
        retires_ms = now_ms + self._overlap_ms
        keys = {key.keyid: key for key in store.keys_of(connection, device.device)}
        old, new = keys.get(rotation.old), keys.get(rotation.new.keyid)
        same = new is not None and new.follows == rotation.old and new.state in USABLE
        if same and new is not None and old is not None:
            # Its first answer was lost on the way.
            return _answer(device.device, new.keyid, old.keyid, old.retires_ms)
        if new is not None or store.find_key(connection, rotation.new.keyid) is not None:
            raise Refused(409, "key-used", "this key was used before; make a new one")
        if old is None or device.keyid != rotation.old:
            raise Refused(409, "key-superseded", "only the newest key can name the next")
        try:
            rotation.verify(PublicKey(old.public_key))
        except BadSignature as error:
            raise Refused(400, "malformed-key", f"rotation: {error}") from error
        self._ledger.append(
            connection,
            "key.added",
            {
                "device": device.device,
                "dealer": device.dealer,
                "keyid": rotation.new.keyid,
                "public_key": b64url(rotation.new.raw),
                **rotation.values(),
            },
            now_ms=now_ms,
        )
        key = DeviceKey(
            keyid=rotation.new.keyid,
            device=device.device,
            public_key=rotation.new.raw,
            state="active",
            follows=rotation.old,
            retires_ms=None,
        )
        if not store.follow_key(connection, key, now_ms=now_ms, retires_ms=retires_ms):
            raise Refused(409, "key-superseded", "only the newest key can name the next")
        return _answer(device.device, key.keyid, rotation.old, retires_ms)

    def place_facts(self) -> None:
        """Give pending facts their places: who reads the ledger meets a key before its seals."""
        while self._ledger.sequencer.sequence_facts() == FACTS_MAX:
            continue

    def retire_due(self) -> int:
        """End the keys whose overlap is over, each as ``key.retired``; how many there were."""
        mono_ms = self._clock.mono_ms()
        if self._looked_mono_ms is not None and mono_ms - self._looked_mono_ms < RETIRE_LOOK_MS:
            return 0
        self._looked_mono_ms = mono_ms
        now_ms = self._clock.wall_ms()
        with self._database.read() as connection:
            if not store.keys_due(connection, now_ms):
                return 0

        def retire(connection: Connection) -> int:
            due = store.keys_due(connection, now_ms)
            return sum(self._end(connection, key, "retired", now_ms=now_ms) for key in due)

        ended: int = self._database.write(retire)
        self._cache.clear()
        return ended

    def revoke(self, device: str, *, reason: str, keyid: str | None = None) -> int:
        """End one key of a box, or all of them and the box with them; how many ended.

        What they sealed before stays as it is: a seal is judged where it stands. Raises Refused
        for a box or key that there is not.
        """
        now_ms = self._clock.wall_ms()

        def revoke(connection: Connection) -> int:
            keys = store.keys_of(connection, device)
            chosen = [key for key in keys if keyid in {None, key.keyid}]
            if not chosen:
                raise Refused(404, "key-unknown", f"no such box or key: {keyid or device}")
            ended = sum(
                self._end(connection, key, "revoked", now_ms=now_ms, reason=reason[:REASON_CHARS])
                for key in chosen
            )
            if not any(key.state in USABLE for key in keys if key not in chosen):
                store.set_device_state(connection, device, "revoked")
            return ended

        ended: int = self._database.write(revoke)
        self._cache.clear()
        return ended

    def set_suspended(self, device: str, *, suspended: bool, reason: str) -> bool:
        """Let a box in no longer, or again; False when it was so already.

        It keeps what it has meanwhile. Raises Refused for a box that there is not, or is revoked.
        """
        now_ms = self._clock.wall_ms()
        state, before = ("suspended", "active") if suspended else ("active", "suspended")

        def change(connection: Connection) -> bool:
            if not store.keys_of(connection, device):
                raise Refused(404, "key-unknown", f"no such box: {device}")
            if store.move_device_state(connection, device, state, before=before):
                kind = "device.suspended" if suspended else "device.resumed"
                values = {"device": device, "reason": reason[:REASON_CHARS]}
                self._ledger.append(connection, kind, values, now_ms=now_ms)
                return True
            if store.device_state(connection, device) != state:
                raise Refused(409, "key-revoked", f"{device} is revoked, for ever")
            return False

        changed: bool = self._database.write(change)
        self._cache.clear()
        return changed

    def _end(
        self, connection: Connection, key: DeviceKey, state: str, *, now_ms: int, **more: object
    ) -> int:
        if not store.end_key(connection, key.keyid, state=state):
            return 0
        values = {"device": key.device, "keyid": key.keyid, **more}
        self._ledger.append(connection, f"key.{state}", values, now_ms=now_ms)
        return 1


def _answer(device: str, keyid: str, old: str, retires_ms: int | None) -> dict[str, object]:
    return {"device": device, "keyid": keyid, "old": old, "retires_ms": retires_ms}


def _sealed(body: wire.Body, public_key: bytes) -> bool:
    try:
        wire.verify_seal(body.statement_bytes, body.seal, PublicKey(public_key))
    except BadSignature:
        return False
    return True
