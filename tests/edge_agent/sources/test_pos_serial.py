"""A till on a serial line: real ptys, a real buffer, and everything people do to cables."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from edge_agent import errors
from edge_agent.codecs import kpos, receipt_template
from edge_agent.config import TillConfig
from edge_agent.sources.pos_serial import PosSerial
from edge_agent.sources.till_dialect import EscPos, Kpos
from shared.clock import SystemClock
from shared.crypto.commitment import commit_buyer
from shared.crypto.encryption import BUYER_INFO
from tests.edge_agent.sources.conftest import eventually, occurred

RECEIPTS = Path(__file__).parents[2] / "golden/receipts"
UNIT = {
    "serial": "KSE8JKT2600000123",
    "model": "E8",
    "list": 21_900_000,
    "discount": 500_000,
    "net": 21_400_000,
}
SALE: dict[str, Any] = {
    "seq": 1,
    "t": "sale",
    "till": "T1",
    "receipt": "20261122-0093",
    "units": [UNIT],
    "payment": "cash",
    "operator": "07",
    "buyer": None,
}


@pytest.fixture
def till(line, store, hub_key, running):
    """A running source at the line's near end."""
    return start(line, store.buffer, hub_key, running, Kpos())


def start(line, sink, hub_key, running, dialect, woken=lambda: None):
    """Run a source and wait until it holds the port."""
    source = PosSerial(
        TillConfig(name="till-1", port=str(line.path)),
        dialect,
        sink=sink,
        clock=SystemClock(),
        when=occurred,
        hub_public=lambda: hub_key.public,
        on_sale=woken,
    )
    running(source)
    eventually(lambda: source.state().state == "ok")
    return source


def answers(line, count=1):
    """The next `count` answers the till receives."""
    decoder = kpos.Decoder()
    got: list[Any] = []

    def enough():
        frames = decoder.feed(line.received(), 0)
        got.extend(json.loads(item.payload) for item in frames if isinstance(item, kpos.Frame))
        return len(got) >= count

    eventually(enough)
    return got


def printed(name):
    """A golden receipt as a printer gets it."""
    text = RECEIPTS.joinpath(f"{name}.txt").read_bytes()
    return b"\x1b@" + text + b"\x1dVA\x03"


def test_a_sale_is_on_disk_before_the_till_hears_of_it(till, line, store):
    """When the till reads the ack, the event can be read from the file."""
    line.send(kpos.encode(SALE))

    assert [{"ack": 1}] == answers(line)
    (event,) = store.events()
    assert "pos.sale" == event.type
    assert ("T1", "20261122-0093", "cash", "07") == (
        event.data.till, event.data.receipt, event.data.payment, event.data.operator,
    )  # fmt: skip
    (unit,) = event.data.units
    assert ("KSE8JKT2600000123", "E8", 21_900_000, 500_000, 21_400_000) == (
        unit.serial, unit.model, unit.list_idr, unit.discount_idr, unit.net_idr,
    )  # fmt: skip


def test_the_error_of_a_sales_time_covers_its_transfer(till, line, store):
    """At 115,200 baud 240 bytes take 21 ms: the first byte may be that old."""
    frame = kpos.encode(SALE)
    line.send(frame)
    answers(line)

    (event,) = store.events()
    assert len(frame) * 10_000 / 115_200 <= event.occurred.err_ms < 40


def test_a_receipt_sent_again_is_acknowledged_and_stored_once(till, line, store):
    """The till lost our answer: it sends the same again, and hears the same again."""
    line.send(kpos.encode(SALE) * 2)
    line.send(kpos.encode(SALE | {"seq": 9}))

    assert [{"ack": 1}, {"ack": 1}, {"ack": 9}] == answers(line, 3)
    assert 1 == len(store.events())
    assert 2 == till.state().counters["duplicates"]


def test_the_same_number_with_other_content_is_another_sale(till, line, store):
    """Tills restart their numbers: nothing is thrown away for that."""
    line.send(kpos.encode(SALE))
    line.send(kpos.encode(SALE | {"seq": 2, "units": [UNIT | {"serial": "KSE8JKT2600000124"}]}))
    answers(line, 2)

    assert 2 == len(store.events("pos.sale"))


def test_a_void_and_a_return_are_facts_of_their_own(till, line, store):
    """They name the receipt; the sale stays."""
    line.send(kpos.encode(SALE))
    reversal = {"seq": 2, "t": "void", "till": "T1", "receipt": SALE["receipt"], "serials": None}
    line.send(kpos.encode(reversal))
    line.send(kpos.encode(reversal | {"seq": 3, "t": "return", "serials": [UNIT["serial"]]}))
    answers(line, 3)

    events = store.events()
    assert ["pos.sale", "pos.void", "pos.return"] == [event.type for event in events]
    assert [None, (UNIT["serial"],)] == [event.data.serials for event in events[1:]]


def test_a_sale_wakes_its_units_in_the_same_commit(line, store, hub_key, running):
    """Every unit with a serial has a pending activation, once; the activation thread is told."""
    woken = []
    start(line, store.buffer, hub_key, running, Kpos(), woken=lambda: woken.append(1))
    units = [UNIT, UNIT | {"serial": None}, UNIT | {"serial": "KSE8JKT2600000125"}]

    line.send(kpos.encode(SALE | {"units": units}))
    answers(line)

    pending = [item.serial for item in store.buffer.pending_activations()]
    assert ["KSE8JKT2600000123", "KSE8JKT2600000125"] == pending
    assert [1] == woken


@pytest.mark.parametrize("serial", [None, "", "NO TAG ON BOX", "KSE8-JKT26-0000"])
def test_a_sale_without_a_proper_serial_is_kept(till, line, store, serial):
    """The serial is null, what the till said stands beside it, and nobody is woken."""
    line.send(kpos.encode(SALE | {"units": [UNIT | {"serial": serial}]}))
    answers(line)

    (unit,) = store.events("pos.sale")[0].data.units
    assert (None, serial or None) == (unit.serial, unit.serial_raw)
    assert [] == store.buffer.pending_activations()


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (SALE | {"units": [UNIT | {"net": -1}]}, {"nak": 1, "why": "price"}),
        (SALE | {"units": [UNIT | {"list": 10**14}]}, {"nak": 1, "why": "price"}),
        (SALE | {"t": "sales"}, {"nak": 1, "why": "type"}),
        (SALE | {"receipt": None}, {"nak": 1, "why": "receipt"}),
    ],
)
def test_what_makes_no_sense_is_kept_counted_and_told(till, line, store, message, answer):
    """A negative price is no sale: the till hears why, the bytes stay for a person to look at."""
    line.send(kpos.encode(message))

    assert [answer] == answers(line)
    assert [] == store.events()
    assert [("till-1", answer["why"])] == [row[:2] for row in store.rejected()]
    assert 1 == till.state().counters[f"unreadable_{answer['why']}"]


@pytest.mark.parametrize(
    ("noise", "why"),
    [
        (b"\x00\xff\x80 garbage\n", None),
        (b"K1 0000 {}\n", "crc"),
        (b"K9 1234 {}\n", "version"),
        (kpos.encode(SALE)[:50] + b"\n", "crc"),
        (b"\xaa" * 20_000, "oversize"),
    ],
)
def test_noise_is_counted_and_costs_no_sale(till, line, store, noise, why):
    """Garbage, half frames, wrong checksums, unknown versions, endless lines: the next sale is
    heard, and the till is told when it was understood to have spoken."""
    line.send(noise + kpos.encode(SALE))

    expected = [{"ack": 1}] if why is None else [{"nak": None, "why": why}, {"ack": 1}]
    assert expected == answers(line, len(expected))
    assert 1 == len(store.events())
    assert 1 == len(store.rejected())


def test_a_buyer_leaves_the_till_only_encrypted(till, line, store, hub_key, caplog):
    """The event holds a commitment; name and phone can be read by the hub alone."""
    caplog.set_level(logging.DEBUG)
    buyer = {"name": "Siti Rahma", "phone": "+6281234567890"}
    line.send(kpos.encode(SALE | {"buyer": buyer}))
    answers(line)

    (event,) = store.events()
    (sealed,) = store.attachments()
    person = json.loads(hub_key.decrypt(sealed, info=BUYER_INFO))
    commitment = commit_buyer(**buyer, salt=bytes.fromhex(person["salt"]))
    assert buyer == {"name": person["name"], "phone": person["phone"]}
    assert commitment == event.data.buyer_commitment
    for text in (store.everything(), caplog.text.encode()):
        assert b"Siti" not in text
        assert b"81234567890" not in text


def test_two_sales_to_one_buyer_cannot_be_linked(till, line, store):
    """Each commitment has a salt of its own."""
    buyer = {"name": "Siti Rahma", "phone": "+6281234567890"}
    line.send(kpos.encode(SALE | {"buyer": buyer}))
    line.send(kpos.encode(SALE | {"seq": 2, "receipt": "R2", "buyer": buyer}))
    answers(line, 2)

    commitments = {event.data.buyer_commitment for event in store.events()}
    assert 2 == len(commitments)


def test_card_numbers_never_reach_the_disk_or_a_log(till, line, store, caplog):
    """In a serial, a receipt number, an operator, a model or in noise: only four digits stay."""
    caplog.set_level(logging.DEBUG)
    card = "4111111111111111"
    unit = UNIT | {"serial": card, "model": f"E8 {card}"}
    line.send(kpos.encode(SALE | {"units": [unit], "operator": card, "receipt": f"R{card}"}))
    line.send(f"KARTU 4111 1111 1111 1111 {card}\n".encode())
    line.send(kpos.encode(SALE | {"seq": 2, "t": card}))
    answers(line, 2)

    assert 1 == len(store.events())
    for text in (store.everything(), caplog.text.encode()):
        assert card.encode() not in text
        assert b"4111 1111 1111 1111" not in text


def test_a_replugged_till_is_heard_within_two_seconds(till, line, store):
    """The cable is pulled and comes back as another tty under the same by-id name."""
    line.send(kpos.encode(SALE))
    answers(line)

    line.unplug()
    eventually(lambda: till.state().state == "waiting")
    assert "is not there" in till.state().detail or "lost" in till.state().detail
    line.plug()
    eventually(lambda: till.state().state == "ok", deadline_s=2)

    line.send(kpos.encode(SALE | {"seq": 2, "receipt": "R2"}))
    assert [{"ack": 2}] == answers(line)
    assert 2 == len(store.events())


def test_a_port_that_is_renumbered_under_a_living_handle_is_noticed(till, line, store):
    """udev moves the by-id name to another tty while the old one stays silently open."""
    old_far, old_near = line._far, line._near
    line.plug()
    eventually(lambda: till.state().counters.get("port_lost") == 1 and till.state().state == "ok")

    line.send(kpos.encode(SALE))

    assert [{"ack": 1}] == answers(line)
    os.close(old_far)
    os.close(old_near)
    assert 1 == len(store.events())


def test_two_programs_never_share_a_till(till, line, store, hub_key, running):
    """The port is locked: a second agent says so instead of taking half the bytes."""
    second = PosSerial(
        TillConfig(name="till-2", port=str(line.path)),
        Kpos(),
        sink=store.buffer,
        clock=SystemClock(),
        when=occurred,
        hub_public=lambda: hub_key.public,
        on_sale=lambda: None,
    )

    running(second)

    eventually(lambda: "another program" in second.state().detail)
    line.send(kpos.encode(SALE))
    assert [{"ack": 1}] == answers(line)


class FullBuffer:
    """A buffer in front of a disk that is full until told otherwise."""

    def __init__(self, buffer):
        self.buffer = buffer
        self.full = True

    def put(self, captures):
        if self.full:
            raise errors.BufferFull("no room")
        return self.buffer.put(captures)

    def __getattr__(self, name):
        return getattr(self.buffer, name)


def test_a_full_disk_is_never_acknowledged(line, store, hub_key, running):
    """The till hears nothing while nothing can be stored; its next attempt is stored and heard."""
    disk = FullBuffer(store.buffer)
    till = start(line, disk, hub_key, running, Kpos())

    line.send(kpos.encode(SALE))
    eventually(lambda: till.state().state == "failed")
    assert b"" == line.received()
    disk.full = False
    line.send(kpos.encode(SALE))

    assert [{"ack": 1}] == answers(line)
    assert "ok" == till.state().state


def test_a_printed_receipt_becomes_a_sale(line, store, hub_key, running):
    """An ESC/POS till says nothing but its receipts; a copy printed later adds nothing."""
    till = start(line, store.buffer, hub_key, running, EscPos(receipt_template.load("epson-id")))

    line.send(printed("epson-id-sale"))
    line.send(printed("epson-id-sale").replace(b"PENJUALAN\n", b"PENJUALAN\nSALINAN\n"))
    line.send(printed("epson-id-void"))

    eventually(lambda: len(store.events()) == 2)
    eventually(lambda: till.state().counters.get("duplicates") == 1)
    assert ["pos.sale", "pos.void"] == [event.type for event in store.events()]
    assert b"Siti" not in store.everything()


def test_half_a_printed_receipt_is_kept_without_its_buyer(line, store, hub_key, running):
    """The cable is pulled in the middle of a receipt: evidence, never a sale, nobody named."""
    dialect = EscPos(receipt_template.load("epson-id"))
    source = start(line, store.buffer, hub_key, running, dialect)

    half = printed("epson-id-sale").split(b"LUNAS")[0]
    line.send(half)
    eventually(lambda: source.state().counters.get("bytes_read") == len(half))
    line.unplug()

    ((_, why, raw),) = eventually(store.rejected)
    assert "interrupted" == why
    assert b"20261122-0093" in raw
    assert b"Siti" not in raw
    assert b"3456" not in raw
    assert [] == store.events()


def test_receipts_of_a_printer_wait_out_a_full_disk(line, store, hub_key, running):
    """A printed stream cannot be asked again: it is held, in order, until there is room."""
    disk = FullBuffer(store.buffer)
    till = start(line, disk, hub_key, running, EscPos(receipt_template.load("epson-id")))

    line.send(printed("epson-id-sale") + printed("epson-id-void"))
    eventually(lambda: till.state().state == "failed")
    disk.full = False

    eventually(lambda: len(store.events()) == 2)
    assert ["pos.sale", "pos.void"] == [event.type for event in store.events()]
