"""Events: every type reads back, and any bytes are an event or malformed."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.wire import events as wire
from shared.wire.events import (
    LANE_OF,
    MAX_EVENT_BYTES,
    Fact,
    MalformedEvent,
    Occurred,
    encode_event,
    parse_event,
)
from tests.checks.wire_samples import VALUES, event_names, golden, paths, replaced

TIME = Occurred(wall_ms=1_795_354_312_284, err_ms=3, clock="ntp", boot="b", mono_ms=1)


def sale(**changes: object) -> bytes:
    """The golden sale with some of its data replaced."""
    document = json.loads(golden("event.pos.sale.json"))
    document["data"] |= changes
    return json.dumps(document).encode()


def test_every_type_has_a_lane_a_reader_and_a_golden_file():
    """The eight types of version 1, none forgotten anywhere."""
    kinds = {name.removeprefix("event.").removesuffix(".json") for name in event_names()}

    assert kinds == set(LANE_OF)


@pytest.mark.parametrize("name", event_names())
def test_an_events_bytes_stay_its_own(name):
    """Parsing keeps the bytes, and writing the same values gives the same bytes."""
    event = parse_event(golden(name))
    document = json.loads(golden(name))
    again = encode_event(
        type=event.type,
        device=event.device,
        gen=event.gen,
        lane=event.lane,
        n=event.n,
        occurred=event.occurred,
        data=document["data"],
        attachments=event.attachments,
        authenticated_by=event.authenticated_by,
    )

    assert event.raw == golden(name) == again


def test_a_sale_is_exact():
    """Receipt, serials raw and normal, prices, payment, operator, commitment: nothing is lost."""
    data = parse_event(golden("event.pos.sale.json")).data

    assert isinstance(data, wire.Sale)
    assert (data.till, data.receipt, data.payment, data.operator) == (
        "till-1",
        "20261122-0093",
        "cash",
        "07",
    )
    first, second = data.units
    assert (first.serial, first.serial_raw) == ("LSKT1E8A0RB000417", "LSK T1E8-AORB000417")
    assert (first.list_idr, first.discount_idr, first.net_idr) == (21_900_000, 500_000, 21_400_000)
    assert (second.serial, second.serial_raw) == (None, "??")
    assert parse_event(golden("event.pos.sale.json")).serials == ("LSKT1E8A0RB000417",)


@given(st.binary() | st.text().map(str.encode) | VALUES.map(json.dumps).map(str.encode))
def test_any_bytes_are_an_event_or_malformed(raw):
    """Hostile bytes raise MalformedEvent and nothing else."""
    with pytest.raises(MalformedEvent):
        parse_event(raw)


@given(st.data(), st.sampled_from(event_names()), VALUES)
def test_any_value_anywhere_is_read_or_malformed(data, name, value):
    """Any JSON value in any place of any type is read or refused by name, never a crash."""
    path = data.draw(st.sampled_from(paths(json.loads(golden(name)))))
    raw = replaced(golden(name), path, value)
    with contextlib.suppress(MalformedEvent):
        assert parse_event(raw).raw == raw


@given(st.sampled_from(event_names()), st.data())
def test_a_cut_event_is_malformed(name, data):
    """Half an event is none."""
    raw = golden(name)
    with pytest.raises(MalformedEvent):
        parse_event(raw[: data.draw(st.integers(0, len(raw) - 1))])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (sale(units=[{"net_idr": -1, "list_idr": 0, "discount_idr": 0}]), "net_idr"),
        (sale(units=[{"net_idr": 1.5, "list_idr": 0, "discount_idr": 0}]), "net_idr"),
        (sale(units=[{"net_idr": True, "list_idr": 0, "discount_idr": 0}]), "net_idr"),
        (sale(units=[{"net_idr": "5", "list_idr": 0, "discount_idr": 0}]), "net_idr"),
        (sale(units=[{"net_idr": 10**12 + 1, "list_idr": 0, "discount_idr": 0}]), "net_idr"),
        (sale(units=[{}] * 51), "units"),
        (sale(units=None), "units"),
        (sale(payment="gold"), "payment"),
        (sale(receipt=""), "receipt"),
        (sale(receipt="a\nb"), "receipt"),
        (sale(till="t" * 65), "till"),
        (sale(buyer={"commitment": "AB" * 32}), "commitment"),
        (sale(buyer={"name": "Contoh"}), "commitment"),
        (golden("event.pos.sale.json").replace(b'"v":1', b'"v":2'), r"<= 1 - at `\$\.v`"),
        (golden("event.pos.sale.json").replace(b'"v":1', b'"v":0'), r">= 1 - at `\$\.v`"),
        (golden("event.pos.sale.json").replace(b"pos.sale", b"pos.gift"), "type"),
        (golden("event.pos.sale.json").replace(b'"sale"', b'"system"'), "lane"),
        (golden("event.pos.sale.json").replace(b'"n":1', b'"n":0'), r">= 1 - at `\$\.n`"),
        (golden("event.pos.sale.json").replace(b'"clock":"hub"', b'"clock":"none"'), "wall"),
        (golden("event.pos.sale.json").replace(b"2026-11-22T", b"2026-11-31T"), "wall"),
        (golden("event.pos.sale.json").replace(b".284Z", b".284+07:00"), "wall"),
        (golden("event.scooter.report.json").replace(b"-7.2575", b"-97.2575"), "lat"),
        (golden("event.scooter.report.json").replace(b"broker", b"rumour"), "authenticated_by"),
        (golden("event.agent.loss.json").replace(b"[17,40]", b"[40,17]"), "ranges"),
    ],
)
def test_a_malformed_field_is_named(raw, words):
    """The message names the field, so that the next step is plain."""
    with pytest.raises(MalformedEvent, match=words):
        parse_event(raw)


def test_too_large_an_event_is_neither_read_nor_written():
    """32 KiB is the limit of a ledger entry; encoding and parsing agree on it."""
    with pytest.raises(MalformedEvent, match="at most"):
        parse_event(b" " * (MAX_EVENT_BYTES + 1))
    with pytest.raises(MalformedEvent, match="at most"):
        encode_event(
            type="x", device="d", gen=1, lane="hub", n=1, occurred=TIME, data={"t": "x" * 40_000}
        )


@pytest.mark.parametrize("depth", [10, 900, 100_000])
def test_deep_nesting_is_no_way_to_break_the_reader(depth):
    """Brackets without end are malformed, quickly."""
    with pytest.raises(MalformedEvent):
        parse_event((b'{"v":' + b"[" * depth)[:MAX_EVENT_BYTES])


def test_unknown_fields_are_left_alone():
    """A later minor addition does not stop an older reader."""
    document = json.loads(golden("event.pos.sale.json")) | {"later": {"x": 1}}
    document["data"]["later"] = [1]

    assert parse_event(json.dumps(document).encode()).type == "pos.sale"


def test_a_hub_fact_is_read_without_a_schema_of_the_box():
    """Lane `hub` carries facts of any type as plain values."""
    raw = encode_event(
        type="device.enrolled", device="hub", gen=1, lane="hub", n=1, occurred=TIME, data={"a": 1}
    )

    assert parse_event(raw).data == Fact(values={"a": 1})
