"""The hub's four keys: made once by `init`, read by everything else."""

from dataclasses import dataclass
from pathlib import Path

from hub.config import ServerConfig
from hub.errors import ConfigError
from shared.checkpoint import NoteSigner
from shared.crypto.encryption import DecryptionKey
from shared.crypto.keys import BadKey, KeySet, SigningKey, root_fingerprint

KEYSET_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HubKeys:
    """Private keys of a hub. `root` signs only the key set and can live elsewhere later."""

    root: SigningKey
    http: SigningKey
    ledger: SigningKey
    encryption: DecryptionKey
    signer: NoteSigner
    keyset: KeySet

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
    return made


def load_keys(server: ServerConfig) -> HubKeys:
    """Read all keys. Raises ConfigError with the next step."""
    folder = server.keys_dir
    try:
        root = SigningKey.load(folder / "root.pem")
        http = SigningKey.load(folder / "http.pem")
        ledger = SigningKey.load(folder / "ledger.pem")
        encryption = DecryptionKey.load(folder / "encryption.pem")
    except FileNotFoundError as error:
        raise ConfigError(f"no keys in {folder}: run `kickstand-hub init` first") from error
    except (BadKey, OSError) as error:
        raise ConfigError(f"keys in {folder}: {error}") from error
    signer = NoteSigner(server.origin, ledger)
    keyset = KeySet.sign(
        name=server.authority,
        version=KEYSET_VERSION,
        root=root,
        http=http.public,
        ledger_vkey=signer.verifier.vkey,
        encryption=encryption.public,
    )
    return HubKeys(
        root=root, http=http, ledger=ledger, encryption=encryption, signer=signer, keyset=keyset
    )
