"""The hub's keys: made once by `init`, read by everything else."""

import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hub.config import ServerConfig
from hub.errors import ConfigError
from hub.key_history import HISTORY, KeyHistory, read_history, write_history
from shared.checkpoint import NoteKey, NoteSigner
from shared.crypto.encryption import DecryptionKey
from shared.crypto.keys import BadKey, KeySet, PublicKey, SigningKey, root_fingerprint
from shared.generation import origin_of

CONTACTS = "contacts.key"
Rotating = Literal["http", "ledger"]
"""Keys that can be followed by new ones; the root key is what all of them rest on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubKeys:
    """Private keys of a hub. `root` signs only the key set and can live elsewhere later."""

    root: SigningKey
    http: SigningKey
    ledger: SigningKey
    encryption: DecryptionKey
    contacts: bytes
    """32 secret bytes: whoever is erased stays opted out by a hash that only this key gives."""
    signer: NoteSigner
    keyset: KeySet
    history: KeyHistory

    @property
    def http_ever(self) -> tuple[PublicKey, ...]:
        """Every key that has sealed facts of the hub, the one in use last."""
        return self.history.http or (self.http.public,)

    @property
    def ledger_ever(self) -> tuple[NoteKey, ...]:
        """Every key that has signed tree heads, under the newest generation's origin."""
        known = self.history.ledger or (self.ledger.public,)
        return tuple(NoteKey(self.signer.verifier.name, key) for key in known)

    @property
    def fingerprint(self) -> str:
        """Of the root key, as invitations carry it."""
        return root_fingerprint(self.root.public)


def create_keys(folder: Path) -> bool:
    """Make missing keys in `folder` (mode 0700); False when all were there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = False
    for name in ("root", "http", "ledger"):
        if not (folder / f"{name}.pem").exists():
            SigningKey.generate().save(folder / f"{name}.pem")
            made = True
    if not (folder / "encryption.pem").exists():
        DecryptionKey.generate().save(folder / "encryption.pem")
        made = True
    if not (folder / CONTACTS).exists():
        _save_secret(folder / CONTACTS, secrets.token_hex(32))
        made = True
    return made


def _save_secret(path: Path, text: str) -> None:
    """Write a new file only we may read; all of it is on disk on return."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _newest(folder: Path, name: str, known: tuple[PublicKey, ...]) -> SigningKey:
    """The key that the history names last; its file is put in place if that was cut short."""
    path, waiting = folder / f"{name}.pem", folder / f"{name}.next.pem"
    key = SigningKey.load(path)
    if not known or key.public == known[-1]:
        return key
    if waiting.exists() and SigningKey.load(waiting).public == known[-1]:
        waiting.replace(path)
        return SigningKey.load(path)
    raise ConfigError(f"{path} is not the key that {HISTORY} names: put its newest copy back")


def rotate_key(server: ServerConfig, name: Rotating) -> HubKeys:
    """Give the hub a new http or ledger key; the old public key stays known. Durable on return.

    The history decides: cut before it is written, nothing has happened; after it, whoever reads
    the keys next puts the new file in place. Raises ConfigError.
    """
    keys = load_keys(server)
    waiting = server.keys_dir / f"{name}.next.pem"
    # One that waits was never told to anybody.
    waiting.unlink(missing_ok=True)
    new = SigningKey.generate()
    new.save(waiting)
    history = replace(keys.history, version=keys.history.version + 1)
    if name == "http":
        history = replace(history, http=(*keys.http_ever, new.public))
    else:
        before = keys.history.ledger or (keys.ledger.public,)
        history = replace(history, ledger=(*before, new.public))
    write_history(server.keys_dir, history)
    return load_keys(server)


def load_keys(server: ServerConfig) -> HubKeys:
    """Read all keys. Raises ConfigError with the next step."""
    folder = server.keys_dir
    try:
        root = SigningKey.load(folder / "root.pem")
        history = read_history(folder, name=server.origin, root=root.public)
        http = _newest(folder, "http", history.http)
        ledger = _newest(folder, "ledger", history.ledger)
        encryption = DecryptionKey.load(folder / "encryption.pem")
        contacts = bytes.fromhex((folder / CONTACTS).read_text(encoding="ascii"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"[server] keys_dir: {error.filename} is missing: run `kickstand-hub init` first"
        ) from error
    except (BadKey, OSError, ValueError) as error:
        raise ConfigError(f"[server] keys_dir: {folder}: {error}") from error
    signer = NoteSigner(origin_of(server.origin, history.generation), ledger)
    keyset = KeySet.sign(
        name=server.authority,
        version=history.version,
        root=root,
        http=http.public,
        ledger_vkey=signer.verifier.vkey,
        encryption=encryption.public,
        generations=[opening.values() for opening in history.openings],
    )
    return HubKeys(
        root=root,
        http=http,
        ledger=ledger,
        encryption=encryption,
        contacts=contacts,
        signer=signer,
        keyset=keyset,
        history=history,
    )
