"""What the pages for makers show is what the code reads and writes, byte for byte."""

import re
import tomllib
from pathlib import Path

import pytest

from edge_agent.activation import command
from edge_agent.buffer import ActivationKey, Capture
from edge_agent.codecs import escpos, kpos, receipt_template
from edge_agent.codecs.scooter_payload import PayloadMapping
from edge_agent.codecs.till import TillSale
from edge_agent.sources.scooter_desk import Address, ScooterDesk
from shared.wire.events import Occurred

ROOT = Path(__file__).parents[2]
TILL = (ROOT / "docs/till-protocol.md").read_text("utf-8")
SCOOTER = (ROOT / "docs/scooter-mqtt.md").read_text("utf-8")
SERIAL = "KSE8JKT2600000123"
NOW = Occurred(wall_ms=None, err_ms=0, clock="none", boot="b", mono_ms=0)


def blocks(page, language):
    """The code blocks of a language; (label, text) for those that have a label."""
    return re.findall(rf"```{language} ?([\w-]*)\n(.*?)```", page, re.DOTALL)


def block(page, language, label):
    """The one block with this label."""
    (text,) = [text for name, text in blocks(page, language) if name == label]
    return text


class Shelf:
    """A store in which nothing was sold."""

    def put(self, captures):
        """Nothing is stored in a shelf."""
        raise AssertionError(captures)

    def reject(self, source, raw, reason):
        """Nothing on the page is unreadable."""
        raise AssertionError(source, raw, reason)

    def is_sold(self, serial):
        """No unit was sold."""
        return serial is None


def captures(kind, payload, mapping=None) -> list[Capture]:
    """What the box stores for a payload under a topic."""
    desk = ScooterDesk(PayloadMapping(mapping), sink=Shelf(), authenticated_by="broker")
    return desk.captures(Address(SERIAL, kind), payload.encode(), NOW)


def test_every_line_of_the_till_page_has_its_checksum():
    """A maker who checks his code against the page is not led astray."""
    lines = "".join(text for _, text in blocks(TILL, "kpos"))

    found = kpos.Decoder().feed(lines.encode(), 0)

    assert lines.count("\n") == sum(isinstance(item, kpos.Frame) for item in found) == 6


def test_the_messages_of_the_till_page_are_read():
    """A sale, a void, a return."""
    said, _answers = (text for _, text in blocks(TILL, "kpos"))
    frames = kpos.Decoder().feed(said.encode(), 0)

    messages = [kpos.parse(item.payload) for item in frames if isinstance(item, kpos.Frame)]

    assert [17, 18, 19] == [message.seq for message in messages]
    assert isinstance(messages[0], TillSale)
    assert messages[0].buyer is not None


def test_the_answers_of_the_till_page_are_ours():
    """Byte for byte what the box sends."""
    _said, answers = (text for _, text in blocks(TILL, "kpos"))

    assert kpos.ack(17) + kpos.nak(None, "crc") + kpos.nak(17, "price") == answers.encode()


@pytest.mark.parametrize("label", ["epson-id-sale", "star-en-sale"])
def test_the_receipts_of_the_till_page_are_read(label):
    """The shown receipt is the golden one, and the template that is named reads it."""
    text = block(TILL, "receipt", label)
    golden = (ROOT / f"tests/golden/receipts/{label}.txt").read_text("utf-8")
    (receipt,) = escpos.Decoder().feed(text.encode() + b"\x1dV\x00", 0)

    template = receipt_template.load(label.removesuffix("-sale"))

    assert golden == text
    assert isinstance(template.read(receipt.lines), TillSale)


def test_every_reason_for_a_nak_is_explained():
    """`why` words that the parser can give stand on the page."""
    source = (ROOT / "edge_agent/codecs/kpos.py").read_text("utf-8")
    words = set(re.findall(r'MalformedTillMessage\("(\w+)"', source)) | {
        "till",
        "receipt",
        "refused",
    }
    words |= set(re.findall(r'"(\w+)"', re.findall(r"^Why = .*$", source, re.MULTILINE)[0]))

    assert set() == {word for word in words - {"noise"} if f"`{word}`" not in TILL}


def test_every_pattern_of_a_template_is_explained():
    """Groups and keys that a template may use stand on the page."""
    names = {*receipt_template.FIELDS, *receipt_template.UNIT_FIELDS, "code_page"}

    assert set() == {name for name in names if f"`{name}`" not in TILL}


def test_the_telemetry_of_the_scooter_page_is_stored_whole():
    """Every documented field arrives in the event."""
    (capture,) = captures("telemetry", block(SCOOTER, "json", "telemetry"))

    assert {
        "serial": SERIAL,
        "state": "stock",
        "battery_pct": 71,
        "odometer_m": 3120,
        "firmware": "2.4.1",
        "boot": "b7",
        "counter": 1842,
        "position": {"lat": -6.20876, "lon": 106.84559},
        "extra": {"up_ms": 884211},
    } == capture.data


def test_the_fault_of_the_scooter_page_is_stored():
    """Code and detail."""
    (capture,) = captures("state", block(SCOOTER, "json", "state"))

    assert ("scooter.fault", "E21") == (capture.type, capture.data["code"])


def test_command_and_answer_of_the_scooter_page_fit_together():
    """The command is ours byte for byte, and the shown answer closes that activation."""
    key = ActivationKey(2, 88213, SERIAL)

    (capture,) = captures("ack", block(SCOOTER, "json", "ack"))

    assert command(key) + b"\n" == block(SCOOTER, "json", "cmd").encode()
    assert ("scooter.activated", key) == (capture.type, capture.answers)


def test_the_mapping_of_the_scooter_page_reads_the_makers_payload():
    """The shown settings read the shown payload."""
    table = tomllib.loads(block(SCOOTER, "toml", "mapping"))["mqtt"]["mapping"]

    (capture,) = captures("telemetry", block(SCOOTER, "json", "mapped"), table)

    assert (71, 3120, "stock", 77) == tuple(
        capture.data[name] for name in ("battery_pct", "odometer_m", "state", "counter")
    )
    assert {"charge.current_ma": 800} == capture.data["extra"]


def test_the_brokers_limits_are_those_of_the_shipped_settings():
    """The table on the page is the file's."""
    conf = (ROOT / "systemd/mosquitto/kickstand.conf").read_text("utf-8")

    limits = re.findall(
        r"^\| `(\w+)` \| ([\d,]+)", SCOOTER.split("## The store's broker")[1], re.MULTILINE
    )
    assert 4 == len(limits)
    for name, value in limits:
        assert f"\n{name} {value.replace(',', '')}\n" in conf
