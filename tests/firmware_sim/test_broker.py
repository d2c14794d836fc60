"""Both brokers of a store, with real clients."""

import json
import logging
import threading

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware_sim.broker import AGENT_USER, Broker, EmbeddedBroker, Mosquitto, find_mosquitto
from firmware_sim.ground_truth import GroundTruth
from firmware_sim.processes import wait_until
from firmware_sim.scooter import Scooter, ScooterEvent
from firmware_sim.scooter_radio import Credentials, ScooterRadio

DEADLINE_MS = 10_000
SERIAL, OTHER = "KSE8JKT2600000123", "KSE8JKT2600000124"
AGENT = Credentials(username=AGENT_USER, password="agent-password")


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request, tmp_path):
    """A running broker that knows the box and two scooters."""
    program = find_mosquitto()
    if request.param == "mosquitto" and program is None:
        pytest.skip("no Mosquitto on this machine")
    levels = {name: logging.getLogger(name).level for name in ("amqtt", "transitions")}
    made: Broker = EmbeddedBroker()
    if request.param == "mosquitto" and program is not None:
        made = Mosquitto(program, tmp_path)
    made.admit([AGENT, Credentials(username=SERIAL, password="one")])
    made.start()
    made.admit([Credentials(username=OTHER, password="two")])
    yield made
    made.stop()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class Box:
    """A stand-in for the agent: keeps its session and hears every scooter."""

    def __init__(self, broker, account=AGENT):
        self.heard: list[tuple[str, bytes]] = []
        self.subscribed = threading.Event()
        self.refused = threading.Event()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id="box",
            clean_session=False,
            protocol=mqtt.MQTTv311,
        )
        self.client.username_pw_set(account.username, account.password)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _c, _u, message: self.heard.append(
            (message.topic, bytes(message.payload))
        )
        self.client.connect_async("127.0.0.1", broker.port)
        self.client.loop_start()

    def _connected(self, client, _userdata, _flags, reason, *_):
        if reason.is_failure:
            self.refused.set()
        else:
            channels = ("telemetry", "state", "ack")
            client.subscribe([(f"scooter/+/{channel}", 1) for channel in channels])

    def close(self):
        """Leave the broker."""
        self.client.disconnect()
        self.client.loop_stop()


class Shop:
    """Connects things to one broker."""

    def __init__(self, broker):
        self._broker = broker
        self._boxes: list[Box] = []
        self._radios: list[ScooterRadio] = []

    def box(self, account=AGENT):
        """A box that may or may not be let in."""
        self._boxes.append(Box(self._broker, account))
        return self._boxes[-1]

    def radio(self, serial=SERIAL, password="one"):
        """A scooter that listens for commands."""
        radio = ScooterRadio(
            scooter=Scooter(serial=serial, truth=GroundTruth()),
            host="127.0.0.1",
            port=self._broker.port,
            credentials=Credentials(username=serial, password=password),
        )
        self._radios.append(radio)
        radio.start()
        assert radio.listening.wait(DEADLINE_MS / 1000)
        return radio

    def close(self):
        """Disconnect everything."""
        for box in self._boxes:
            box.close()
        for radio in self._radios:
            radio.stop()


@pytest.fixture
def shop(broker):
    """Disconnects everything at the end."""
    made = Shop(broker)
    yield made
    made.close()


def test_a_command_wakes_the_scooter_and_its_answer_reaches_the_box(shop):
    """The whole way of an activation, without the agent."""
    box, radio = shop.box(), shop.radio()
    assert box.subscribed.wait(DEADLINE_MS / 1000)

    box.client.publish(f"scooter/{SERIAL}/cmd", b'{"v":1,"id":"2.88","do":"report"}', qos=1)

    wait_until(lambda: bool(box.heard), what="answer", deadline_ms=DEADLINE_MS)
    topic, payload = box.heard[0]
    assert topic == f"scooter/{SERIAL}/ack"
    assert json.loads(payload)["id"] == "2.88"
    wait_until(radio.delivered, what="PUBACK", deadline_ms=DEADLINE_MS)


def test_a_scooter_cannot_speak_for_another(shop):
    """What one scooter publishes below the other's serial reaches nobody."""
    box, radio, other = shop.box(), shop.radio(), shop.radio(OTHER, "two")
    assert box.subscribed.wait(DEADLINE_MS / 1000)

    forged = radio._client.publish(f"scooter/{OTHER}/telemetry", b"forged", qos=1)
    forged.wait_for_publish(DEADLINE_MS / 1000)
    other.scooter.happen(ScooterEvent.SWITCH_ON)
    other.do(Scooter.report)

    wait_until(lambda: bool(box.heard), what="report", deadline_ms=DEADLINE_MS)
    assert [topic for topic, payload in box.heard if payload == b"forged"] == []


def test_a_wrong_password_is_refused(shop):
    """The box's name alone opens nothing."""
    stranger = shop.box(Credentials(username=AGENT_USER, password="guess"))

    assert stranger.refused.wait(DEADLINE_MS / 1000)


def test_what_was_said_while_the_broker_was_away_arrives_afterwards(broker, shop):
    """The scooter keeps what nobody has acknowledged and sends it when the broker is back."""
    box, radio = shop.box(), shop.radio()
    assert box.subscribed.wait(DEADLINE_MS / 1000)
    broker.stop()
    box.subscribed.clear()

    radio.scooter.happen(ScooterEvent.SWITCH_ON)
    radio.do(Scooter.report)
    assert not radio.delivered()
    broker.start()

    assert box.subscribed.wait(DEADLINE_MS / 1000)
    wait_until(radio.delivered, what="PUBACK", deadline_ms=DEADLINE_MS)
    if broker.kind == "mosquitto":
        # amqtt has forgotten the box's session, so its report may come before the box does.
        wait_until(lambda: bool(box.heard), what="report", deadline_ms=DEADLINE_MS)


def test_a_power_cycle_keeps_what_was_not_acknowledged(broker, shop):
    """A new boot, and the old boot's message still goes out."""
    radio = shop.radio()
    broker.stop()
    radio.scooter.happen(ScooterEvent.SWITCH_ON)
    radio.do(Scooter.report)
    boot = radio.scooter.boot
    broker.start()

    radio.power_cycle()

    wait_until(radio.delivered, what="PUBACK", deadline_ms=DEADLINE_MS)
    assert radio.scooter.boot != boot
