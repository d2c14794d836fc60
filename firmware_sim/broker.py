"""A store's MQTT broker: Mosquitto where it is installed, else amqtt inside this process.

Both know each device by its own credentials, and a scooter may use only `scooter/<its
serial>/#`. amqtt speaks MQTT 3.1.1 only and forgets its sessions when it restarts.
"""

import base64
import hashlib
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from firmware_sim.embedded_broker import EmbeddedServer
from firmware_sim.errors import NotReady
from firmware_sim.ports import LOOPBACK, answers, free_port
from firmware_sim.processes import Program, wait_until
from firmware_sim.scooter_radio import Credentials

READY_MS = 30_000
PORT_ATTEMPTS = 5
"""A port that was free a moment ago may be taken by now."""
IN_FLIGHT_MAX = 500
MESSAGE_BYTES_MAX = 65_536
HASH_ROUNDS = 101
AGENT_USER = "kickstand-agent"
MOSQUITTO_PATHS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")

# As in systemd/mosquitto/acl.example: a device writes and reads only below its own name (the box
# too: a marker to itself); the box reads all and writes commands.
ACCESS_RULES = f"""\
user {AGENT_USER}
topic read scooter/+/telemetry
topic read scooter/+/state
topic read scooter/+/ack
topic write scooter/+/cmd

pattern write scooter/%u/telemetry
pattern write scooter/%u/state
pattern write scooter/%u/ack
pattern read scooter/%u/cmd
"""


BrokerKind = Literal["mosquitto", "amqtt"]


class Broker(Protocol):
    """What a store needs of a broker."""

    kind: BrokerKind
    port: int
    mqtt_version: Literal[3, 5]

    def start(self) -> None:
        """Ready for connections when it returns."""
        ...

    def stop(self) -> None:
        """Orderly: Mosquitto writes its sessions to disk."""
        ...

    def admit(self, accounts: Sequence[Credentials]) -> None:
        """Let these devices in, too."""
        ...

    def unacknowledged(self) -> int:
        """Messages that would be forgotten if the broker restarted now."""
        ...


def broker_for(folder: Path, kind: BrokerKind | None = None) -> Broker:
    """This kind of broker, or the best of this machine; its files below `folder`. Not started.

    Raises NotReady when Mosquitto is asked for and not installed.
    """
    program = None if kind == "amqtt" else find_mosquitto()
    if program is not None:
        return Mosquitto(program, folder)
    if kind == "mosquitto":
        raise NotReady("Mosquitto is not installed on this machine")
    return EmbeddedBroker()


def find_mosquitto() -> str | None:
    """Path of the installed program; it often stands where only root's PATH looks."""
    return shutil.which("mosquitto") or shutil.which(
        "mosquitto", path=os.pathsep.join(MOSQUITTO_PATHS)
    )


def mosquitto_hash(password: str, salt: bytes) -> str:
    """A password as mosquitto_passwd writes it: PBKDF2-SHA512, format 7."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, HASH_ROUNDS)
    salt_text, digest_text = base64.b64encode(salt).decode(), base64.b64encode(digest).decode()
    return f"$7${HASH_ROUNDS}${salt_text}${digest_text}"


class Mosquitto:
    """A real Mosquitto with persistence; sessions survive its restart."""

    kind: BrokerKind = "mosquitto"
    mqtt_version: Literal[3, 5] = 5

    def __init__(self, program: str, folder: Path) -> None:
        """Writes its settings below `folder`, which must exist."""
        self._command, self._folder = program, folder
        self._passwords = folder / "passwords"
        self._process: Program | None = None
        self._was_up = False
        self._accounts: dict[str, str] = {}
        self.port = free_port()

    def start(self) -> None:
        """Write the settings and wait until it listens. Raises NotReady.

        Only before the first start may the port change: whoever knows it, knows it from then on.
        """
        attempts = 1 if self._was_up else PORT_ATTEMPTS
        for _ in range(attempts):
            process = self._launch()
            self._wait_for(process)
            if process.running():
                self._process, self._was_up = process, True
                return
            process.stop()
            if not self._was_up:
                self.port = free_port()
        raise NotReady(f"Mosquitto ended:\n{process.last_words()}")

    def _wait_for(self, process: Program) -> None:
        wait_until(
            lambda: answers(self.port) or not process.running(),
            what=f"Mosquitto on port {self.port}, log {process.log}",
            deadline_ms=READY_MS,
        )

    def _launch(self) -> Program:
        settings, access = self._folder / "mosquitto.conf", self._folder / "access"
        access.write_text(ACCESS_RULES, encoding="utf-8")
        access.chmod(0o600)
        self._write_passwords()
        settings.write_text(self._settings(access), encoding="utf-8")
        return Program(
            "mosquitto",
            [self._command, "-c", str(settings)],
            log=self._folder / "mosquitto.log",
        )

    def stop(self) -> None:
        """Orderly; the sessions and all unacknowledged messages are on disk."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def admit(self, accounts: Sequence[Credentials]) -> None:
        """Add accounts; a running broker reads the file again."""
        for account in accounts:
            hashed = mosquitto_hash(account.password, secrets.token_bytes(12))
            self._accounts[account.username] = hashed
        self._write_passwords()
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def unacknowledged(self) -> int:
        """None: it remembers all."""
        return 0

    def _write_passwords(self) -> None:
        lines = "".join(f"{name}:{hashed}\n" for name, hashed in self._accounts.items())
        fresh = self._passwords.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(lines, encoding="ascii")
        fresh.replace(self._passwords)

    def _settings(self, access: Path) -> str:
        # Started by root it would become another user, who may not read the settings.
        user = pwd.getpwuid(os.getuid()).pw_name
        return f"""\
user {user}
listener {self.port} {LOOPBACK}
use_username_as_clientid true
allow_anonymous false
password_file {self._passwords}
acl_file {access}
persistence true
persistence_location {self._folder}/
autosave_interval 10
max_inflight_messages {IN_FLIGHT_MAX}
max_queued_messages 0
message_size_limit {MESSAGE_BYTES_MAX}
log_dest stderr
connection_messages false
"""


class EmbeddedBroker:
    """amqtt on a thread of this process, for machines without Mosquitto."""

    kind: BrokerKind = "amqtt"
    mqtt_version: Literal[3, 5] = 3

    def __init__(self) -> None:
        """A port is chosen; nothing listens yet."""
        self.port = free_port()
        self._accounts: dict[str, str] = {}
        self._server: EmbeddedServer | None = None

    def start(self) -> None:
        """Ready when it returns. Raises NotReady."""
        self._server = EmbeddedServer(self.port, self._accounts, agent=AGENT_USER)
        self._server.start()
        wait_until(
            lambda: answers(self.port),
            what=f"amqtt on port {self.port}",
            deadline_ms=READY_MS,
        )

    def stop(self) -> None:
        """Forgets all sessions."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def admit(self, accounts: Sequence[Credentials]) -> None:
        """Known at once."""
        self._accounts.update((account.username, account.password) for account in accounts)

    def unacknowledged(self) -> int:
        """Messages handed out or queued that nobody has acknowledged."""
        return 0 if self._server is None else self._server.unacknowledged()
