"""The hub's keys: made once by `init`, read by everything else."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from hub.config import ServerConfig
from hub.errors import ConfigError
from hub.key_history import KeyHistory, read_history
from shared.checkpoint import NoteSigner
from shared.crypto.encryption import DecryptionKey
from shared.crypto.keys import BadKey, KeySet, SigningKey, root_fingerprint
from shared.generation import origin_of

CONTACTS = "contacts.key"


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


def load_keys(server: ServerConfig) -> HubKeys:
    """Read all keys. Raises ConfigError with the next step."""
    folder = server.keys_dir
    try:
        root = SigningKey.load(folder / "root.pem")
        http = SigningKey.load(folder / "http.pem")
        ledger = SigningKey.load(folder / "ledger.pem")
        encryption = DecryptionKey.load(folder / "encryption.pem")
        contacts = bytes.fromhex((folder / CONTACTS).read_text(encoding="ascii"))
    except FileNotFoundError as error:
        raise ConfigError(f"{error.filename} is missing: run `kickstand-hub init` first") from error
    except (BadKey, OSError, ValueError) as error:
        raise ConfigError(f"keys in {folder}: {error}") from error
    history = read_history(folder, name=server.origin, root=root.public)
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
