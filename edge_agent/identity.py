"""Who this box is: its key, made here and never leaving, and the hub it trusts."""

import json
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.errors import EnrolmentRefused, NotEnrolled
from shared.checkpoint import MalformedNote, NoteKey
from shared.crypto.keys import (
    BadKey,
    KeySet,
    MalformedKeySet,
    PublicKey,
    SigningKey,
    root_fingerprint,
)
from shared.generation import MalformedOpening, Opening, read_chain, shared_size
from shared.identifiers import DEVICE_ID

KEY_FILE = "key.pem"
NEXT_KEY_FILE = "key.next.pem"
IDENTITY_FILE = "identity.json"
FINGERPRINT_CHARS = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An enrolled box. `keyset` is the hub's, signed by the root key of the invitation."""

    key: SigningKey
    device: str
    dealer: str
    hub_url: str
    keyset: KeySet

    @property
    def log_key(self) -> NoteKey:
        """The key that signs the ledger's checkpoints."""
        return NoteKey.parse(self.keyset.ledger_vkey)

    @property
    def openings(self) -> tuple[Opening, ...]:
        """The later generations of the ledger, each opened by the root key."""
        return _openings(self.keyset)


def _openings(keyset: KeySet) -> tuple[Opening, ...]:
    """Raises MalformedOpening or MalformedNote."""
    origin = NoteKey.parse(keyset.ledger_vkey).name
    return read_chain(keyset.generations, origin=origin, root=keyset.root)


class HubTrust:
    """The hub's key set as this box believes it: of one root, its version only ever growing.

    Safe from any thread; a newer set is on disk before anything rests on it.
    """

    def __init__(
        self,
        state_dir: Path,
        identity: Identity,
        *,
        on_event: Callable[[str, Mapping[str, object]], None] = lambda _event, _fields: None,
    ) -> None:
        """Begin with the set that is on disk."""
        self._state_dir = state_dir
        self._identity = identity
        self._on_event = on_event
        self._lock = threading.Lock()
        self.listeners: list[Callable[[Identity], None]] = []
        """Called after a newer set was taken."""

    def renew(self, body: bytes) -> Mapping[str, PublicKey] | None:
        """Take an answer of ``GET /v1/keys``: the http keys now believed, or None if refused.

        The set proves itself: only the root of the invitation can have signed it.
        """
        with self._lock:
            known = self._identity.keyset
            try:
                found = KeySet.parse(body, fingerprint=root_fingerprint(known.root))
                same_ledger = _follows(known, found)
            except (MalformedKeySet, MalformedNote, MalformedOpening) as error:
                return self._refused(str(error))
            if found.text == known.text:
                # Another line has taken it, or nothing has changed.
                return known.http
            if found.version <= known.version:
                return self._refused(f"version {found.version} after {known.version}")
            if found.name != known.name or not same_ledger:
                return self._refused("of another hub or ledger")
            newer = replace(self._identity, keyset=found)
            try:
                save(self._state_dir, newer)
            except OSError as error:
                return self._refused(f"cannot be kept: {error}")
            self._identity = newer
            for listener in self.listeners:
                listener(newer)
        self._on_event("keyset_renewed", {"version": found.version})
        return found.http

    def _refused(self, why: str) -> Mapping[str, PublicKey] | None:
        self._on_event("keyset_refused", {"why": why})
        return None


def _follows(known: KeySet, found: KeySet) -> bool:
    """Whether `found` is of the same ledger, or of a later generation that the root key opened."""
    before, after = _openings(known), _openings(found)
    if [each.text for each in before] != [each.text for each in after[: len(before)]]:
        return False
    origin = NoteKey.parse(known.ledger_vkey).name
    same = NoteKey.parse(found.ledger_vkey).name == origin
    return same or shared_size(after, origin) is not None


def own_key(state_dir: Path) -> SigningKey:
    """The box's key, made on first use: mode 0600, durable. Raises NotEnrolled if unreadable."""
    path = state_dir / KEY_FILE
    if not path.exists():
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # If another process was faster, its key is the box's key.
        with suppress(FileExistsError):
            SigningKey.generate().save(path)
    try:
        return SigningKey.load(path)
    except (BadKey, OSError) as error:
        raise NotEnrolled(f"{path} cannot be used: {error}") from error


class KeyFiles:
    """The box's key and the next one beside it. That the next one is there is the wish to use it.

    After a power cut at any point there is the old key with or without a next one, or the new
    key: never none.
    """

    def __init__(self, state_dir: Path) -> None:
        """Touch nothing yet."""
        self._state_dir = state_dir
        self._next = state_dir / NEXT_KEY_FILE

    def waiting(self) -> SigningKey | None:
        """The next key, if one was made. Raises NotEnrolled when it cannot be read."""
        try:
            return SigningKey.load(self._next)
        except FileNotFoundError:
            return None
        except (BadKey, OSError) as error:
            raise NotEnrolled(f"{self._next} cannot be used: {error}") from error

    def make(self) -> None:
        """Make the next key: mode 0600, durable. One that waits already stays."""
        with suppress(FileExistsError):
            SigningKey.generate().save(self._next)

    def adopt(self) -> None:
        """Put the next key in the place of the key, durable on return."""
        self._next.replace(self._state_dir / KEY_FILE)
        _sync(self._state_dir)

    def drop(self) -> None:
        """Forget the next key."""
        self._next.unlink(missing_ok=True)
        _sync(self._state_dir)


def load(state_dir: Path) -> Identity:
    """The identity of an enrolled box. Raises NotEnrolled."""
    path = state_dir / IDENTITY_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        keyset = KeySet.parse(values["keys"].encode(), fingerprint=values["fingerprint"])
        _openings(keyset)
        if DEVICE_ID.fullmatch(values["device"]) is None:
            raise NotEnrolled(f"{path} names no device")
        return Identity(
            key=own_key(state_dir),
            device=values["device"],
            dealer=values["dealer"],
            hub_url=values["hub_url"],
            keyset=keyset,
        )
    except FileNotFoundError:
        raise NotEnrolled(
            f"no {path}: run `kickstand-agent enroll --hub URL --code CODE` first"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotEnrolled(f"{path} cannot be used: {error}") from error


def save(state_dir: Path, identity: Identity) -> None:
    """Write the identity; after a power cut there is the old file or the new one, whole."""
    path = state_dir / IDENTITY_FILE
    text = json.dumps(
        {
            "device": identity.device,
            "dealer": identity.dealer,
            "hub_url": identity.hub_url,
            "fingerprint": root_fingerprint(identity.keyset.root),
            "keys": identity.keyset.encode().decode(),
        },
        indent=1,
    )
    draft = path.with_name(path.name + ".new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    _sync(state_dir)


def _sync(state_dir: Path) -> None:
    folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def split_code(code: str) -> tuple[str, str]:
    """The two parts of ``<invitation>.<root fingerprint>``. Raises EnrolmentRefused."""
    invitation, dot, fingerprint = code.strip().rpartition(".")
    if not dot or not invitation or len(fingerprint) != FINGERPRINT_CHARS:
        raise EnrolmentRefused(
            "the code must be copied whole: <invitation>.<26 characters of fingerprint>"
        )
    return invitation, fingerprint.lower()


def check_keyset(body: bytes, fingerprint: str) -> KeySet:
    """The hub's key set. Raises EnrolmentRefused unless the invitation's root signed it."""
    try:
        keyset = KeySet.parse(body, fingerprint=fingerprint)
        _openings(keyset)
    except (MalformedKeySet, MalformedNote, MalformedOpening) as error:
        raise EnrolmentRefused(
            f"this is not the hub that invited the box ({error}): check the address and the code"
        ) from error
    return keyset
