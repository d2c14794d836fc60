"""A scooter on a diagnosis port: both wire protocols, answered by a controller on a pty."""

import threading
from collections.abc import Callable

import pytest

from edge_agent.codecs import ninebot5aa5, scooter_frame, xiaomi55aa
from edge_agent.config import ScooterPortConfig
from edge_agent.sources.scooter_serial import ScooterSerial
from shared.clock import SystemClock
from tests.edge_agent.sources.conftest import eventually, occurred

XIAOMI_MAIN = bytes.fromhex("000000000000000000003d00000050468a08000005007c021801") + bytes(8)
SERIALS = {"xiaomi55aa": b"KSE8JKT2600000123", "ninebot5aa5": b"KSE8JKT2600012"}


def main_block(*, battery_pct=61, odometer_m=2186, error=0):
    """The registers from 0xB0."""
    words = [error, 0, 0, 0, battery_pct, 0xFFF6, 18000]
    block = b"".join(word.to_bytes(2, "little") for word in words)
    return (block + odometer_m.to_bytes(4, "little")).ljust(32, b"\0")


def xiaomi_reply(register, data):
    """What the controller answers."""
    body = bytes((len(data) + 2, 0x23, 0x01, register)) + data
    return b"\x55\xaa" + body + scooter_frame.checksum(body)


def ninebot_reply(register, data):
    """What the controller answers."""
    body = bytes((len(data), 0x20, 0x3E, 0x04, register)) + data
    return b"\x5a\xa5" + body + scooter_frame.checksum(body)


class Controller:
    """A scooter's controller at the far end: echoes (one wire) and answers reads."""

    def __init__(self, line, protocol):
        self.line = line
        self.protocol = protocol
        self.registers = {
            0x10: SERIALS[protocol],
            0x1A: bytes.fromhex("3401"),
            0xB0: main_block(),
        }
        self.requests: list[bytes] = []
        self.noise = b""
        self._codec = {"xiaomi55aa": xiaomi55aa, "ninebot5aa5": ninebot5aa5}[protocol]
        self._reply = {"xiaomi55aa": xiaomi_reply, "ninebot5aa5": ninebot_reply}[protocol]
        self._decoder = self._codec.decoder()
        self.start()

    def start(self):
        """Begin to answer."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self):
        while not self._stop.wait(0.002):
            heard = self.line.received()
            if heard:
                self.requests.append(heard)
            for frame in self._decoder.feed(heard):
                data = self.registers.get(frame.register, b"")[: frame.data[0]]
                if data:
                    self.line.send(heard + self.noise + self._reply(frame.register, data))

    def close(self):
        """Fall silent."""
        self._stop.set()
        self._thread.join()


@pytest.fixture(params=["xiaomi55aa", "ninebot5aa5"])
def controller(request, line):
    """A controller that speaks the protocol."""
    controller = Controller(line, request.param)
    yield controller
    controller.close()


@pytest.fixture
def source(line, controller, store, running):
    """A running source that asks every 20 ms."""
    config = ScooterPortConfig(
        name="bench-1", port=str(line.path), protocol=controller.protocol, poll_ms=20
    )
    source = ScooterSerial(config, sink=store.buffer, clock=SystemClock(), when=occurred)
    return running(source)


def rounds(controller, count=3) -> Callable[[], bool]:
    """True after `count` more rounds of three questions."""
    enough = len(controller.requests) + 3 * count
    return lambda: len(controller.requests) >= enough


def test_a_connected_scooter_is_reported_with_what_it_says(source, controller, store):
    """Serial, battery, odometer and firmware come from the scooter itself; no position."""
    (report,) = eventually(lambda: store.events("scooter.report"))

    assert (SERIALS[controller.protocol].decode(), 61, 2186, "1.3.4", None) == (
        report.data.serial,
        report.data.battery_pct,
        report.data.odometer_m,
        report.data.firmware,
        report.data.position,
    )
    assert "none" == report.authenticated_by


def test_a_scooter_that_did_not_change_is_not_told_again(source, controller, store):
    """Ten rounds with the same answers are one event; a ridden metre is another."""
    eventually(lambda: store.events("scooter.report"))
    eventually(rounds(controller, 5))
    assert 1 == len(store.events("scooter.report"))

    controller.registers[0xB0] = main_block(odometer_m=2187)

    eventually(lambda: len(store.events("scooter.report")) == 2)


def test_a_fault_is_told_once(source, controller, store):
    """The error register becomes a fault when it changes, not with every round."""
    controller.registers[0xB0] = main_block(error=21)

    (fault,) = eventually(lambda: store.events("scooter.fault"))
    eventually(rounds(controller))
    assert ("E21", SERIALS[controller.protocol].decode()) == (fault.data.code, fault.data.serial)
    assert 1 == len(store.events("scooter.fault"))


@pytest.mark.parametrize("said", [b"KSE8JKT26000I2", b"N2GSO1834C0042"])
def test_half_a_serial_is_told_as_it_is_and_not_made_into_another(source, controller, store, said):
    """Fourteen characters are what a Ninebot's register holds of seventeen: reported as read,
    letter by letter, marked, and told to the technician."""
    controller.registers[0x10] = said
    controller.registers[0xB0] = main_block(error=21)

    report = eventually(
        lambda: [e for e in store.events("scooter.report") if e.data.serial == said.decode()]
    )[0]
    fault = eventually(
        lambda: [e for e in store.events("scooter.fault") if e.data.serial == said.decode()]
    )[0]

    assert True is report.data.extra["serial_doubtful"]
    assert "serial_doubtful" == fault.data.detail
    eventually(lambda: f"calls itself {said.decode()}" in source.state().detail)
    is_cut = controller.protocol == "ninebot5aa5"
    assert is_cut == ("its register holds 14" in source.state().detail)


def test_a_whole_serial_is_no_matter_of_doubt(source, controller, store):
    """Seventeen characters on a Xiaomi bus, fifteen digits would be as good."""
    if controller.protocol == "ninebot5aa5":
        controller.registers[0x10] = b"KSE8JKT2600012"
    (report,) = eventually(lambda: store.events("scooter.report"))
    is_whole = controller.protocol == "xiaomi55aa"
    assert is_whole == ("serial_doubtful" not in report.data.extra)


def test_the_next_scooter_with_the_same_fault_is_told_too(source, controller, store):
    """A fault belongs to a scooter: another one on the same cable has its own."""
    controller.registers[0xB0] = main_block(error=21)
    eventually(lambda: store.events("scooter.fault"))

    controller.registers[0x10] = b"KSE8JKT2600099"

    eventually(lambda: len(store.events("scooter.fault")) == 2)
    second = store.events("scooter.fault")[1]
    assert "KSE8JKT2600099" == second.data.serial


def test_noise_on_the_wire_costs_nothing(source, controller, store):
    """Garbage and broken frames between echo and answer are skipped."""
    controller.noise = b"\x55\xaa\x10\x5a\xa5\x00\xff"
    controller.registers[0xB0] = main_block(battery_pct=12)

    eventually(lambda: 12 in [e.data.battery_pct for e in store.events("scooter.report")])


def test_only_reads_are_ever_sent(source, controller, store):
    """Every byte that reached the scooter belongs to a read request."""
    eventually(rounds(controller))

    frames = controller._codec.decoder().feed(b"".join(controller.requests))
    assert {0x01} == {frame.command for frame in frames}


def test_a_scooter_that_is_plugged_out_is_waited_for(source, controller, line, store):
    """No answer means no report; the port being pulled means waiting, and then going on."""
    eventually(lambda: store.events("scooter.report"))
    controller.close()
    line.unplug()
    eventually(lambda: source.state().state == "waiting")

    line.plug()
    controller.registers[0xB0] = main_block(battery_pct=33)
    controller.start()

    eventually(lambda: 33 in [e.data.battery_pct for e in store.events("scooter.report")])
