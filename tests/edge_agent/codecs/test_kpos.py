"""KPOS/1: what a till's line protocol promises."""

import itertools
from binascii import crc_hqx
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs import kpos
from edge_agent.codecs.till import MalformedTillMessage, TillReversal, TillSale

SALE: dict[str, Any] = {
    "seq": 17,
    "t": "sale",
    "till": "T1",
    "receipt": "20261122-0093",
    "units": [
        {
            "serial": "KSE8JKT2600000123",
            "model": "E8",
            "list": 21_900_000,
            "discount": 500_000,
            "net": 21_400_000,
        }
    ],
    "payment": "cash",
    "operator": "07",
    "buyer": {"name": "Siti Rahma", "phone": "+62 812-3456-7890"},
}
NOISE = st.binary(max_size=60).filter(lambda noise: b"K" not in noise)


def sale(message):
    """The sale that `message` carries."""
    read = kpos.parse(orjson.dumps(message))
    assert isinstance(read, TillSale)
    return read


def reversal(message):
    """The void or return that `message` carries."""
    read = kpos.parse(orjson.dumps(message))
    assert isinstance(read, TillReversal)
    return read


def payloads(found):
    """The payloads of the good frames."""
    return [item.payload for item in found if isinstance(item, kpos.Frame)]


def reasons(found):
    """Why the other bytes are none."""
    return [item.why for item in found if isinstance(item, kpos.Unreadable)]


def in_chunks(data, size):
    """`data` in pieces of `size` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def feed_all(chunks):
    """Everything one decoder finds in `chunks`."""
    decoder = kpos.Decoder()
    return [item for at_ms, chunk in enumerate(chunks) for item in decoder.feed(chunk, at_ms)]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 7, 64, 4096])
def test_frames_are_found_however_the_stream_is_cut(chunk_bytes):
    """The same three frames come out of chunks of any size."""
    stream = b"".join(kpos.encode(SALE | {"seq": seq}) for seq in range(3))

    found = feed_all(in_chunks(stream, chunk_bytes))

    assert [0, 1, 2] == [kpos.parse(payload).seq for payload in payloads(found)]
    assert [] == reasons(found)


@given(st.lists(st.tuples(NOISE, st.integers(0, 2**40)), max_size=6), st.integers(1, 80))
def test_noise_before_and_between_frames_never_loses_a_good_frame(pieces, chunk_bytes):
    """Whatever bytes stand between frames, line breaks included, every frame is found, in order."""
    frames = [kpos.encode(SALE | {"seq": seq}) for _, seq in pieces]
    stream = b"".join(noise + frame for (noise, _), frame in zip(pieces, frames, strict=True))

    found = feed_all(in_chunks(stream, chunk_bytes))

    assert [seq for _, seq in pieces] == [kpos.parse(item).seq for item in payloads(found)]


@given(st.lists(st.binary(max_size=400), max_size=8))
def test_any_bytes_are_frames_or_unreadable_and_nothing_raises(chunks):
    """The decoder takes any bytes; a frame it accepts has the right checksum."""
    found = feed_all(chunks)

    for payload in payloads(found):
        assert f"{crc_hqx(payload, 0):04X}".encode() in b"".join(chunks).upper()


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from([*SALE, *SALE["units"][0], "x"]), inner, max_size=8)
        ),
        max_leaves=12,
    ).map(
        lambda value: (
            orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
            if not _has_big_integer(value)
            else b"{}"
        )
    )
)
def test_any_payload_parses_or_is_malformed(payload):
    """`parse` raises MalformedTillMessage, and nothing else, for any bytes."""
    try:
        message = kpos.parse(payload)
    except MalformedTillMessage:
        return
    assert isinstance(message, TillSale | TillReversal)


def _has_big_integer(value):
    """Whether orjson could not write `value`."""
    if isinstance(value, int):
        return not -(2**63) <= value < 2**63
    if isinstance(value, dict):
        return any(_has_big_integer(item) for item in value.values())
    return isinstance(value, list) and any(_has_big_integer(item) for item in value)


def test_half_a_frame_costs_only_itself():
    """A till that dies in the middle of a line does not cost the next whole frame."""
    half = kpos.encode(SALE | {"seq": 1})[:90]
    whole = kpos.encode(SALE | {"seq": 2})

    found = feed_all([half, whole])

    assert [2] == [kpos.parse(payload).seq for payload in payloads(found)]
    assert 1 == len(reasons(found))


def test_a_flipped_bit_is_refused_by_the_checksum():
    """A frame with any single bit flipped is never accepted as it is."""
    good = kpos.encode(SALE)
    body = bytearray(good)
    body[40] ^= 0x04

    found = feed_all([bytes(body)])

    assert [] == payloads(found)
    assert ["crc"] == reasons(found)


def test_an_unknown_version_is_named():
    """A frame of KPOS/2 is not read as KPOS/1, and the reason says why."""
    line = b"K2 " + kpos.encode(SALE)[3:]

    assert ["version"] == reasons(feed_all([line]))


def test_a_line_without_end_is_dropped_once_and_the_next_frame_is_found():
    """40 KiB without a line end are told once; the frame right behind them is not lost."""
    stream = b"\xff" * 40_960 + kpos.encode(SALE)

    found = feed_all(in_chunks(stream, 512))

    assert ["oversize"] == reasons(found)
    assert 1 == len(payloads(found))


def test_a_frame_is_dated_by_its_first_byte():
    """Noise hours before a sale does not date the sale; nor do the chunks after its first byte."""
    decoder = kpos.Decoder()
    line = kpos.encode(SALE)

    decoder.feed(b"\x00\xff", 1_000)
    decoder.feed(line[:5], 9_000_000)
    found = decoder.feed(line[5:], 9_000_020)

    assert [9_000_000] == [item.at_ms for item in found if isinstance(item, kpos.Frame)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"t": "refund"}, "type"),
        ({"seq": "17"}, "seq"),
        ({"till": ""}, "till"),
        ({"receipt": 93}, "receipt"),
        ({"units": []}, "units"),
        ({"units": [SALE["units"][0]] * 51}, "units"),
        ({"units": [SALE["units"][0] | {"net": -21_400_000}]}, "price"),
        ({"units": [SALE["units"][0] | {"net": 10**13}]}, "price"),
        ({"units": [SALE["units"][0] | {"list": "21900000"}]}, "price"),
        ({"units": [SALE["units"][0] | {"list": 21_900_000.5}]}, "price"),
        ({"units": [SALE["units"][0] | {"list": True}]}, "price"),
        ({"units": [SALE["units"][0] | {"discount": 30_000_000}]}, "price"),
    ],
)
def test_a_message_that_makes_no_sense_is_refused_by_name(change, why):
    """A negative or absurd price, a missing field: refused with one word, never guessed."""
    with pytest.raises(MalformedTillMessage) as refusal:
        kpos.parse(orjson.dumps(SALE | change))

    assert why == refusal.value.why


@pytest.mark.parametrize(
    ("said", "serial", "serial_raw"),
    [
        (None, None, None),
        ("", None, None),
        ("NO TAG", None, "NO TAG"),
        ("kse8-jkt26 oooo0123", "KSE8JKT2600000123", "kse8-jkt26 oooo0123"),
        (17, None, None),
    ],
)
def test_a_sale_without_a_proper_serial_is_still_a_sale(said, serial, serial_raw):
    """What the till said is kept; the serial is null when that is none."""
    unit = SALE["units"][0] | {"serial": said}

    (read,) = sale(SALE | {"units": [unit]}).units

    assert (serial, serial_raw) == (read.serial, read.serial_raw)


@pytest.mark.parametrize("buyer", [None, 7, "Siti", {}, {"name": 5}, {"name": "\n", "phone": ""}])
def test_a_buyer_that_cannot_be_read_costs_the_buyer_not_the_sale(buyer):
    """The sale stands; it just has no buyer."""
    assert sale(SALE | {"buyer": buyer}).buyer is None


def test_a_buyer_is_never_printed():
    """The representation of a sale, as a log or a traceback shows it, names nobody."""
    shown = repr(sale(SALE))

    assert "Siti" not in shown
    assert "7890" not in shown


@pytest.mark.parametrize(("kind", "type_"), [("void", "pos.void"), ("return", "pos.return")])
def test_a_reversal_names_its_receipt_and_serials(kind, type_):
    """Null serials mean the whole receipt; given ones come in their normal form."""
    base = {"seq": 3, "t": kind, "till": "T1", "receipt": "R1"}

    whole = reversal(base)
    part = reversal(base | {"serials": ["kse8jkt2600000123"]})

    assert (type_, None) == (whole.type, whole.serials)
    assert (type_, ("KSE8JKT2600000123",)) == (part.type, part.serials)


def test_answers_are_frames_a_till_can_check():
    """ack and nak come in the same framing."""
    found = feed_all([kpos.ack(17) + kpos.nak(None, "crc")])

    answers = [orjson.loads(payload) for payload in payloads(found)]
    assert [{"ack": 17}, {"nak": None, "why": "crc"}] == answers


def test_the_decoder_forgets_what_it_has_read():
    """A million lines leave nothing behind, even when chunks never end where lines do."""
    decoder = kpos.Decoder()
    stream = itertools.cycle(in_chunks(kpos.encode(SALE) * 7, 100))

    for at_ms, chunk in zip(range(5_000), stream, strict=False):
        decoder.feed(chunk, at_ms)

    assert len(decoder._held) < 400
    assert len(decoder._starts) < 10
