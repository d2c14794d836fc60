"""Activation: a sold scooter is asked until it answers or a day has passed, and never forgotten."""

import json
import threading

import pytest

from edge_agent import errors
from edge_agent.activation import (
    ASK_AFTER_MS,
    ASK_EVERY_MS,
    BROKER_RETRY_MS,
    GIVE_UP_MS,
    SAVE_MS,
    Activation,
    ask_after_ms,
    build,
    command,
)
from edge_agent.buffer import ActivationKey, Buffer, Capture
from edge_agent.config import parse
from edge_agent.timekeeping import Timekeeper
from shared.clock import SystemClock
from shared.crypto.encryption import DecryptionKey
from shared.wire.events import Occurred

SERIALS = ("KSE8JKT2600000123", "KSE8JKT2600000124")
HOUR_MS = 3_600_000


class StoppedClock:
    """A clock that moves only when told, and not when the box is off."""

    boot = "b1"

    def __init__(self):
        self.now_ms = 1_000_000

    def mono_ms(self):
        return self.now_ms

    def wall_ms(self):
        return 0


class Box:
    """A box that can be restarted: the buffer's file stays, everything else is new."""

    def __init__(self, path):
        self.path = path
        self.clock = StoppedClock()
        self.asked: list[tuple[int, str, dict[str, object]]] = []
        self.has_broker = True
        self.spent_ms = 0
        self.start()

    def start(self):
        self.buffer = Buffer(self.path, device="dev_x", clock=self.clock, now=self.now)
        self.activation = Activation(
            self.buffer, clock=self.clock, now=self.now, publish=self.publish
        )

    def restart(self):
        """Power off for an hour and on again."""
        self.buffer.close()
        self.clock.now_ms += HOUR_MS
        self.start()

    def now(self):
        return Occurred(wall_ms=None, err_ms=0, clock="none", boot="b1", mono_ms=0)

    def publish(self, serial, payload):
        if self.has_broker:
            self.asked.append((self.spent_ms, serial, json.loads(payload)))
        return self.has_broker

    def sell(self, *serials):
        data = {"till": "T1", "receipt": "R1", "units": [], "payment": "cash"}
        sale = Capture(type="pos.sale", data=data, occurred=self.now(), wakes=serials)
        (stored,) = self.buffer.put([sale])
        return stored

    def spend(self, total_ms):
        """Let running time pass, stepping whenever the activation asks for it."""
        end_ms = self.spent_ms + total_ms
        while self.spent_ms < end_ms:
            wait_ms = min(self.activation.step(), end_ms - self.spent_ms)
            self.clock.now_ms += wait_ms
            self.spent_ms += wait_ms
        self.activation.step()

    def faults(self):
        """Faults that wait for delivery."""
        found = []
        for row in self.buffer.waiting_spans():
            for raw in self.buffer.events_of(row) or ():
                event = json.loads(raw)
                found += [event] if event["type"] == "scooter.fault" else []
        return found


@pytest.fixture
def box(tmp_path):
    """A fresh box."""
    box = Box(tmp_path / "buffer.db")
    yield box
    box.buffer.close()


def test_a_sale_asks_at_once_and_names_itself(box):
    """The first step after the sale sends the request; its id is the sale's."""
    sale = box.sell(SERIALS[0])

    box.activation.step()

    request = {"v": 1, "id": f"{sale.gen}.{sale.n}", "do": "report"}
    assert [(0, SERIALS[0], request)] == box.asked


def test_units_of_one_receipt_are_asked_each_under_its_own_topic(box):
    """The id is the sale's for all of them; the serial in the topic makes the key unique."""
    box.sell(*SERIALS)

    box.activation.step()

    assert list(SERIALS) == [serial for _, serial, _ in box.asked]


def test_the_pauses_grow(box):
    """5 s, 15 s, 1 min, 5 min, then a quarter of an hour each."""
    box.sell(SERIALS[0])

    box.spend(HOUR_MS)

    times = [at for at, _, _ in box.asked]
    rest = [ASK_AFTER_MS[-1] + n * ASK_EVERY_MS for n in (1, 2, 3)]
    assert [*ASK_AFTER_MS, *rest] == times


def test_a_sale_beside_an_older_one_is_not_rushed(box):
    """Time that passed before a sale is not counted for it, whatever else is waiting."""
    box.sell(SERIALS[0])
    box.spend(SAVE_MS - 1000)
    box.asked.clear()
    box.sell(SERIALS[1])

    box.spend(4000)

    assert [SERIALS[1]] == [serial for _, serial, _ in box.asked if serial == SERIALS[1]]


def test_without_a_broker_nothing_counts_as_asked(box):
    """The request leaves as soon as the broker is back, not at the end of a long pause."""
    box.has_broker = False
    box.sell(SERIALS[0])
    box.spend(HOUR_MS)
    assert BROKER_RETRY_MS == box.activation.step()

    box.has_broker = True
    box.spend(BROKER_RETRY_MS)

    assert 1 <= len(box.asked)


def test_a_waiting_activation_costs_little_flash(box):
    """An hour without a broker is written once a minute, not once an attempt."""
    box.has_broker = False
    box.sell(SERIALS[0])
    before = box.buffer.commits

    box.spend(HOUR_MS)

    assert box.buffer.commits - before <= HOUR_MS // SAVE_MS + 1


def test_an_answer_ends_the_asking(box):
    """Once scooter.activated is stored nobody is asked again, and no fault is told."""
    sale = box.sell(SERIALS[0])
    box.spend(1000)
    data = {"serial": SERIALS[0], "sale": {"gen": sale.gen, "n": sale.n}}
    key = ActivationKey(sale.gen, sale.n, SERIALS[0])
    box.buffer.put([Capture(type="scooter.activated", data=data, occurred=box.now(), answers=key)])

    box.spend(GIVE_UP_MS + HOUR_MS)

    assert 1 == len(box.asked)
    assert [] == box.faults()


def test_a_day_without_an_answer_is_told_as_a_fault(box):
    """After 24 h of running time the fault names sale and serial, once; then nobody is asked."""
    sale = box.sell(SERIALS[0])

    box.spend(GIVE_UP_MS + HOUR_MS)

    (fault,) = box.faults()
    assert SERIALS[0] == fault["data"]["serial"]
    assert "activation_unanswered" == fault["data"]["code"]
    assert {"gen": sale.gen, "n": sale.n} == fault["data"]["sale"]
    assert max(at for at, _, _ in box.asked) < GIVE_UP_MS
    assert [] == box.buffer.pending_activations()


def test_an_answer_after_the_fault_is_still_taken(box):
    """The scooter comes back from its holiday: the activation is stored after all."""
    sale = box.sell(SERIALS[0])
    box.spend(GIVE_UP_MS)
    data = {"serial": SERIALS[0], "sale": {"gen": sale.gen, "n": sale.n}}
    late = Capture(
        type="scooter.activated",
        data=data,
        occurred=box.now(),
        answers=ActivationKey(sale.gen, sale.n, SERIALS[0]),
    )

    first, second = box.buffer.put([late])[0], box.buffer.put([late])[0]

    assert "Stored" == type(first).__name__
    assert "Duplicate" == type(second).__name__


def test_waiting_survives_restarts_and_does_not_count_them(box):
    """Ten restarts with an hour of darkness each: still 24 h of running time, give or take one
    minute a restart, and the pauses go on where they were."""
    box.sell(SERIALS[0])
    for _ in range(10):
        box.spend(2 * HOUR_MS)
        box.restart()
    assert [] == box.faults()
    asked = len(box.asked)

    box.spend(4 * HOUR_MS + 11 * SAVE_MS)

    assert 1 == len(box.faults())
    assert len(box.asked) - asked <= 5 * HOUR_MS // ASK_EVERY_MS


def test_a_void_ends_the_asking(box):
    """A reversed sale wakes nobody."""
    box.sell(SERIALS[0])
    void = {"till": "T1", "receipt": "R1", "serials": [SERIALS[0]]}
    box.buffer.put([Capture(type="pos.void", data=void, occurred=box.now())])

    box.spend(HOUR_MS)

    assert [] == box.asked


def test_a_full_disk_delays_and_loses_nothing(box, monkeypatch):
    """While the buffer takes nothing the step is repeated each second; then it goes on."""
    box.sell(SERIALS[0])

    def refuse(_key):
        raise errors.BufferFull("no room")

    with monkeypatch.context() as full:
        full.setattr(box.buffer, "mark_asked", refuse)
        assert 1000 == box.activation.step()
        assert "failed" == box.activation.state().state
    box.spend(1000)

    assert "ok" == box.activation.state().state
    assert 1 == box.buffer.pending_activations()[0].asked


def test_the_thread_wakes_for_a_sale(box):
    """`wake` leads to a step without waiting for the next minute; `stop` ends the thread."""
    stop = threading.Event()
    heard = threading.Event()

    def publish(_serial, _payload):
        heard.set()
        return True

    box.activation = Activation(box.buffer, clock=box.clock, now=box.now, publish=publish)
    thread = threading.Thread(target=box.activation.run, args=(stop,))
    thread.start()

    box.sell(SERIALS[0])
    box.activation.wake()

    assert heard.wait(5)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_the_schedule_never_asks_twice_in_one_breath():
    """Every request is due later than the one before it."""
    due = [ask_after_ms(asked) for asked in range(120)]

    assert sorted(set(due)) == due
    assert due[95] < GIVE_UP_MS < due[110]


def test_the_command_is_the_documented_one():
    """Byte for byte what docs/scooter-mqtt.md shows."""
    key = ActivationKey(2, 88213, SERIALS[0])

    assert b'{"v":1,"id":"2.88213","do":"report"}' == command(key)


def box_config(**changes):
    """The settings of a box with one of everything."""
    table = {
        "hub_url": "https://hub.example",
        "tills": [
            {"name": "till-1", "port": "/dev/serial/by-id/a"},
            {
                "name": "till-2",
                "port": "/dev/serial/by-id/b",
                "dialect": "escpos",
                "template": "epson-id",
            },
        ],
        "scooter_ports": [
            {"name": "bench-1", "port": "/dev/serial/by-id/c", "protocol": "xiaomi55aa"}
        ],
        "mqtt": {"username": "kickstand-agent"},
        **changes,
    }
    return parse(table)


def built(config, box):
    """The sources built from `config`."""
    clock = SystemClock()
    return build(
        config,
        buffer=box.buffer,
        timekeeper=Timekeeper(clock),
        clock=clock,
        encryption_key=DecryptionKey.generate().public,
    )


def test_every_source_of_the_settings_is_built(box):
    """Tills, ports, broker and the activation that speaks through it."""
    sources = built(box_config(), box)

    names = ["till-1", "till-2", "bench-1", "mqtt", "activation"]
    assert names == [source.name for source in sources]
    assert {"waiting", "ok"} >= {source.state().state for source in sources}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tills": [{"name": "t", "port": "p", "dialect": "escpos", "template": "epsom"}]},
            "till t: no template 'epsom'; shipped: epson-id, star-en",
        ),
        ({"mqtt": {"mapping": {"battery": "bat"}}}, "unknown key 'battery'"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(box, changes, message):
    """Before any port is opened, naming what is wrong and what is known."""
    with pytest.raises(errors.ConfigRefused, match=message):
        built(box_config(**changes), box)
