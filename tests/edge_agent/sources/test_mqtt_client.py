"""Messages read ahead are paho's messages, and acknowledgements keep the order of arrival."""

import contextlib
import socket
import struct
import threading

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt.enums import MQTTProtocolVersion

from edge_agent.config import MqttConfig
from edge_agent.sources.mqtt_client import QuickClient, read_publish
from edge_agent.sources.scooter_mqtt import ScooterMqtt
from shared.clock import SystemClock
from tests.edge_agent.sources.brokers import SERIALS
from tests.edge_agent.sources.conftest import eventually, occurred

TOPICS = st.text(min_size=1, max_size=40).filter(lambda text: "\0" not in text)


def packet(mid, topic, payload, *, flags=0, is_v5=False):
    """A PUBLISH at QoS 1."""
    raw = topic.encode("utf-8", "surrogatepass")
    body = struct.pack("!H", len(raw)) + raw + struct.pack("!H", mid)
    body += (b"\0" if is_v5 else b"") + payload
    return bytes([0x32 | flags]) + varint(len(body)) + body


def varint(number):
    """MQTT's variable byte integer."""
    out = b""
    while True:
        number, low = divmod(number, 128)
        out += bytes([low | (0x80 if number else 0)])
        if not number:
            return out


@given(
    st.integers(1, 65535),
    TOPICS,
    st.binary(max_size=300),
    st.sampled_from([0, 1, 8, 9]),
    st.booleans(),
    st.binary(max_size=9),
)
def test_a_plain_message_reads_as_paho_reads_it(mid, topic, payload, flags, is_v5, behind):
    """Wherever it stands; and not before all of it is there."""
    raw = packet(mid, topic, payload, flags=flags, is_v5=is_v5)
    version = MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311
    head = 1 + len(varint(len(raw) - 2 if len(raw) < 130 else len(raw) - 3))
    theirs = _packet.decode_publish(raw[0], raw[head:], version)

    found = read_publish(b"ab" + raw + behind, 2, is_v5=is_v5)

    assert found is not None
    ours, end = found
    assert 2 + len(raw) == end
    assert (theirs.mid, theirs.topic.decode(), theirs.payload, theirs.retain, 1) == (
        ours.mid, ours.topic, ours.payload, ours.retain, ours.qos,
    )  # fmt: skip
    assert all(read_publish(raw[:cut], 0, is_v5=is_v5) is None for cut in range(1, len(raw)))


@given(st.binary(min_size=1, max_size=80), st.booleans())
def test_hostile_bytes_are_left_to_paho_or_lie_within_what_was_read(data, is_v5):
    """Never an exception, never a message beyond the bytes."""
    for first in (data[:1], b"\x32"):
        found = read_publish(first + data[1:], 0, is_v5=is_v5)
        assert found is None or 0 < found[1] <= len(data)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x30\x05\x00\x01ax\x00",  # QoS 0
        b"\x34\x05\x00\x01a\x00\x01",  # QoS 2
        b"\x32\x08\x00\x01a\x00\x01\x02\x01\x00",  # with a property
        b"\x32\x05\x00\x00\x00\x01\x00",  # without a topic: an alias
        b"\x32\x06\x00\x01\xff\x00\x01\x00",  # a topic that is no UTF-8
        b"\x32\xff\xff\xff\xff\x01",  # five bytes of length
        b"\x40\x02\x00\x01",
    ],
)
def test_what_is_not_plain_goes_pahos_way(raw):
    """Its checks and its errors hold there."""
    assert read_publish(raw, 0, is_v5=True) is None


def test_paho_still_asks_what_we_answer():
    """A paho without these methods would be slow, or would not be acknowledged to."""
    for name in ("_sock_recv", "_packet_read", "_packet_queue"):
        assert callable(getattr(mqtt.Client, name))
    assert QuickClient._packet_read is not mqtt.Client._packet_read


class HandBroker:
    """A broker by hand, MQTT 3.1.1: hands out what it is told, in odd pieces, and takes notes."""

    def __init__(self) -> None:
        """Listening."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.acknowledged: list[int] = []
        self._thread = threading.Thread(target=self._serve)
        self._ready = threading.Event()
        self._thread.start()

    def _serve(self):
        self._connection, _ = self._listener.accept()
        file = self._connection.makefile("rb")
        with contextlib.suppress(OSError):
            while kind := file.read(1):
                size, shift = 0, 0
                while (byte := file.read(1)[0]) & 0x80:
                    size, shift = size | (byte & 0x7F) << shift, shift + 7
                body = file.read(size | byte << shift)
                self._answer(kind[0], body)
        file.close()

    def _answer(self, kind, body):
        if kind & 0xF0 == 0x10:
            self._connection.sendall(b"\x20\x02\x00\x00")
        elif kind & 0xF0 == 0x80:
            self._connection.sendall(b"\x90\x05" + body[:2] + b"\x01\x01\x01")
            self._ready.set()
        elif kind & 0xF0 == 0x40:
            self.acknowledged.append(struct.unpack("!H", body)[0])

    def hand_out(self, data, piece):
        """Send in pieces of this size."""
        assert self._ready.wait(10)
        for at in range(0, len(data), piece):
            self._connection.sendall(data[at : at + piece])

    def close(self):
        """Everything ends."""
        self._connection.close()
        self._listener.close()
        self._thread.join(10)


@pytest.mark.parametrize("piece", [1, 7, 1000, 65536])
def test_acknowledgements_follow_the_commit_in_the_order_of_arrival(store, running, piece):
    """However the bytes arrive; a message that became nothing keeps its place among the others."""
    with contextlib.closing(HandBroker()) as broker:
        config = MqttConfig(port=broker.port, protocol=3)
        source = ScooterMqtt(
            config, sink=store.buffer, clock=SystemClock(), when=occurred, telemetry_commit_ms=50
        )
        running(source)
        mids = [9, 3, 65535, 77, 1, 500, 501, 499]
        report = '{{"v":1,"boot":"b","c":{}}}'
        payloads = [report.format(number).encode() for number in range(len(mids))]
        payloads[3] = b"junk"
        topic = f"scooter/{SERIALS[0]}/telemetry"

        broker.hand_out(
            b"".join(packet(mid, topic, data) for mid, data in zip(mids, payloads, strict=True)),
            piece,
        )

        eventually(lambda: len(broker.acknowledged) == len(mids))
        assert mids == broker.acknowledged
        assert [0, 1, 2, 4, 5, 6, 7] == [event.data.counter for event in store.events()]
        running.stop.set()
        eventually(lambda: source._client is None)
