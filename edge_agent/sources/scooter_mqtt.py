"""Scooters at the store's broker: a message is acknowledged only when it is on disk."""

import logging
import random
import select
import socket
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent import errors
from edge_agent.buffer import Capture, Duplicate
from edge_agent.codecs.redaction import redact_place
from edge_agent.codecs.scooter_payload import MalformedScooterPayload, PayloadMapping
from edge_agent.config import MqttConfig
from edge_agent.sources.commit_window import CommitWindow
from edge_agent.sources.mqtt_client import Heard, QuickClient
from edge_agent.sources.own_marker import CATCH_UP_MS, OwnMarker
from edge_agent.sources.scooter_desk import ScooterDesk, address_of
from edge_agent.sources.source import Sink, SourceState, Vitals, When
from shared.clock import Clock

logger = logging.getLogger(__name__)

KINDS: Final = ("telemetry", "state", "ack")
KEEPALIVE_S: Final = 30
CONNECT_S: Final = 5
SESSION_S: Final = 30 * 24 * 3600
"""How long the broker keeps our session while this box is off."""

TURN_MS: Final = 200
GOODBYE_MS: Final = 1000
STEADY_MS: Final = 10_000
"""A connection that was lost sooner than this was refused in another way: return slowly."""
BACKOFF_FIRST_MS: Final = 250
BACKOFF_MAX_MS: Final = 15_000
FRESH_ERR_MS: Final = 1000
UNKNOWN_AGE_MS: Final = SESSION_S * 1000
OUTBOX_MAX: Final = 1000
NAMED_SERIALS_MAX: Final = 20
_REJECT_BYTES: Final = 512
_READS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class _Received:
    """One message: what it becomes, and how to acknowledge it on the connection it came by."""

    client: QuickClient
    mid: int
    qos: int
    captures: tuple[Capture, ...]


class ScooterMqtt:
    """One broker. A single thread reads, commits and acknowledges, in the order of arrival."""

    name = "mqtt"

    def __init__(
        self,
        config: MqttConfig,
        *,
        sink: Sink,
        clock: Clock,
        when: When,
        telemetry_commit_ms: int = 1000,
        randomness: random.Random | None = None,
        catch_up_ms: int = CATCH_UP_MS,
    ) -> None:
        """See MqttConfig for the settings. Raises MalformedMapping."""
        self._config = config
        self._sink = sink
        self._clock = clock
        self._when = when
        self._random = randomness or random.Random()  # noqa: S311 - spreads reconnects
        mapping = PayloadMapping(config.mapping)
        self._desk = ScooterDesk(mapping, sink=sink, authenticated_by=config.authenticated_by)
        self._window: CommitWindow[_Received] = CommitWindow(
            commit_ms=telemetry_commit_ms, in_flight_max=config.receive_maximum
        )
        self._marker = OwnMarker(
            config.username or config.client_id, KINDS, catch_up_ms=catch_up_ms
        )
        self._vitals = Vitals()
        self._named: set[str] = set()
        self._client: QuickClient | None = None
        self._is_connected = False
        self._is_subscribed = False
        self._failures = 0
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._wake_far: socket.socket | None = None
        self._farewell = ""
        self._lost_at_ms: int | None = None
        self._stale_ms: int | None = None
        self._connected_at_ms = 0
        self._messages = 0

    def state(self) -> SourceState:
        """How the connection is."""
        return self._vitals.snapshot()

    def publish(self, serial: str, payload: bytes) -> bool:
        """Send a command to a scooter, from any thread; False when the broker is not there.

        Nothing is kept for later: who asks decides when to ask again.
        """
        if not self._is_connected or len(self._outbox) >= OUTBOX_MAX:
            return False
        self._outbox.append((f"scooter/{serial}/cmd", payload))
        wake = self._wake_far
        if wake is not None:
            with suppress(OSError):  # we are being stopped
                wake.send(b"\0")
        return True

    def run(self, stop: threading.Event) -> None:
        """Listen until `stop` is set; what was received is stored before returning."""
        near, far = socket.socketpair()
        with near, far:
            near.settimeout(0)
            self._wake_far = far
            try:
                while not stop.is_set():
                    if self._client is None:
                        self._connect(stop)
                    else:
                        self._turn(self._client, near)
                self._commit()
                if self._client is not None:
                    self._say_goodbye(self._client)
            finally:
                self._wake_far = None
                self._forget_client()

    # --- connection -----------------------------------------------------------------------

    def _connect(self, stop: threading.Event) -> None:
        if self._failures:
            stop.wait(self._pause_ms() / 1000)
        client = self._new_client()
        config = self._config
        try:
            if config.protocol == 5:
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.ReceiveMaximum = config.receive_maximum
                properties.SessionExpiryInterval = SESSION_S
                client.connect(
                    config.host,
                    config.port,
                    KEEPALIVE_S,
                    clean_start=False,
                    properties=properties,
                )
            else:
                client.connect(config.host, config.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            self._vitals.are("waiting", f"no broker at {config.host}:{config.port}: {error}")
            self._failures += 1
            return
        self._client = client

    def _new_client(self) -> QuickClient:
        """A client a connection: nothing of an earlier one can be acknowledged on it."""
        config = self._config
        is_v5 = config.protocol == 5
        client = QuickClient(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            clean_session=None if is_v5 else False,
            protocol=mqtt.MQTTv5 if is_v5 else mqtt.MQTTv311,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_S
        if config.username is not None:
            password = None
            if config.password_file is not None:
                password = config.password_file.read_text(encoding="utf-8").strip()
            client.username_pw_set(config.username, password)
        if config.ca_file is not None:
            client.tls_set(ca_certs=str(config.ca_file))
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message  # type: ignore[assignment]
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        return client

    def _pause_ms(self) -> int:
        """Full jitter, so that the boxes of a region do not return in step."""
        top_ms = min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(self._failures, 10))
        return self._random.randint(BACKOFF_FIRST_MS // 2, top_ms)

    def _on_connect(
        self, client: mqtt.Client, _userdata: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._vitals.are("failed", f"the broker refuses us: {reason}; check user and password")
            return
        client.subscribe([(f"scooter/+/{kind}", 1) for kind in KINDS])
        now_ms = self._clock.mono_ms()
        if flags.session_present:
            # What comes first may have waited at the broker since we were last there.
            self._stale_ms = (
                UNKNOWN_AGE_MS if self._lost_at_ms is None else now_ms - self._lost_at_ms
            )
        for topic, payload in self._marker.begin(f"{self._clock.boot} {now_ms}", now_ms):
            self._marker.sent(topic, client.publish(topic, payload, qos=1).mid)
        self._connected_at_ms = now_ms
        self._window.forget_broker()
        self._is_connected = True
        self._be_well()
        logger.info("broker_connected", extra={"source": self.name})

    def _say_goodbye(self, client: QuickClient) -> None:
        """Leave when the broker has seen our acknowledgements, or after GOODBYE_MS.

        Closing a socket with unread bytes resets it, and the broker would drop what it had not
        read yet. Its answer to a subscription shows that it has read everything before it.
        """
        self._is_subscribed = False
        client.subscribe([(f"scooter/+/{kind}", 1) for kind in KINDS])
        deadline_ms = self._clock.mono_ms() + GOODBYE_MS
        while not self._is_subscribed and self._clock.mono_ms() < deadline_ms:
            transport = client.socket()
            if transport is None:
                return
            if client.want_write():
                client.loop_write()
            if select.select([transport], [], [], GOODBYE_MS / 10_000)[0]:
                client.loop_read()
        client.disconnect()

    def _on_subscribe(self, *_: Any) -> None:
        self._is_subscribed = True
        logger.info("broker_subscribed", extra={"source": self.name})

    def _on_publish(
        self, _client: mqtt.Client, _userdata: Any, mid: int, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._vitals.count("refused_by_broker")
            self._marker.refused(mid)
            self._be_well()

    def _on_disconnect(
        self, _client: mqtt.Client, _userdata: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._farewell = f": {reason}"

    def _be_well(self) -> None:
        """Connected: well, but for what the broker's access list keeps from us."""
        complaint = self._marker.complaint()
        if not complaint and self._failures > 1:
            complaint = self._thrown_out()
        self._vitals.are("failed" if self._marker.hides() else "ok", complaint)

    def _thrown_out(self) -> str:
        user = self._config.username or self._config.client_id
        return (
            f"the broker lets us in and throws us out again{self._farewell} ({self._failures} "
            f"times): does a second box sign in as {user}? See the broker's log"
        )

    def _lose(self) -> None:
        """The connection is gone: what came by it is stored, and acknowledged to nobody."""
        if self._is_connected:
            now_ms = self._clock.mono_ms()
            self._lost_at_ms = now_ms
            # A broker that lets us in and throws us out again would do so for ever: only a
            # connection that lasted is a reason to come back at once.
            if now_ms - self._connected_at_ms < STEADY_MS:
                self._failures += 1
            self._vitals.count("connection_lost")
            why = f"the broker went away{self._farewell}"
            self._vitals.are("waiting", self._thrown_out() if self._failures > 1 else why)
            logger.warning("broker_lost", extra={"source": self.name, "why": self._farewell[2:]})
        else:
            self._failures += 1
        self._forget_client()
        self._commit()
        # What could not be stored was not acknowledged: the broker still has it.
        self._vitals.count("left_to_broker", len(self._window.take(self._clock.mono_ms())))

    def _forget_client(self) -> None:
        self._is_connected = False
        self._client = None
        self._outbox.clear()

    # --- one turn -------------------------------------------------------------------------

    def _turn(self, client: QuickClient, wake: socket.socket) -> None:
        """Wait for something to happen, and handle it."""
        transport = client.socket()
        if transport is None:
            self._lose()
            return
        ready = self._wait(client, transport, wake)
        is_alive = transport not in ready or self._read(client)
        if is_alive and client.want_write():
            is_alive = client.loop_write() == mqtt.MQTT_ERR_SUCCESS
        if not is_alive or client.loop_misc() != mqtt.MQTT_ERR_SUCCESS:
            self._lose()
            return
        if wake in ready:
            wake.recv(4096)
            self._send_outbox(client)
        now_ms = self._clock.mono_ms()
        if self._window.is_due(now_ms):
            self._commit()
        self._judge(now_ms)

    def _judge(self, now_ms: int) -> None:
        """What time alone shows of a connection: that it lasts, and what never came by it."""
        if self._failures and now_ms - self._connected_at_ms >= STEADY_MS:
            self._failures, self._farewell = 0, ""
            self._be_well()
        if self._marker.is_due(now_ms):
            self._stale_ms = None  # also when the broker keeps our markers from us
            if self._marker.complaint():
                self._be_well()
                logger.warning("broker_hides", extra={"why": self._marker.complaint()})

    def _wait(self, client: QuickClient, transport: Any, wake: socket.socket) -> list[Any]:
        """What can be read, after a wait that ends when something can be, or a commit is due."""
        pending = getattr(transport, "pending", None)
        if client.holds_bytes or (pending is not None and pending()):
            return [transport]  # bytes read ahead or inside a TLS socket: select sees neither
        wait_ms = self._window.wait_ms(self._clock.mono_ms())
        limit_ms = TURN_MS if wait_ms is None else max(0, min(TURN_MS, wait_ms))
        writers = [transport] if client.want_write() else []
        readable, _, _ = select.select([transport, wake], writers, [], limit_ms / 1000)
        return readable

    def _read(self, client: QuickClient) -> bool:
        """Read what is there, at most until a commit is due; False when the connection is lost."""
        for _ in range(_READS_MAX):
            before = self._messages
            if client.loop_read() != mqtt.MQTT_ERR_SUCCESS or client.socket() is None:
                return False
            # Without another select: a read that brought no message found nothing more to read.
            if self._messages == before or self._window.is_due(self._clock.mono_ms()):
                return True
        return True

    def _send_outbox(self, client: mqtt.Client) -> None:
        while self._outbox:
            topic, payload = self._outbox.popleft()
            client.publish(topic, payload, qos=1, retain=False)
            self._vitals.count("commands_sent")

    # --- messages -------------------------------------------------------------------------

    def _on_message(
        self, client: QuickClient, _userdata: Any, message: mqtt.MQTTMessage | Heard
    ) -> None:
        now_ms = self._clock.mono_ms()
        self._messages += 1
        captures = [] if self._is_marker(message) else self._captures(message, now_ms)
        if not captures and not self._window:
            client.ack(message.mid, message.qos)
            return
        # What became nothing waits all the same: acknowledgements keep the order of arrival.
        received = _Received(client, message.mid, message.qos, tuple(captures))
        is_urgent = any(capture.type != "scooter.report" for capture in captures)
        self._window.add(received, now_ms, urgent=is_urgent)

    def _is_marker(self, message: mqtt.MQTTMessage | Heard) -> bool:
        """Whether this is our own marker: what comes behind the last did not wait at the broker."""
        try:
            is_ours = self._marker.is_ours(message.topic)
        except UnicodeDecodeError:
            return False
        if is_ours and self._marker.came(message.topic, bytes(message.payload)):
            self._stale_ms = None
        return is_ours

    def _captures(self, message: mqtt.MQTTMessage | Heard, now_ms: int) -> list[Capture]:
        """What to store; nothing for a message that is none, which is kept and counted here."""
        self._vitals.count("received")
        serial, payload = "other", bytes(message.payload)
        try:
            address = address_of(message.topic)
            serial = address.serial
            if not message.retain:
                occurred = self._when(now_ms, max(FRESH_ERR_MS, self._stale_ms or 0))
                return self._desk.captures(address, payload, occurred)
            self._reject(serial, "retained", payload)
        except MalformedScooterPayload as error:
            self._reject(serial, error.why, payload)
        except UnicodeDecodeError:
            self._reject(serial, "topic", payload)
        return []

    def _reject(self, serial: str, why: str, payload: bytes) -> None:
        self._vitals.count("rejected")
        self._vitals.count(f"rejected_{why}")
        if serial in self._named or len(self._named) < NAMED_SERIALS_MAX:
            self._named.add(serial)
            self._vitals.count(f"rejected.{serial}")
        shown = f"{serial} {len(payload)} bytes: ".encode() + redact_place(payload[:_REJECT_BYTES])
        try:
            self._sink.reject(self.name, shown, why)
        except errors.BufferError:
            self._vitals.count("not_stored")
        logger.warning("scooter_message_unreadable", extra={"serial": serial, "why": why})

    # --- commit, then acknowledge ---------------------------------------------------------

    def _commit(self) -> None:
        now_ms = self._clock.mono_ms()
        items = self._window.take(now_ms)
        if not items:
            return
        try:
            self._store([capture for item in items for capture in item.captures])
        except errors.BufferError as error:
            self._vitals.count("not_stored")
            self._vitals.are("failed", f"the buffer takes nothing: {error}")
            self._window.put_back(items, now_ms)
            return
        # Power lost here: everything is on disk and nothing acknowledged. The broker sends it
        # again, and the scooters' counters show that it was stored.
        client = self._client
        if client is not None and self._is_connected:
            client.acknowledge([i.mid for i in items if i.qos == 1 and i.client is client])
            self._be_well()

    def _store(self, captures: list[Capture]) -> None:
        """Put all in one commit; when one of them can never be stored, the others alone."""
        try:
            results = list(self._sink.put(captures)) if captures else []
        except errors.CaptureRefused:
            if len(captures) == 1:
                self._vitals.count("rejected")
                return
            for capture in captures:
                self._store([capture])
            return
        duplicates = sum(isinstance(result, Duplicate) for result in results)
        self._vitals.count("duplicates", duplicates)
        self._vitals.count("stored", len(results) - duplicates)
