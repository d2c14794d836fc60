"""The store's scooters heard, committed and then acknowledged, beside plain paho at QoS 1.

A real Mosquitto with the shipped settings holds reports that a load generator, a process of its
own, has put there; each side in turn takes all of them. paho acknowledges at once and keeps
nothing; ours parses, commits durably and acknowledges after the commit, in order.

    python -m bench.mqtt_receive [--rounds N] [--messages N] [--profile]
"""

import argparse
import cProfile
import pstats
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.buffer import Buffer
from edge_agent.config import MqttConfig
from edge_agent.sources.scooter_mqtt import ScooterMqtt
from shared.clock import SystemClock
from shared.wire.events import Occurred
from tests.edge_agent.sources.brokers import AGENT, SERIALS, Broker

GOAL = 0.7
ROUNDS = 7
MESSAGES = 20_000
PAYLOAD_BYTES = 250
DEADLINE_S = 120
CLOCK = SystemClock()
TOPICS = [(f"scooter/+/{kind}", 1) for kind in ("telemetry", "state", "ack")]


def main() -> None:
    """Print medians of interleaved rounds, and their ratio."""
    options = _options()
    if options.generate:
        generate(*options.generate)
        return
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "broker").start()
        try:
            _compare(broker, Path(folder), options)
        finally:
            broker.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--profile", action="store_true", help="where our time goes")
    parser.add_argument("--generate", nargs=3, type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(broker: Broker, folder: Path, options: argparse.Namespace) -> None:
    plain: list[float] = []
    ours: list[float] = []
    for number in range(options.rounds):
        sides: list[tuple[list[float], Callable[[int], float]]] = [
            (plain, lambda count: _plain(broker, count)),
            (ours, lambda count: _ours(broker, folder, count, profiled=options.profile)),
        ]
        for rates, take in sides if number % 2 else sides[::-1]:
            _open_session(broker)
            _fill(broker.port, options.messages, time.time_ns())
            rates.append(options.messages / take(options.messages))
    theirs, mine = statistics.median(plain), statistics.median(ours)
    print(f"paho at QoS 1          {theirs:7.0f}/s  ({min(plain):.0f}-{max(plain):.0f})")
    print(f"committed, then acked  {mine:7.0f}/s  ({min(ours):.0f}-{max(ours):.0f})")
    verdict = "reached" if mine >= GOAL * theirs else "NOT reached"
    print(f"ratio {mine / theirs:.2f}, goal {GOAL}: {verdict}")


# --- the load -----------------------------------------------------------------------------------


def _fill(port: int, count: int, run: int) -> None:
    """A process of its own, so that it costs the receivers nothing."""
    command = [sys.executable, "-m", "bench.mqtt_receive", "--generate"]
    subprocess.run([*command, str(port), str(count), str(run)], check=True, timeout=DEADLINE_S)


def generate(port: int, count: int, run: int) -> None:
    """Report as scooters do; returns when the broker has acknowledged everything."""
    scooters = [_scooter(port, serial) for serial in SERIALS]
    last = [
        scooter.publish(f"scooter/{serial}/telemetry", _payload(run, number), qos=1)
        for number in range(count)
        for serial, scooter in [(SERIALS[number % len(SERIALS)], scooters[number % len(SERIALS)])]
    ][-len(SERIALS) :]
    for info, scooter in zip(last, scooters, strict=True):
        info.wait_for_publish(DEADLINE_S)
        scooter.disconnect()
        scooter.loop_stop()


def _scooter(port: int, serial: str) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(serial, serial)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _payload(run: int, number: int) -> bytes:
    report = {
        "v": 1,
        "boot": f"b{run}",
        "c": number,
        "state": "stock",
        "bat": number % 101,
        "odo_m": 3000 + number,
        "fw": "2.4.1",
        "lat": -6.20876,
        "lon": 106.84559,
        "up_ms": 884_211 + number,
        "note": "",
    }
    report["note"] = "x" * (PAYLOAD_BYTES - len(orjson.dumps(report)))
    return orjson.dumps(report)


# --- the two sides ------------------------------------------------------------------------------


def _client() -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=AGENT, protocol=mqtt.MQTTv5)
    client.username_pw_set(AGENT, AGENT)
    return client


def _connect(client: mqtt.Client, broker: Broker) -> None:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    client.connect("127.0.0.1", broker.port, clean_start=False, properties=properties)
    client.loop_start()


def _open_session(broker: Broker) -> None:
    """The broker keeps from now on what the agent is to hear."""
    subscribed = threading.Event()
    client = _client()

    def subscribe(*_: object) -> None:
        client.subscribe(TOPICS)

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: subscribed.set()
    _connect(client, broker)
    assert subscribed.wait(10)
    client.disconnect()
    client.loop_stop()


def _plain(broker: Broker, count: int) -> float:
    """Seconds in which paho has received and acknowledged everything."""
    done, heard = threading.Event(), 0

    def hear(*_: object) -> None:
        nonlocal heard
        heard += 1
        if heard == count:
            done.set()

    client = _client()
    client.on_message = hear
    began = time.perf_counter()
    _connect(client, broker)
    assert done.wait(DEADLINE_S)
    took = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return took


def _ours(broker: Broker, folder: Path, count: int, *, profiled: bool) -> float:
    """Seconds in which everything was committed and acknowledged."""
    buffer = Buffer(
        folder / f"{time.monotonic_ns()}.db",
        device="dev_bench",
        clock=CLOCK,
        now=lambda: _occurred(CLOCK.mono_ms(), 0),
    )
    source = ScooterMqtt(
        MqttConfig(
            port=broker.port,
            username=AGENT,
            password_file=broker.folder / "agent-password",
            authenticated_by="broker",
        ),
        sink=buffer,
        clock=CLOCK,
        when=_occurred,
    )
    stop, pause, profile = threading.Event(), threading.Event(), cProfile.Profile()

    def run() -> None:
        if profiled:
            profile.runcall(source.run, stop)
        else:
            source.run(stop)

    thread = threading.Thread(target=run)
    began = time.perf_counter()
    thread.start()
    while source.state().counters.get("stored", 0) < count:
        assert time.perf_counter() - began < DEADLINE_S, source.state()
        pause.wait(0.005)
    took = time.perf_counter() - began
    stop.set()
    thread.join()
    buffer.close()
    if profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats(28)
    return took


def _occurred(mono_ms: int, err_ms: int) -> Occurred:
    return Occurred(wall_ms=None, err_ms=err_ms, clock="none", boot=CLOCK.boot, mono_ms=mono_ms)


if __name__ == "__main__":
    main()
