"""What the simulated devices write, read by the agent's own codecs: two readings of one sheet."""

import random

import pytest

from edge_agent.codecs import ninebot5aa5, xiaomi55aa
from edge_agent.codecs.receipt_template import load
from edge_agent.sources.till_dialect import EscPos, Kpos
from firmware_sim import escpos, kpos
from firmware_sim.faults import LineFault, LineNoise
from firmware_sim.ground_truth import GroundTruth
from firmware_sim.pseudo_terminal import PseudoTerminal
from firmware_sim.receipts import Counter, ReceiptBook, Reversal
from firmware_sim.scooter import Scooter
from firmware_sim.scooter_frames import NINEBOT, XIAOMI, RequestReader
from firmware_sim.scooter_port import ScooterPort
from shared import serials
from shared.clock import SystemClock

SERIAL = "KSE8JKTX0126X0001"


@pytest.fixture(params=range(8))
def counter(request):
    """A salesroom, with another typist for each seed."""
    return Counter(ReceiptBook("T1", SystemClock()), random.Random(request.param))


@pytest.fixture
def receipt(counter):
    """Two units, one without a serial and one with a discount, bought by somebody."""
    return counter.receipt(
        [counter.unit(SERIAL, "E8", discount_idr=500_000), counter.unit(None, "E5")],
        payment="instalments",
    )


def same_sale(message, receipt):
    """The agent has read exactly what the till has rung up."""
    assert (message.till, message.receipt) == (receipt.till, receipt.number)
    assert (message.payment, message.operator) == (receipt.payment, receipt.operator)
    assert (message.buyer.name, message.buyer.phone) == (receipt.buyer.name, receipt.buyer.phone)
    read = [
        (unit.serial, unit.model, unit.list_idr, unit.discount_idr, unit.net_idr)
        for unit in message.units
    ]
    assert read == [
        (unit.serial, unit.model, unit.list_idr, unit.discount_idr, unit.net_idr)
        for unit in receipt.units
    ]


def in_pieces(dialect, stream, seed=1, most=37):
    """Feed a stream in random pieces, as a serial driver hands it over."""
    chance, heard = random.Random(seed), []
    while stream:
        size = chance.randrange(1, most)
        heard += dialect.feed(stream[:size], 0)
        stream = stream[size:]
    return heard


def test_a_framed_sale_is_read_as_rung_up(receipt):
    """And its acknowledgement is understood by the till."""
    dialect = Kpos()

    heard = in_pieces(dialect, kpos.frame(kpos.sale_message(receipt, 41)))

    same_sale(heard[0].message, receipt)
    assert list(kpos.AnswerReader().feed(dialect.stored(heard[0]))) == [kpos.Ack(41)]


@pytest.mark.parametrize("kind", ["void", "return"])
@pytest.mark.parametrize("units", [None, (SERIAL,)])
def test_a_framed_reversal_is_read_as_rung_up(kind, units):
    """Of everything, or of one unit."""
    reversal = Reversal(kind=kind, till="T1", number="20261122-0001", serials=units)

    heard = in_pieces(Kpos(), kpos.frame(kpos.reversal_message(reversal, 1)))

    message = heard[0].message
    assert (message.type, message.receipt) == (f"pos.{kind}", reversal.number)
    assert message.serials == units


@pytest.mark.parametrize("fault", LineFault)
@pytest.mark.parametrize("seed", range(10))
def test_after_any_fault_the_second_transmission_is_read(fault, seed):
    """A till sends again after two seconds; by then the reader has found its feet."""
    counter = Counter(ReceiptBook("T1", SystemClock()), random.Random(seed))
    receipt = counter.receipt([counter.unit(SERIAL, "E8")])
    frame = kpos.frame(kpos.sale_message(receipt, 1))
    spoiled = LineNoise(random.Random(seed)).spoil(frame, fault)

    heard = in_pieces(Kpos(), spoiled + frame + frame, seed=seed)

    read = [item.message for item in heard if item.message is not None]
    assert read
    for message in read:
        same_sale(message, receipt)


def test_a_printed_sale_is_read_as_rung_up(receipt):
    """Past a logo that contains a cut and a receipt number."""
    printed = escpos.sale_print(receipt, store="JKT01")

    heard = in_pieces(EscPos(load("epson-id")), printed)

    assert [item.why for item in heard] == [""]
    same_sale(heard[0].message, receipt)


def test_a_copy_reads_exactly_as_its_original(receipt):
    """So that the box can tell that it is no new sale."""
    original, copy = (
        in_pieces(EscPos(load("epson-id")), escpos.sale_print(receipt, store="JKT01", copy=copy))
        for copy in (False, True)
    )

    assert original[0].message == copy[0].message


@pytest.mark.parametrize("kind", ["void", "return"])
@pytest.mark.parametrize("units", [None, (SERIAL,)])
def test_a_printed_reversal_is_read_as_rung_up(kind, units):
    """Of everything, or of one unit."""
    reversal = Reversal(kind=kind, till="T1", number="20261122-0001", serials=units)

    heard = in_pieces(EscPos(load("epson-id")), escpos.reversal_print(reversal, store="JKT01"))

    message = heard[0].message
    assert (message.type, message.receipt) == (f"pos.{kind}", reversal.number)
    assert message.serials == (None if units is None else tuple(map(serials.normalise, units)))


@pytest.mark.parametrize("seed", range(10))
def test_noise_between_two_receipts_costs_neither(seed):
    """The noise is refused, the receipts are read."""
    counter = Counter(ReceiptBook("T1", SystemClock()), random.Random(seed))
    first, second = (counter.receipt([counter.unit(SERIAL, "E8")]) for _ in range(2))
    noise = bytes(byte | 0x80 for byte in LineNoise(random.Random(seed)).burst()) + escpos.CUT
    stream = (
        escpos.sale_print(first, store="JKT01") + noise + escpos.sale_print(second, store="JKT01")
    )

    heard = in_pieces(EscPos(load("epson-id")), stream, seed=seed)

    read = [item.message for item in heard if item.message is not None]
    same_sale(read[0], first)
    same_sale(read[1], second)
    assert len(read) == 2


@pytest.mark.parametrize(
    ("codec", "protocol", "start"),
    [(xiaomi55aa, "xiaomi55aa", XIAOMI), (ninebot5aa5, "ninebot5aa5", NINEBOT)],
)
def test_a_scooter_on_a_diagnosis_cable_is_read_as_it_is(tmp_path, codec, protocol, start):
    """The agent's request is understood, the answer decodes to the scooter's own numbers."""
    serial = SERIAL if protocol == "xiaomi55aa" else SERIAL[:14]
    scooter = Scooter(serial=serial, truth=GroundTruth(), millipct=61_000, odometer_mm=2_186_000)
    port = ScooterPort(scooter=scooter, cable=PseudoTerminal(tmp_path / "p"), protocol=protocol)
    decoder, requests = codec.decoder(), RequestReader(start)
    values: dict[str, object] = {}

    for register, length in ((0x10, 17), (0x1A, 2), (0xB0, 32)):
        for request in requests.feed(codec.read_request(register, length)):
            for frame in decoder.feed(port.reply(request)):
                assert codec.is_reply(frame)
                values.update(codec.readings(frame))

    assert values["serial"] == serial
    assert values["firmware"] == scooter.firmware
    assert (values["battery_pct"], values["odometer_m"]) == (61, 2_186)
