"""Several messages at once, one at a time for each person, at once after the commit, and kills."""

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from hub.outbox.rules import DOUBT_WAIT_MS, Limits
from hub.outbox.sender import THREADS, Sender
from hub.outbox.service import Outbox
from hub.store import Database
from shared.clock import SystemClock
from tests.fakes.manual_clock import ManualClock
from tests.fakes.scripted_channel import PlainWords, ScriptedChannel, draft

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("KICKSTAND_KILLS", "8"))
DEADLINE_S = 30
FAST = Limits(pair_ms=1, per_second=10_000)


def sender_of(outbox, channel, words=None, limits=FAST):
    """A sender through one channel."""
    words = words or PlainWords()
    return Sender(
        outbox, {"brand": channel}, number_for=lambda _role: "brand", renderer=words,
        addresses=words, limits={"brand": limits},
    )  # fmt: skip


def wait_until(condition):
    """Until it holds; fails after a long while."""
    tick, waited = threading.Event(), 0.0
    while not condition():
        assert waited < DEADLINE_S
        tick.wait(0.01)
        waited += 0.01


def say(database, outbox, *drafts):
    """Enqueue in one transaction."""
    database.write(lambda c: [outbox.enqueue(c, each) for each in drafts])


def test_one_person_has_one_message_in_flight_and_others_go_meanwhile(database):
    """Many threads, twenty messages to four people: to one person never two at once, in order."""
    outbox = Outbox(database, SystemClock())
    lock = threading.Lock()
    at_once: Counter[str] = Counter()
    most: Counter[str] = Counter()
    people: dict[str, str] = {}

    def during(out_id):
        person = people[out_id]
        with lock:
            at_once[person] += 1
            at_once["all"] += 1
            for who in (person, "all"):
                most[who] = max(most[who], at_once[who])
        threading.Event().wait(0.02)  # long enough for the others to begin
        with lock:
            at_once[person] -= 1
            at_once["all"] -= 1

    channel = ScriptedChannel(during=during)
    drafts = [draft(f"k{n}", to=f"per_{n % 4}", kind=f"{n:02}") for n in range(20)]
    ids = database.write(lambda c: [outbox.enqueue(c, each) for each in drafts])
    people.update(zip(ids, (each.to for each in drafts), strict=True))
    sender = sender_of(outbox, channel)
    sender.start()
    try:
        wait_until(lambda: len(channel.arrived) == 20 and sender.idle())
    finally:
        sender.stop()

    assert {most[f"per_{n}"] for n in range(4)} == {1}
    assert most["all"] > 1
    for n in range(4):
        said = [call.text for call in channel.calls if call.to == f"per_{n}"]
        assert sorted(said) == said


def test_what_is_urgent_waits_for_no_slow_answer(database):
    """Everything that may carry offers hangs at the vendor, one of them to the same person: the
    answer to a tap goes out meanwhile."""
    outbox = Outbox(database, SystemClock())
    answered = threading.Event()
    channel = ScriptedChannel(during=lambda out_id: out_id == card or answered.wait(DEADLINE_S))
    sender = sender_of(outbox, channel)
    card = ""
    say(database, outbox, *(draft(f"o{n}", to=f"per_{n}") for n in range(9)))
    sender.start()
    try:
        wait_until(lambda: len(channel.calls) >= 6)
        [card] = database.write(
            lambda c: [outbox.enqueue(c, draft("card", to="per_0", kind="card", urgent=True))]
        )
        wait_until(lambda: "card led_1" in [call.text for call in channel.calls])
        answered.set()
        wait_until(sender.idle)
    finally:
        answered.set()
        sender.stop()
    assert 10 == len(channel.arrived)


def test_what_is_enqueued_goes_out_at_once(database):
    """From the commit to the vendor's door in a quarter of a second, our own process or another."""
    outbox = Outbox(database, SystemClock())
    elsewhere = Database(database.url.render_as_string(hide_password=False))
    there = Outbox(elsewhere, SystemClock())
    reached = threading.Event()
    channel = ScriptedChannel(during=lambda _out_id: reached.set())
    sender = sender_of(outbox, channel)
    sender.start()
    waits_ms = []
    clock = SystemClock()
    try:
        say(database, outbox, draft("first", to="per_first"))
        assert reached.wait(DEADLINE_S)
        for number in range(20):
            reached.clear()
            mine = number % 2
            begun_ms = clock.mono_ms()
            new = draft(f"k{number}", to=f"per_{number}")
            say(*((database, outbox) if mine else (elsewhere, there)), new)
            assert reached.wait(DEADLINE_S)
            waits_ms.append(clock.mono_ms() - begun_ms)
    finally:
        sender.stop()
        elsewhere.close()

    # The median: another test may hold the two cores for a moment.
    assert sorted(waits_ms)[len(waits_ms) // 2] <= 250, waits_ms


def test_a_sender_that_stops_hands_over(database):
    """Stopped, it has written down what it sent; another goes on with the rest and doubts none."""
    outbox = Outbox(database, ManualClock())
    channel = ScriptedChannel()
    first = sender_of(outbox, channel)
    first.start()
    say(database, outbox, draft("a", to="per_a"))
    wait_until(lambda: channel.arrived)
    first.stop()
    say(database, outbox, draft("b", to="per_b"))
    second = sender_of(outbox, channel)
    second.start()
    try:
        wait_until(lambda: len(channel.arrived) == 2 and second.idle())
    finally:
        second.stop()

    with database.read() as connection:
        assert 0 == outbox.doubtful(connection)
        assert {"accepted"} == {row.state for row in outbox.of(connection, "led_1")}


@pytest.mark.slow
def test_kills_lose_nothing_and_double_only_what_is_counted(database, tmp_path):
    """
    A process that enqueues and sends as fast as it can is killed again and again, at random
    moments. Everything it said that it had enqueued reaches the vendor, or has failed for all to
    see where two deaths interrupted it; what reaches it twice is within the count of
    doubts, and that within what was in flight.
    """
    url, vendor = database.url.render_as_string(hide_password=False), tmp_path / "vendor"
    dice, enqueued = random.Random(20_261_122), set()
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.sender_process", url, str(vendor)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(dice.randrange(1, 120)):
            enqueued.add(process.stdout.readline().strip())
        process.kill()
        enqueued |= {line.strip() for line in process.stdout if line.endswith("\n")}
        process.stdout.close()
        process.wait(DEADLINE_S)

    clock = ManualClock(wall_ms=SystemClock().wall_ms())
    outbox, rest = Outbox(database, clock), ScriptedChannel()
    sender = sender_of(outbox, rest)
    for _ in range(200):
        while sender.step():
            pass
        clock.advance(DOUBT_WAIT_MS)
    assert sender.idle()
    sender.close()
    taken = Counter(line.split()[1] for line in vendor.read_text().splitlines())
    taken.update(rest.arrived)
    with database.read() as connection:
        rows = {row.id: row for row in outbox.of(connection, "led_1")}
        doubtful = outbox.doubtful(connection)
    assert enqueued <= rows.keys()
    assert taken.keys() <= rows.keys()
    never = [row for out_id, row in rows.items() if out_id not in taken]
    assert all((row.state, row.doubts) == ("failed", 1) for row in never)
    assert sum(taken.values()) - len(taken) <= doubtful <= KILLS * THREADS
