"""A scooter's MQTT link: its own credentials, QoS 1, and nothing forgotten before its PUBACK."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from firmware_sim.scooter import Message, Scooter

KEEPALIVE_S = 30
RECONNECT_MIN_S, RECONNECT_MAX_S = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What one device signs in with."""

    username: str
    password: str


class ScooterRadio:
    """Connects one scooter to a broker. Safe to use from several threads."""

    def __init__(
        self,
        *,
        scooter: Scooter,
        host: str,
        port: int,
        credentials: Credentials,
        on_answer: Callable[[Scooter], None] = lambda _scooter: None,
    ) -> None:
        """`on_answer` hears, on the radio's own thread, that a command was answered."""
        self.scooter = scooter
        self._host, self._port, self._credentials = host, port, credentials
        self._on_answer = on_answer
        self._lock = threading.RLock()
        self._in_flight: dict[int, Message] = {}
        self._acknowledged_mids: deque[int] = deque()
        self._client: mqtt.Client | None = None
        self.listening = threading.Event()
        """Set while the scooter is connected and subscribed."""

    def start(self) -> None:
        """Connect in the background and keep trying."""
        with self._lock:
            client = mqtt.Client(
                CallbackAPIVersion.VERSION2,
                client_id=f"scooter-{self.scooter.serial}",
                clean_session=False,
                protocol=mqtt.MQTTv311,
            )
            client.username_pw_set(self._credentials.username, self._credentials.password)
            client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S)
            client.on_connect = self._connected
            client.on_disconnect = self._disconnected
            client.on_subscribe = self._subscribed
            client.on_message = self._command
            client.on_publish = self._acknowledged
            self._client = client
            for message in self.scooter.outbox:
                self._publish(message)
        client.connect_async(self._host, self._port, keepalive=KEEPALIVE_S)
        client.loop_start()

    def stop(self) -> None:
        """Disconnect; what was not acknowledged stays in the scooter's outbox."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()
        with self._lock:
            self._settle()
            self._in_flight.clear()
        self.listening.clear()

    def power_cycle(self) -> None:
        """The battery was taken out and put back: new boot, new connection, same outbox."""
        self.stop()
        self.scooter.reboot()
        self.start()

    def do(self, act: Callable[[Scooter], Message | None]) -> bool:
        """Let the scooter act and publish what it says. False when it says nothing."""
        with self._lock:
            self._settle()
            message = act(self.scooter)
            if message is None:
                return False
            if self._client is not None:
                self._publish(message)
            return True

    def delivered(self) -> bool:
        """Has the broker acknowledged everything the scooter has said?"""
        with self._lock:
            self._settle()
            return not self.scooter.outbox

    def _publish(self, message: Message) -> None:
        if self._client is not None:
            sent = self._client.publish(message.topic, message.payload, qos=1)
            self._in_flight[sent.mid] = message

    def _connected(
        self, client: mqtt.Client, _userdata: object, _flags: object, reason: ReasonCode, *_: object
    ) -> None:
        if not reason.is_failure:
            client.subscribe(f"scooter/{self.scooter.serial}/cmd", qos=1)

    def _disconnected(self, *_: object) -> None:
        self.listening.clear()

    def _subscribed(self, *_: object) -> None:
        self.listening.set()

    def _acknowledged(self, _client: mqtt.Client, _userdata: object, mid: int, *_: object) -> None:
        # paho holds a lock of its own here, so ours must not be waited for.
        self._acknowledged_mids.append(mid)

    def _settle(self) -> None:
        """Take what the broker has acknowledged out of the outbox."""
        while self._acknowledged_mids:
            message = self._in_flight.pop(self._acknowledged_mids.popleft(), None)
            if message is not None and message in self.scooter.outbox:
                self.scooter.outbox.remove(message)

    def _command(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        if self.do(lambda scooter: scooter.command(bytes(message.payload))):
            self._on_answer(self.scooter)
