"""A real Mosquitto with the shipped settings, and scooters that sign in to it."""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.edge_agent.sources.conftest import eventually

SHIPPED = Path(__file__).parents[3] / "systemd/mosquitto"
AGENT = "kickstand-agent"
SERIALS = [f"KSE8JKT26000001{number:02d}" for number in range(10)]
PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MOSQUITTO = shutil.which("mosquitto", path=PATHS)


def free_port():
    """A port nobody listens on, below those that the system gives to connections."""
    for _ in range(100):
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


class Broker:
    """One Mosquitto. Its passwords are the user names; its data outlives a restart."""

    def __init__(self, folder: Path, changes: dict[str, str] | None = None) -> None:
        """`changes` replaces settings of the shipped file."""
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._write_users()
        settings = {
            "listener": f"{self.port} 127.0.0.1",
            "password_file": str(folder / "passwd"),
            "acl_file": str(SHIPPED / "acl.example"),
            "persistence_location": f"{folder}/",
            "log_dest": f"file {folder}/log",
            **(changes or {}),
        }
        text = (SHIPPED / "kickstand.conf").read_text("utf-8")
        for name, value in settings.items():
            text, count = re.subn(rf"^{name} .*$", f"{name} {value}", text, flags=re.MULTILINE)
            assert 1 == count, name
        self._config = folder / "kickstand.conf"
        self._config.write_text(f"{text}\nuser root\n", "utf-8")

    def _write_users(self):
        users = self.folder / "passwd"
        users.write_text("".join(f"{name}:{name}\n" for name in [AGENT, *SERIALS]), "utf-8")
        program = shutil.which("mosquitto_passwd", path=PATHS)
        assert program
        subprocess.run([program, "-U", str(users)], check=True, capture_output=True)
        users.chmod(0o600)
        (self.folder / "agent-password").write_text(f"{AGENT}\n", "utf-8")

    def start(self):
        """Start it; returns when it listens."""
        assert MOSQUITTO
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._listens)
        assert self._process.poll() is None
        return self

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        """Ask it to end; it saves what it holds."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


class Scooter:
    """A scooter with credentials of its own. Answers requests to report when told to."""

    def __init__(
        self, broker: Broker, serial: str, user: str | None = None, client_id: str = ""
    ) -> None:
        """Sign in and listen for commands."""
        self.serial = serial
        self.commands: list[bytes] = []
        self.answers = False
        self.counter = 0
        self._ready = threading.Event()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5
        )
        name = user or serial
        self.client.username_pw_set(name, name)
        self.client.max_queued_messages_set(0)
        self.client.max_inflight_messages_set(1000)
        self.client.on_connect = self._listen
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = self._on_command
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self._ready.wait(10)

    def _listen(self, *_):
        self.client.subscribe(f"scooter/{self.serial}/cmd", 1)

    def _on_command(self, _client, _userdata, message):
        self.commands.append(message.payload)
        if self.answers:
            request = json.loads(message.payload)
            self.say("ack", {"v": 1, "id": request["id"], "bat": 71, "odo_m": 3, "fw": "2.4.1"})

    def report(self, **changes):
        """Send the next report."""
        self.counter += 1
        base = {"v": 1, "boot": "b7", "c": self.counter, "state": "stock", "bat": 71}
        return self.say("telemetry", base | changes)

    def say(self, kind, payload, serial=None):
        """Publish under the scooter's topic, or another's."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.client.publish(f"scooter/{serial or self.serial}/{kind}", raw, qos=1)

    def close(self):
        """Sign out."""
        self.client.disconnect()
        self.client.loop_stop()
