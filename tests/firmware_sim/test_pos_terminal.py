"""A till on a real pty, with the box's end held by the test."""

import os
import random
import select
import threading

import pytest

from firmware_sim import escpos, kpos
from firmware_sim.faults import LineFault
from firmware_sim.ground_truth import GroundTruth
from firmware_sim.pos_terminal import EscposTill, KposTill
from firmware_sim.pseudo_terminal import PseudoTerminal
from firmware_sim.receipts import Counter, ReceiptBook, Reversal
from shared.clock import SystemClock

DEADLINE_MS = 8_000
SERIAL = "KSE8JKT2600000123"


class BoxEnd:
    """The other end of the cable: reads with a deadline, writes at once."""

    def __init__(self, path):
        self._file = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self._pending = b""

    def read_until(self, mark):
        """Everything up to and with `mark`."""
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        while mark not in self._pending:
            assert poll.poll(DEADLINE_MS), f"no {mark!r} in {self._pending!r}"
            self._pending += os.read(self._file, 4096)
        found, mark, self._pending = self._pending.partition(mark)
        return found + mark

    def write(self, data):
        """To the till."""
        os.write(self._file, data)

    def close(self):
        """Let go of the cable."""
        os.close(self._file)


@pytest.fixture
def clock():
    """Real time: the ptys are real too."""
    return SystemClock()


@pytest.fixture
def counter(clock):
    """A salesroom with till T1."""
    return Counter(ReceiptBook("T1", clock), random.Random(1))


@pytest.fixture
def cable(tmp_path):
    """A plugged cable."""
    terminal = PseudoTerminal(tmp_path / "till")
    terminal.plug()
    yield terminal
    terminal.unplug()


@pytest.fixture
def running():
    """Runs tills until the test ends."""
    stop, threads = threading.Event(), []

    def run(till):
        threads.append(threading.Thread(target=till.run, args=(stop,)))
        threads[-1].start()
        return till

    yield run
    stop.set()
    for thread in threads:
        thread.join()


def wait_for(condition):
    """Until `condition` holds, within the deadline."""
    clock = SystemClock()
    until_ms = clock.mono_ms() + DEADLINE_MS
    pause = threading.Event()
    while not condition():
        assert clock.mono_ms() < until_ms, "waited too long"
        pause.wait(0.01)


@pytest.fixture
def kpos_till(cable, clock, running):
    """A till that speaks KPOS/1."""
    return running(KposTill(name="T1", cable=cable, truth=GroundTruth(), clock=clock))


def test_a_sale_is_sent_again_after_two_seconds_until_it_is_acknowledged(
    kpos_till, cable, counter, clock
):
    """Same sequence number, same content; after the acknowledgement the till is idle."""
    box = BoxEnd(cable.path)
    started_ms = clock.mono_ms()

    kpos_till.finalise(counter.receipt([counter.unit(SERIAL, "E8")]))
    first = box.read_until(b"\n")
    second = box.read_until(b"\n")

    assert first == second
    assert clock.mono_ms() - started_ms >= 2_000
    assert not kpos_till.idle()
    box.write(kpos.frame({"ack": 1}))
    wait_for(kpos_till.idle)
    box.close()


@pytest.mark.parametrize("fault", LineFault)
def test_a_spoiled_frame_is_followed_by_a_clean_one(cable, counter, running, fault):
    """Whatever happened to the first transmission, the second can be read."""
    kpos_till = running(
        KposTill(name="T1", cable=cable, truth=GroundTruth(), clock=SystemClock(), resend_ms=100)
    )
    box = BoxEnd(cable.path)
    receipt = counter.receipt([counter.unit(SERIAL, "E8")])
    kpos_till.spoil_next(fault)

    kpos_till.finalise(receipt)

    box.read_until(kpos.frame(kpos.sale_message(receipt, 1)))
    box.close()


def test_a_frame_in_flight_survives_an_unplugged_cable(kpos_till, cable, counter):
    """The cable comes back at the same path, with another terminal behind it."""
    box = BoxEnd(cable.path)
    cable.unplug()
    kpos_till.finalise(counter.receipt([counter.unit(SERIAL, "E8")]))
    assert not cable.path.exists()

    cable.plug()
    new_box = BoxEnd(cable.path)

    assert b'"t":"sale"' in new_box.read_until(b"\n")
    assert len(kpos_till._truth.sales) == 1
    box.close()
    new_box.close()


def test_a_printing_till_waits_until_somebody_listens(cable, clock, counter, running):
    """The job is held while no program has the port open, and is whole when one has."""
    till = running(
        EscposTill(name="T1", store="JKT01", cable=cable, truth=GroundTruth(), clock=clock)
    )
    receipt = counter.receipt([counter.unit(SERIAL, "E8", discount_idr=500_000)])
    till.finalise(receipt)
    assert not till.idle()

    box = BoxEnd(cable.path)

    assert box.read_until(b"LUNAS\n").startswith(escpos.INIT)
    assert box.read_until(escpos.FEED_3 + escpos.CUT)
    wait_for(till.idle)
    box.close()


def test_a_copy_says_that_it_is_one_and_is_no_new_sale(cable, clock, counter, running):
    """The list of what was finalised holds the sale once."""
    till = running(
        EscposTill(name="T1", store="JKT01", cable=cable, truth=GroundTruth(), clock=clock)
    )
    box = BoxEnd(cable.path)
    receipt = counter.receipt([counter.unit(SERIAL, "E8")])

    till.finalise(receipt)
    till.print_again(receipt)
    till.reverse(Reversal(kind="void", till="T1", number=receipt.number))

    end = escpos.FEED_3 + escpos.CUT
    assert b"SALINAN" not in box.read_until(end)
    assert b"SALINAN" in box.read_until(end)
    assert b"PEMBATALAN" in box.read_until(end)
    assert (len(till._truth.sales), len(till._truth.reversals)) == (1, 1)
    box.close()


def test_the_logo_contains_bytes_that_would_mislead_a_careless_reader():
    """A cut, an initialisation and a receipt number stand inside the graphics block."""
    logo = escpos.logo()

    assert escpos.CUT in logo
    assert b"\nNo: 1\n" in logo.replace(escpos.CUT, b"\n")
    assert int.from_bytes(logo[3:5], "little") + 5 + 7 == len(logo)
