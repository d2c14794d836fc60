"""paho's client, hearing many messages by one system call and acknowledging many by another.

paho reads a message in three or four pieces and builds a table of 27 properties for each. Plain
reports are read here instead, from what was read ahead; everything else goes paho's own way, and
so would all messages if a later paho no longer asked these methods.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

READ_AHEAD: Final = 65_536
_PUBLISH_AT_QOS_1: Final = 0x32
_IGNORING_DUP_AND_RETAIN: Final = 0xF6
_RETAIN: Final = 0x01
_PUBACK: Final = 0x40
_MID: Final = struct.Struct("!H")


@dataclass(slots=True)
class Heard:
    """A message at QoS 1, with paho's names."""

    mid: int
    topic: str
    payload: bytes
    retain: bool
    qos: int = 1


class QuickClient(mqtt.Client):
    """For one connection, used by one thread, with `manual_ack`."""

    _ahead = b""
    _at = 0

    @property
    def holds_bytes(self) -> bool:
        """Whether something was read that the socket will not report again."""
        return self._at < len(self._ahead)

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Acknowledge messages at QoS 1, in this order."""
        if mids:
            packet = b"".join(b"\x40\x02" + _MID.pack(mid) for mid in mids)
            self._packet_queue(_PUBACK, packet, mids[-1], 1)

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._ahead):
            self._ahead, self._at = super()._sock_recv(READ_AHEAD), 0
        chunk = self._ahead[self._at : self._at + bufsize]
        self._at += len(chunk)
        return chunk

    def _packet_read(self) -> MQTTErrorCode:
        on_message = self.on_message
        if self._in_packet["command"] == 0 and self.holds_bytes and on_message is not None:
            found = read_publish(self._ahead, self._at, is_v5=self._protocol == mqtt.MQTTv5)
            if found is not None:
                message, self._at = found
                on_message(self, None, message)  # type: ignore[arg-type]
                return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._packet_read()


def read_publish(data: bytes, at: int, *, is_v5: bool) -> tuple[Heard, int] | None:
    """The plain message that begins at `at`, and where it ends.

    None for anything that is not wholly there, or not a message at QoS 1 without properties.
    """
    head = data[at]
    if head & _IGNORING_DUP_AND_RETAIN != _PUBLISH_AT_QOS_1:
        return None
    at, end, shift = at + 1, 0, 0
    while True:
        if at >= len(data) or shift > 21:
            return None
        byte = data[at]
        at += 1
        end |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    end += at
    if end > len(data) or at + 2 > end:
        return None
    topic_at = at + 2
    topic_end = topic_at + _MID.unpack_from(data, at)[0]
    payload_at = topic_end + 2 + is_v5
    if payload_at > end or topic_end == topic_at or (is_v5 and data[payload_at - 1] != 0):
        return None
    try:
        topic = data[topic_at:topic_end].decode()
    except UnicodeDecodeError:
        return None
    (mid,) = _MID.unpack_from(data, topic_end)
    return Heard(mid, topic, data[payload_at:end], bool(head & _RETAIN)), end
