"""Scooters over a real Mosquitto: nothing acknowledged is lost, nothing is stored twice."""

import threading
import time

import pytest

from edge_agent import errors
from edge_agent.buffer import Capture
from edge_agent.config import MqttConfig
from edge_agent.sources.scooter_mqtt import BACKOFF_FIRST_MS, ScooterMqtt
from shared.clock import SystemClock
from tests.edge_agent.sources.brokers import AGENT, SERIALS, SHIPPED, Broker, Scooter
from tests.edge_agent.sources.conftest import eventually, occurred

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("mosquitto")]
LATER_MS = 600_000


@pytest.fixture(scope="module")
def shared_broker(tmp_path_factory):
    """One broker for the tests that do not restart it."""
    broker = Broker(tmp_path_factory.mktemp("broker")).start()
    yield broker
    broker.stop()


@pytest.fixture
def own_broker(tmp_path):
    """A broker the test may stop and start."""
    broker = Broker(tmp_path / "broker").start()
    yield broker
    broker.stop()


@pytest.fixture
def ride(request):
    """Makes scooters that sign out after the test."""
    scooters = []

    def make(broker, serial=SERIALS[0], **how):
        scooters.append(Scooter(broker, serial, **how))
        return scooters[-1]

    yield make
    for scooter in scooters:
        scooter.close()


def source_at(broker, sink, *, commit_ms=20, catch_up_ms=60_000, **changes):
    """A source that is not running yet."""
    config = {
        "port": broker.port,
        "username": AGENT,
        "password_file": broker.folder / "agent-password",
        "authenticated_by": "broker",
        **changes,
    }
    return ScooterMqtt(
        MqttConfig(**config),
        sink=sink,
        clock=SystemClock(),
        when=occurred,
        telemetry_commit_ms=commit_ms,
        catch_up_ms=catch_up_ms,
    )


def connected(source):
    """Wait until the broker has taken the source in."""
    eventually(lambda: source.state().state == "ok")
    return source


class Running:
    """A source in a thread of its own that a test may end."""

    def __init__(self, source):
        self.source = source
        self._stop = threading.Event()
        self._thread = threading.Thread(target=source.run, args=(self._stop,), daemon=True)
        self._thread.start()
        connected(source)

    def __enter__(self):
        return self.source

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


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


def count(source, name):
    """A counter of the source."""
    return source.state().counters.get(name, 0)


@pytest.mark.parametrize("protocol", [5, 3])
def test_a_report_is_stored_with_what_the_scooter_says(
    shared_broker, store, running, ride, protocol
):
    """Every documented field arrives, on MQTT 5 and on 3.1.1."""
    connected(running(source_at(shared_broker, store.buffer, protocol=protocol)))

    ride(shared_broker).report(odo_m=3120, fw="2.4.1", lat=-6.2, lon=106.8, up_ms=88)

    (event,) = eventually(lambda: store.events("scooter.report"))
    data = event.data
    assert (SERIALS[0], "stock", 71, 3120, "2.4.1", "b7", 1, {"up_ms": 88}) == (
        data.serial, data.state, data.battery_pct, data.odometer_m, data.firmware,
        data.boot, data.counter, data.extra,
    )  # fmt: skip
    assert (-6.2, 106.8) == (data.position.lat, data.position.lon)
    assert "broker" == event.authenticated_by


def test_what_is_not_stored_is_not_acknowledged(own_broker, store, running, ride):
    """The disk is full: the broker keeps every report, and the next source gets all of them."""
    scooter = ride(own_broker)
    with Running(source_at(own_broker, FullBuffer(store.buffer))) as deaf:
        for _ in range(30):
            scooter.report()
        eventually(lambda: count(deaf, "received") == 30)
        assert "failed" == eventually(lambda: deaf.state().state != "ok" and deaf.state().state)

    connected(running(source_at(own_broker, store.buffer)))

    eventually(lambda: len(store.events("scooter.report")) == 30)
    assert list(range(1, 31)) == [event.data.counter for event in store.events()]


def test_a_full_disk_that_clears_is_drained_in_order(own_broker, store, running, ride):
    """The same connection goes on: nothing is asked of the broker twice, nothing is missing."""
    disk = FullBuffer(store.buffer)
    source = connected(running(source_at(own_broker, disk)))
    scooter = ride(own_broker)
    for _ in range(30):
        scooter.report()
    eventually(lambda: source.state().state == "failed")

    disk.full = False

    eventually(lambda: len(store.events()) == 30)
    assert list(range(1, 31)) == [event.data.counter for event in store.events()]


def test_nothing_of_an_earlier_connection_is_acknowledged(own_broker, store, running, ride):
    """The broker restarts while reports wait for their commit: it sends them again, they are
    stored once, and at the end it owes us nothing."""
    scooter = ride(own_broker)
    with Running(source_at(own_broker, store.buffer, commit_ms=LATER_MS)) as source:
        for _ in range(30):
            scooter.report()
        eventually(lambda: count(source, "received") == 30)
        own_broker.stop()
        own_broker.start()
        eventually(lambda: count(source, "connection_lost") == 1)
        eventually(lambda: count(source, "received") == 60)
        assert 30 == len(store.events())
    assert 30 == count(source, "duplicates")

    with Running(source_at(own_broker, store.buffer)) as after:
        scooter.report()
        eventually(lambda: count(after, "stored") == 1)
        assert 1 == count(after, "received")


def test_reports_that_waited_at_the_broker_say_how_old_they_may_be(
    own_broker, store, running, ride
):
    """A report the broker held while this box was off is not dated as if it were fresh."""
    with Running(source_at(own_broker, store.buffer)):
        pass
    scooter = ride(own_broker)
    scooter.report().wait_for_publish(10)

    source = connected(running(source_at(own_broker, store.buffer)))
    eventually(lambda: len(store.events()) == 1)
    eventually(lambda: source._stale_ms is None)
    scooter.report()
    eventually(lambda: len(store.events()) == 2)

    waited, fresh = (event.occurred.err_ms for event in store.events())
    assert waited > 24 * 3600 * 1000
    assert fresh <= 1000
    assert 0 == count(source, "rejected")


def test_a_fault_is_committed_at_once_with_all_before_it(shared_broker, store, running, ride):
    """Reports may wait for company; a fault does not, and the order stays."""
    connected(running(source_at(shared_broker, store.buffer, commit_ms=LATER_MS)))
    scooter = ride(shared_broker)

    scooter.report()
    scooter.say("state", {"v": 1, "boot": "b7", "c": 9, "fault": {"code": "E21", "detail": "x"}})

    report, fault = eventually(lambda: len(store.events()) == 2 and store.events())
    assert ("scooter.report", "scooter.fault") == (report.type, fault.type)
    assert ("E21", "x", SERIALS[0]) == (fault.data.code, fault.data.detail, fault.data.serial)


def test_a_hundred_reports_share_one_commit(shared_broker, store, running, ride):
    """Flash is spared: 500 reports are a handful of commits, none of them by age."""
    source = connected(running(source_at(shared_broker, store.buffer, commit_ms=LATER_MS)))
    before = store.buffer.commits
    scooter = ride(shared_broker)

    for _ in range(500):
        scooter.report()

    eventually(lambda: count(source, "stored") == 500)
    assert store.buffer.commits - before <= 6


def test_a_redelivered_report_is_stored_once(shared_broker, store, running, ride):
    """Same boot, same counter: the same report, however often it comes."""
    source = connected(running(source_at(shared_broker, store.buffer)))
    scooter = ride(shared_broker)
    for counter in (1, 2, 1, 2, 3):
        scooter.report(c=counter)
    scooter.report(c=1, boot="b8")

    eventually(lambda: count(source, "received") == 6)
    eventually(lambda: len(store.events()) == 4)
    eventually(lambda: count(source, "duplicates") == 2)


@pytest.mark.parametrize(
    ("kind", "payload", "why"),
    [
        ("telemetry", b"\xff\x00 junk", "json"),
        ("telemetry", b'{"v":1', "json"),
        ("telemetry", b'["v",1]', "json"),
        ("telemetry", {"v": 2, "bat": 3}, "version"),
        ("telemetry", {"v": 1, "serial": SERIALS[5]}, "serial_mismatch"),
        ("ack", {"v": 1, "id": "7"}, "id"),
        ("ack", {"v": 1, "id": "0.0"}, "id"),
        ("telemetry", b'{"v":1,"x":"' + b"a" * 20_000 + b'"}', "oversize"),
        ("telemetry", b"[" * 10_000, "json"),
    ],
)
def test_junk_is_kept_counted_by_scooter_and_costs_nothing(
    shared_broker, store, running, ride, kind, payload, why
):
    """Whatever a scooter sends: the next good report is stored, the junk is told by its serial."""
    source = connected(running(source_at(shared_broker, store.buffer)))
    scooter = ride(shared_broker)

    scooter.say(kind, payload)
    scooter.report()

    eventually(lambda: len(store.events("scooter.report")) == 1)
    assert 1 == count(source, f"rejected.{SERIALS[0]}") == count(source, f"rejected_{why}")
    ((name, reason, raw),) = store.rejected()
    assert ("mqtt", why) == (name, reason)
    assert SERIALS[0].encode() in raw
    assert len(raw) < 1000


def test_five_megabytes_are_refused_unread(tmp_path, store, running, ride):
    """A broker without our limit hands over 5 MB: rejected, counted, acknowledged, gone."""
    broker = Broker(tmp_path / "broker", {"message_size_limit": "0"}).start()
    try:
        source = connected(running(source_at(broker, store.buffer)))
        scooter = ride(broker)
        scooter.say("telemetry", b'{"v":1,"x":"' + b"a" * 5_000_000 + b'"}')
        scooter.report()
        eventually(lambda: len(store.events()) == 1)
        assert 1 == count(source, "rejected_oversize")
        running.stop.set()
        eventually(lambda: source._client is None)
        with Running(source_at(broker, store.buffer)) as after:
            scooter.report()
            eventually(lambda: count(after, "stored") == 1)
            assert 1 == count(after, "received")
    finally:
        broker.stop()


def test_the_shipped_broker_stops_what_is_too_large(shared_broker, store, running, ride):
    """message_size_limit: 70 kB never reach the box."""
    source = connected(running(source_at(shared_broker, store.buffer)))
    large, good = ride(shared_broker, SERIALS[1]), ride(shared_broker, SERIALS[2])

    large.say("telemetry", b" " * 70_000)
    good.report()

    eventually(lambda: len(store.events()) == 1)
    assert 1 == count(source, "received")


@pytest.mark.parametrize(
    ("said", "is_sold", "told"),
    [("stock", False, True), ("sold", False, False), ("riding", False, False),
     (None, False, False), ("stock", True, False)],
)  # fmt: skip
def test_a_position_is_told_only_of_a_thing_in_a_shop(
    shared_broker, store, running, ride, said, is_sold, told
):
    """Unless the scooter itself says stock and this box knows of no sale, there is no position."""
    unit = {
        "serial": SERIALS[0], "serial_raw": SERIALS[0], "model": "E8",
        "list_idr": 1, "discount_idr": 0, "net_idr": 1,
    }  # fmt: skip
    if is_sold:
        data = {
            "till": "T1", "receipt": "R1", "units": [unit], "payment": "cash",
            "operator": None, "buyer": None,
        }  # fmt: skip
        store.buffer.put([Capture(type="pos.sale", data=data, occurred=occurred(1, 0))])
    source = connected(running(source_at(shared_broker, store.buffer)))

    ride(shared_broker).report(state=said, lat=-6.21, lon=106.85)

    (event,) = eventually(lambda: store.events("scooter.report"))
    assert told == (event.data.position is not None)
    assert told == (b"106.85" in store.everything())
    eventually(lambda: count(source, "stored") == 1)


def test_an_answer_closes_its_activation_once(shared_broker, store, running, ride):
    """The ack becomes scooter.activated naming the sale; a second one changes nothing."""
    source = connected(running(source_at(shared_broker, store.buffer)))
    scooter = ride(shared_broker)
    scooter.answers = True
    (sale,) = store.buffer.put(
        [
            Capture(
                type="pos.sale",
                data={"till": "T1", "receipt": "R1", "units": [], "payment": "cash"},
                occurred=occurred(1, 0),
                wakes=(scooter.serial,),
            )
        ]
    )

    for _ in range(2):
        assert source.publish(scooter.serial, b'{"v":1,"id":"1.1","do":"report"}')

    (event,) = eventually(lambda: store.events("scooter.activated"))
    eventually(lambda: count(source, "duplicates") == 1)
    assert (scooter.serial, 1, 1, "2.4.1") == (
        event.data.serial, event.data.sale.gen, event.data.sale.n, event.data.firmware,
    )  # fmt: skip
    assert (1, 1) == (sale.gen, sale.n)
    assert [] == store.buffer.pending_activations()


def test_a_scooter_speaks_only_for_itself(shared_broker, store, running, ride):
    """The shipped ACL: under another's topic nothing arrives, another's commands are not heard."""
    source = connected(running(source_at(shared_broker, store.buffer)))
    thief, owner = ride(shared_broker, SERIALS[1]), ride(shared_broker, SERIALS[2])
    listener = ride(shared_broker, SERIALS[2], user=SERIALS[3])

    thief.say("telemetry", {"v": 1, "bat": 1, "boot": "x", "c": 1}, serial=SERIALS[2])
    thief.say("cmd", {"v": 1, "id": "1.1", "do": "report"}, serial=SERIALS[2])
    source.publish(SERIALS[2], b"{}")
    owner.report()

    eventually(lambda: len(store.events()) == 1)
    eventually(lambda: owner.commands)
    assert [SERIALS[2]] == [event.data.serial for event in store.events()]
    assert ([b"{}"], []) == (owner.commands, listener.commands)


def test_a_scooter_cannot_take_over_the_agents_session(shared_broker, store, running, ride):
    """Signing in with the agent's client id does not throw the agent out."""
    source = connected(running(source_at(shared_broker, store.buffer)))

    ride(shared_broker, SERIALS[4], client_id=AGENT).report()

    eventually(lambda: len(store.events()) == 1)
    assert 0 == count(source, "connection_lost")


def test_a_refused_password_is_told(shared_broker, store, running, tmp_path):
    """A technician reads what to check; the source keeps trying."""
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense", "utf-8")
    source = running(source_at(shared_broker, store.buffer, password_file=wrong))

    detail = eventually(lambda: source.state().state == "failed" and source.state().detail)

    assert "check user and password" in detail


@pytest.fixture
def broker_lacking(tmp_path):
    """Makes a broker whose access list lacks a line."""
    brokers = []

    def make(line):
        text = (SHIPPED / "acl.example").read_text("utf-8")
        assert f"{line}\n" in text
        access = tmp_path / "acl"
        access.write_text(text.replace(f"{line}\n", ""), "utf-8")
        brokers.append(Broker(tmp_path / "broker", {"acl_file": str(access)}).start())
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.stop()


@pytest.mark.parametrize("protocol", [5, 3])
@pytest.mark.parametrize("kind", ["telemetry", "state", "ack"])
def test_an_access_list_that_hides_messages_is_named(
    broker_lacking, store, running, ride, kind, protocol
):
    """A broker drops without a word what we may not read: our own marker shows it, and the
    connection that works otherwise is kept."""
    line = f"topic read scooter/+/{kind}"
    broker = broker_lacking(line)
    source = running(source_at(broker, store.buffer, protocol=protocol, catch_up_ms=300))

    detail = eventually(lambda: source.state().state == "failed" and source.state().detail)

    assert f"`{line}` below `user {AGENT}`" in detail
    scooter = ride(broker)
    scooter.report()
    scooter.say("state", {"v": 1, "boot": "b7", "c": 9, "fault": {"code": "E21"}})
    expected = {"telemetry": 1, "state": 1, "ack": 2}[kind]
    eventually(lambda: len(store.events()) == expected)
    eventually(lambda: count(source, "stored") == expected)
    assert ("failed", 0) == (source.state().state, count(source, "connection_lost"))
    assert line in source.state().detail


def test_a_marker_that_may_not_be_written_is_told_and_nothing_else_suffers(
    broker_lacking, store, running, ride
):
    """MQTT 5 refuses it in so many words; reports are heard all the same."""
    broker = broker_lacking("pattern write scooter/%u/ack")
    with Running(source_at(broker, store.buffer)):
        pass
    source = running(source_at(broker, store.buffer, catch_up_ms=300))

    eventually(lambda: "`pattern write scooter/%u/ack`" in source.state().detail)
    eventually(lambda: source._stale_ms is None)
    ride(broker).report()

    (event,) = eventually(store.events)
    assert event.occurred.err_ms <= 1000
    assert ("ok", 0) == (source.state().state, count(source, "connection_lost"))


def test_a_complete_access_list_leaves_nothing_to_complain_of(shared_broker, store, running):
    """All markers are back before their time runs out."""
    source = connected(running(source_at(shared_broker, store.buffer, catch_up_ms=300)))

    eventually(lambda: source._marker._since_ms is None)

    assert ("ok", "") == (source.state().state, source.state().detail)


def test_two_boxes_with_one_name_do_not_chase_each_other(own_broker, store, running):
    """A copied card: each throws the other out. Both come back slowly, and say what is wrong."""
    began = time.monotonic()
    boxes = [running(source_at(own_broker, store.buffer)) for _ in range(2)]

    eventually(lambda: all(count(box, "connection_lost") >= 3 for box in boxes))

    # Every return but the first of each waited at least half of the first pause.
    returns = max(count(box, "connection_lost") for box in boxes) - 1
    assert returns * BACKOFF_FIRST_MS / 2000 <= time.monotonic() - began
    for box in boxes:
        assert f"does a second box sign in as {AGENT}?" in box.state().detail


def test_without_a_broker_nothing_is_promised(store, running, tmp_path):
    """No broker: the source waits, and a command is refused instead of kept for later."""
    source = running(source_at(Broker(tmp_path / "broker"), store.buffer))

    eventually(lambda: "no broker at" in source.state().detail)

    assert not source.publish(SERIALS[0], b"{}")
