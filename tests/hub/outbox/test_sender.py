"""What waits is sent in order, as fast as allowed, once; what cannot be sent says why."""

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete

from hub.inbox.incoming import Status
from hub.outbox import store
from hub.outbox.messages import Failed, Road
from hub.outbox.moves.store import OUTBOX_MOVED
from hub.outbox.pairs import store as pairs
from hub.outbox.rules import DOUBT_WAIT_MS, WINDOW_MS, Limits
from hub.outbox.sender import Sender
from hub.outbox.service import Change, Outbox
from hub.store import Database
from hub.store.pipeline import flush
from tests.fakes.manual_clock import ManualClock
from tests.fakes.scripted_channel import PlainWords, ScriptedChannel, draft, texts

HOUR_MS = 3_600_000


class Desk:
    """An outbox with its sender, a vendor, a clock, and everything it was told."""

    def __init__(self, database, limits=None):
        self.database = database
        self.clock = ManualClock()
        self.words = PlainWords()
        self.channel = ScriptedChannel()
        self.outbox = Outbox(database, self.clock)
        self.changes: list[Change] = []
        self.stopped: list[tuple[str, Failed]] = []
        self.resumed: list[str] = []
        self.outbox.on_change.append(lambda _connection, change: self.changes.append(change))
        numbers = self.outbox.numbers
        numbers.on_stopped.append(lambda _c, number, failed: self.stopped.append((number, failed)))
        numbers.on_resumed.append(lambda _c, number: self.resumed.append(number))
        self.number = "brand"
        self.most = None
        self.limits = limits or Limits(pair_burst=5)
        self.sender = self.another()

    def another(self):
        """A sender such as the next process has."""
        return Sender(
            self.outbox,
            {"brand": self.channel},
            number_for=lambda _role: self.number,
            renderer=self.words,
            addresses=self.words,
            limits={"brand": self.limits},
            first_contacts=lambda: self.most,
        )

    def say(self, *drafts):
        """Enqueue in one transaction; the ids."""
        return self.database.write(
            lambda connection: [self.outbox.enqueue(connection, each) for each in drafts]
        )

    def open_window(self, to="per_a"):
        """The person writes to us."""
        now_ms = self.clock.wall_ms()
        self.database.write(lambda c: self.outbox.opened(c, "brand", to, now_ms))

    def status(self, word, out_id=None, message_id="wamid.0", code=None):
        """A status comes in."""
        status = Status(
            message_id=message_id, channel="meta", number="brand", status=word,
            provider_ms=None, code=code, ours=out_id,
        )  # fmt: skip
        return self.database.write(lambda c: self.outbox.on_status(c, status))

    def run(self):
        """Send until nothing may go now."""
        while self.sender.step():
            pass

    def states(self):
        """State and reason of each row in order."""
        with self.database.read() as connection:
            return [(row.state, row.reason) for row in self.outbox.of(connection, "led_1")]


@pytest.fixture
def desk(database):
    """An empty outbox before a vendor that takes everything."""
    made = Desk(database)
    yield made
    made.sender.close()


def test_a_message_goes_once_and_its_statuses_only_forward(desk):
    """Enqueued twice under one key, it is one; read, then a late delivered, stays read."""
    first, again = desk.say(draft("k"), draft("k"))
    assert first == again

    desk.run()
    assert [("accepted", None)] == desk.states()
    desk.status("read", first)
    desk.status("delivered", first)
    desk.status("sent", first)
    desk.status("failed", first, code=131026)

    assert [("read", None)] == desk.states()
    assert ["accepted", "read"] == [change.state for change in desk.changes]
    assert 1 == len(desk.channel.calls)


def test_without_a_number_everything_waits_until_it_is_too_late(desk):
    """No channel: nothing is lost, and what is stale by the time there is one is withheld."""
    desk.number = None
    soon = desk.clock.wall_ms() + HOUR_MS
    desk.say(draft("stale", not_after_ms=soon), draft("lasting"))
    desk.run()
    assert [("queued", None)] * 2 == desk.states()

    desk.clock.advance(HOUR_MS + 1)
    desk.run()
    desk.number = "brand"
    desk.run()

    assert [("withheld", "too_late"), ("accepted", None)] == desk.states()


def test_one_person_hears_things_in_order_and_not_too_fast(desk):
    """A small burst, then one message in six seconds, in the order of enqueueing."""
    desk.say(*(draft(f"k{n}", ref="led_1", kind=f"{n}") for n in range(8)))
    desk.run()
    assert [f"{n} led_1" for n in range(5)] == texts(desk.channel.calls)

    for sent in (6, 7, 8):
        desk.clock.advance(5_999)
        desk.run()
        assert sent - 1 == len(desk.channel.calls)
        desk.clock.advance(1)
        desk.run()
        assert sent == len(desk.channel.calls)
    assert [f"{n} led_1" for n in range(8)] == texts(desk.channel.calls)


def test_what_is_urgent_overtakes_and_keeps_its_own_order(desk):
    """Five offers have used the burst up and two wait: an answer to a tap is the next to go, and
    two answers go in the order in which they were decided."""
    desk.say(*(draft(f"k{n}", kind=f"{n}") for n in range(7)))
    desk.run()
    desk.say(draft("a", kind="card", urgent=True), draft("b", kind="contact", urgent=True))
    desk.channel.calls.clear()

    for _ in range(4):
        desk.clock.advance(6_000)
        desk.run()

    assert ["card led_1", "contact led_1", "5 led_1", "6 led_1"] == texts(desk.channel.calls)


def test_what_is_urgent_does_not_wait_for_another_try_of_something_else(desk):
    """An offer waits for its second attempt: the answer goes now, and then the offer."""
    desk.channel.script = [Failed("retry", 131016, "later")]
    desk.say(draft("offer", kind="offer"))
    desk.sender.step()
    desk.say(draft("card", kind="card", urgent=True))
    desk.run()
    assert ["offer led_1", "card led_1"] == texts(desk.channel.calls)

    desk.clock.advance(1_000)
    desk.run()
    assert "offer led_1" == texts(desk.channel.calls)[-1]


@pytest.mark.parametrize("how", ["withdrawn", "erased"])
@pytest.mark.parametrize("urgent", [True, False])
def test_what_waited_behind_something_taken_back_goes_now(desk, how, urgent):
    """Not at the time when the other would have gone again, as if that were still to be said."""
    desk.channel.script = [Failed("retry", 131016, "later")]
    desk.say(draft("first", kind="card", ref="led_2", urgent=urgent), draft("second"))
    desk.sender.step()
    desk.run()
    assert 1 == len(desk.channel.calls)

    if how == "withdrawn":
        desk.database.write(lambda c: desk.outbox.withdraw(c, ref="led_2", kinds={"card"}))
    else:
        now_ms = desk.clock.wall_ms()
        desk.database.write(lambda c: store.blank(c, "led_2", "per_a", now_ms))
    desk.run()

    assert [("accepted", None)] == desk.states()


def test_who_is_held_up_is_not_looked_at_again_until_then(desk):
    """Behind a first message that waits the whole queue of a person waits: nothing is due, nothing
    of it is written, and what is said meanwhile changes nothing of that."""
    desk.say(*(draft(f"k{n}", kind=f"{n}") for n in range(30)))
    with desk.database.read() as connection:
        before = desk.outbox.of(connection, "led_1")[5:]
    desk.run()
    later_ms = desk.clock.wall_ms() + 60_000
    desk.say(draft("more"), draft("card", urgent=True), draft("later", not_before_ms=later_ms))
    desk.run()

    now_ms = desk.clock.wall_ms()
    reps = Road("reps")
    for urgent in (True, False):
        assert [] == desk.sender._lines.due(reps, now_ms + 5_999, 9, urgent=urgent)
        [line] = desk.sender._lines.due(reps, now_ms + 6_000, 9, urgent=urgent)
        assert ("per_a", urgent) == (line.to, line.urgent)
    with desk.database.read() as connection:
        assert before == desk.outbox.of(connection, "led_1")[5:30]


def test_what_nobody_told_of_is_sent_within_a_minute(desk):
    """An older release that still runs beside us enqueues, and does not know whom to tell."""
    desk.run()
    desk.say(draft("k"))
    desk.database.write(lambda c: c.execute(delete(OUTBOX_MOVED)))
    desk.run()
    assert [("queued", None)] == desk.states()

    desk.clock.advance(60_000)
    desk.run()
    assert [("accepted", None)] == desk.states()


def test_a_person_for_whom_nothing_waits_has_no_line(desk):
    """The sender forgets who has heard everything: its memory is that of what waits."""
    desk.say(*(draft(f"k{n}", to=f"per_{n}") for n in range(300)))
    desk.run()
    assert 300 - 72 == len(desk.sender._lines)  # what a number takes in a second has gone
    for _ in range(5):
        desk.clock.advance(1_000)
        desk.run()

    assert {("accepted", None)} == set(desk.states())
    assert 0 == len(desk.sender._lines)


def test_who_is_held_up_holds_up_nobody_else(desk):
    """A pair rate refused by the vendor delays that person alone, four times longer each time."""
    desk.channel.script = [Failed("pair", 131056, "pair rate")] * 2
    desk.say(draft("a1", kind="1"), draft("a2", kind="2"), draft("b", to="per_b", kind="3"))
    desk.sender.step()
    desk.channel.script = desk.channel.script[:1]
    desk.run()
    before = len(desk.channel.calls)

    desk.clock.advance(5_999)
    desk.run()
    assert before == len(desk.channel.calls)
    desk.clock.advance(24_000)
    desk.run()
    desk.clock.advance(24_000)
    desk.run()

    by_a = [call.text for call in desk.channel.calls if call.to == "per_a"]
    assert "2 led_1" == by_a[-1]
    assert {"1 led_1"} == set(by_a[:-1])
    assert {"accepted"} == {state for state, _ in desk.states()}


def test_a_passing_trouble_is_retried_ever_later(desk):
    """1 s, 2 s, 4 s: the message is neither lost nor doubled."""
    desk.channel.script = [Failed("retry", 131000, "oops")] * 3
    desk.say(draft("k"))
    gaps = []
    for _ in range(3):
        desk.run()
        calls, gap_s = len(desk.channel.calls), 0
        while len(desk.channel.calls) == calls:
            desk.clock.advance(1_000)
            gap_s += 1
            desk.run()
        gaps.append(gap_s)

    assert [1, 2, 4] == gaps
    assert [("accepted", None)] == desk.states()


@pytest.mark.parametrize(("action", "state"), [("unreachable", "failed"), ("permanent", "failed")])
def test_who_cannot_be_reached_is_told_to_whoever_asked(desk, action, state):
    """A refusal ends the message, and the listeners hear code and reason in the transaction."""
    desk.channel.script = [Failed(action, 131026, "not on WhatsApp")]
    desk.say(draft("k"))
    desk.run()

    assert [(state, "not on WhatsApp")] == desk.states()
    [change] = desk.changes
    assert (state, 131026, "led_1", "per_a") == (change.state, change.code, change.ref, change.to)


def test_a_full_number_and_a_blocked_one_wait_as_a_whole(desk):
    """slow: everybody waits a moment. stop: everybody waits, and somebody is told."""
    desk.channel.script = [Failed("slow", 130429, "throughput")]
    desk.say(draft("a"), draft("b", to="per_b"))
    desk.run()
    assert 2 >= len(desk.channel.calls)
    calls = len(desk.channel.calls)
    desk.run()
    assert calls == len(desk.channel.calls)
    desk.clock.advance(1_000)
    desk.run()
    assert {"accepted"} == {state for state, _ in desk.states()}

    desk.channel.script = [Failed("stop", 131031, "locked")]
    desk.say(draft("c", to="per_c"))
    desk.run()
    assert [("brand", 131031)] == [(number, failed.code) for number, failed in desk.stopped]
    desk.say(draft("d", to="per_d"))
    calls = len(desk.channel.calls)
    desk.clock.advance(299_000)
    desk.run()
    assert calls == len(desk.channel.calls)
    assert [] == desk.resumed
    desk.clock.advance(1_000)
    desk.run()
    assert {"accepted"} == {state for state, _ in desk.states()}
    assert ["brand"] == desk.resumed


def test_a_closed_window_means_a_template_from_the_start(desk):
    """Only who has written to us in the last day gets the free form."""
    desk.open_window("per_a")
    desk.say(draft("a"), draft("b", to="per_b"))
    desk.run()
    assert {("per_a", True), ("per_b", False)} == {
        (call.to, call.window_open) for call in desk.channel.calls
    }

    desk.clock.advance(WINDOW_MS)
    desk.say(draft("a2"))
    desk.run()
    assert not desk.channel.calls[-1].window_open


@pytest.mark.parametrize("later", [False, True], ids=["at once", "as a status"])
def test_131047_is_answered_with_a_template_once(desk, later):
    """The vendor says the window is closed, at once or afterwards: a template follows, one."""
    desk.open_window()
    if not later:
        desk.channel.script = [Failed("template", 131047, "re-engagement")]
    [out_id] = desk.say(draft("k"))
    desk.sender.step()
    if later:
        desk.status("failed", out_id, "wamid.0", code=131047)
        desk.status("sent", out_id, "wamid.0")
        desk.status("failed", out_id, "wamid.0", code=131047)
    desk.run()
    assert [True, False] == [call.window_open for call in desk.channel.calls]
    assert [("accepted", None)] == desk.states()

    desk.status("failed", out_id, "wamid.0", code=131047)
    assert [("accepted", None)] == desk.states()
    desk.status("failed", out_id, "wamid.1", code=131047)
    assert [("failed", "failed")] == desk.states()
    desk.say(draft("next", kind="next"))
    desk.run()
    assert not desk.channel.calls[-1].window_open


@pytest.mark.parametrize(("code", "wait_ms"), [(131056, 6_000), (131000, 1_000)])
def test_a_passing_failure_that_is_told_later_is_retried(desk, code, wait_ms):
    """Accepted and then refused in passing: again after a while, five times at most."""
    [out_id] = desk.say(draft("k"))
    desk.run()
    desk.status("failed", out_id, "wamid.0", code=code)
    desk.clock.advance(wait_ms - 1)
    desk.run()
    assert 1 == len(desk.channel.calls)
    desk.clock.advance(1)
    desk.run()
    assert [("accepted", None)] == desk.states()

    for number in range(1, 6):
        desk.status("failed", out_id, f"wamid.{number}", code=code)
        desk.clock.advance(HOUR_MS)
        desk.run()
    assert 6 == len(desk.channel.calls)
    assert [("failed", "failed")] == desk.states()


def test_a_closed_window_without_a_template_reaches_nobody(desk):
    """There is nothing that may be said: whoever asked hears it at once."""
    desk.words.template = None
    desk.say(draft("k"))
    desk.run()

    assert [("failed", "window_closed")] == desk.states()
    assert [] == desk.channel.calls


def test_who_writes_hears_everything_that_waited_for_them(desk):
    """Not only what had been held back, but what was said behind it, too, and at once."""
    desk.most = 0
    for number in range(3):
        desk.say(draft(f"k{number}", kind="card"))
        desk.run()
    assert [] == desk.channel.calls

    desk.open_window("per_a")
    desk.run()
    assert 3 == len(desk.channel.calls)


def test_no_more_strangers_are_written_to_than_allowed(database):
    """A portfolio's messaging limit: people already written to count once. Others wait for their
    turn, until the person writes, and an offer does not: somebody else is asked. What may have been
    sent counts."""
    desk = Desk(database)
    desk.most = 2
    desk.open_window("per_z")
    desk.say(*(draft(f"k{to}{n}", to=f"per_{to}", kind=f"{n}") for n in (1, 2) for to in "abcz"))
    desk.run()
    try:
        assert 6 == len(desk.channel.calls)
        assert [("queued", "messaging_limit"), ("queued", None)] == [
            each for each in desk.states() if each[0] == "queued"
        ]
        assert desk.sender.idle()
        desk.say(draft("offer", to="per_d"))
        desk.run()
        assert ("failed", "messaging_limit") == desk.states()[-1]

        desk.channel.script = [Failed("unknown", None, "silence")]
        desk.most = 3
        desk.say(draft("silent", to="per_e", kind="card"))
        desk.run()
        desk.say(draft("one more", to="per_f"))
        desk.run()
        assert ("failed", "messaging_limit") == desk.states()[-1]
        del desk.channel.calls[6:]

        desk.open_window("per_c")
        desk.run()
        assert {"per_c"} == {call.to for call in desk.channel.calls[6:]}
    finally:
        desk.sender.close()


def test_what_is_no_longer_true_or_wanted_is_not_said(desk):
    """Withdrawn, untrue when it is rendered, to somebody who is gone: withheld, with the reason."""
    desk.words.untrue = {"led_2"}
    desk.words.gone = {"per_gone"}
    desk.say(
        draft("a"), draft("b", kind="card"), draft("c", to="per_b"), draft("d", to="per_gone"),
        draft("e", ref="led_2", to="per_c"),
    )  # fmt: skip
    desk.database.write(lambda c: desk.outbox.withdraw(c, ref="led_1", kinds=["offer"], to="per_a"))
    desk.run()

    assert ["card led_1", "offer led_1"] == sorted(texts(desk.channel.calls))
    assert [
        ("withheld", "withdrawn"), ("accepted", None), ("accepted", None), ("withheld", "erased"),
    ] == desk.states()  # fmt: skip
    with desk.database.read() as connection:
        [row] = desk.outbox.of(connection, "led_2")
    assert ("withheld", "claimed") == (row.state, row.reason)


def test_words_that_cannot_be_found_stop_nobody_else(desk):
    """A renderer that fails is tried three times; then the message has failed with the reason."""
    desk.words.broken = {"led_1"}
    desk.say(draft("a"), draft("b", ref="led_2", kind="card"))
    for _ in range(5):
        desk.run()
        desk.clock.advance(10_000)

    assert [("failed", "not rendered: KeyError")] == desk.states()
    assert ["card led_2"] == texts(desk.channel.calls)


def test_a_message_for_later_holds_nothing_up(desk):
    """A nudge in half an hour is enqueued now; what is said meanwhile goes at once."""
    later = desk.clock.wall_ms() + HOUR_MS
    desk.say(draft("nudge", kind="nudge", not_before_ms=later), draft("now", kind="now"))
    desk.run()
    assert ["now led_1"] == texts(desk.channel.calls)

    desk.clock.advance(HOUR_MS)
    desk.run()
    assert ["now led_1", "nudge led_1"] == texts(desk.channel.calls)


def test_silence_is_answered_by_sending_again(desk):
    """No answer, again and again: sent once more after 5, 20 and 80 s, each counted, then failed.

    A card that does not come costs its winner the customer; one that comes twice costs nobody.
    """
    desk.channel.script = [Failed("unknown", None, "timeout")] * 9
    desk.say(draft("k", kind="card"))
    desk.run()
    for calls, wait_ms in enumerate((5_000, 20_000, 80_000), start=1):
        desk.clock.advance(wait_ms - 1)
        desk.run()
        assert calls == len(desk.channel.calls)
        desk.clock.advance(1)
        desk.run()
    desk.clock.advance(HOUR_MS)
    desk.run()

    assert 4 == len(desk.channel.calls)
    assert [("failed", "timeout")] == desk.states()
    with desk.database.read() as connection:
        assert 4 == desk.outbox.doubtful(connection)


def test_an_answer_that_cannot_be_read_is_asked_for_once_more(desk):
    """A vendor that has changed its answers gives the same again: nothing goes out four times."""
    desk.channel.script = [Failed("unknown", None, "no id", answered=True)] * 9
    desk.say(draft("k", kind="card"))
    for _ in range(4):
        desk.run()
        desk.clock.advance(HOUR_MS)

    assert 2 == len(desk.channel.calls)
    assert [("failed", "no id")] == desk.states()


def test_an_offer_in_doubt_is_sent_again_only_once(desk):
    """Then its place goes to somebody else, while that still helps."""
    desk.channel.script = [Failed("unknown", None, "timeout")] * 9
    desk.say(draft("k", kind="offer"))
    desk.run()
    desk.clock.advance(HOUR_MS)
    desk.run()
    desk.clock.advance(HOUR_MS)
    desk.run()

    assert 2 == len(desk.channel.calls)
    assert [("failed", "timeout")] == desk.states()


def test_a_message_in_doubt_keeps_a_card_for_five_seconds_at_most(desk):
    """Its second silence lets what waits behind it go first, urgent or not."""
    desk.channel.script = [Failed("unknown", None, "timeout")] * 2
    desk.say(
        draft("notice", kind="too_slow", urgent=True),
        draft("card", kind="card", urgent=True),
        draft("offer"),
    )
    desk.run()
    assert ["too_slow led_1"] == texts(desk.channel.calls)
    desk.clock.advance(DOUBT_WAIT_MS)
    desk.run()
    said = texts(desk.channel.calls)
    assert ["too_slow led_1", "too_slow led_1", "card led_1", "offer led_1"] == said
    desk.clock.advance(20_000)
    desk.run()
    assert 5 == len(desk.channel.calls)
    assert {"accepted"} == {state for state, _ in desk.states()}


def test_a_status_ends_the_doubt(desk):
    """The answer was lost, but a status says that the message went: it is not sent again."""
    desk.channel.script = [Failed("unknown", None, "timeout")]
    [out_id] = desk.say(draft("k"))
    desk.run()
    desk.status("sent", out_id, "wamid.9")
    desk.clock.advance(HOUR_MS)
    desk.run()

    assert 1 == len(desk.channel.calls)
    assert "accepted" == desk.states()[0][0]
    desk.status("read", None, "wamid.9")
    assert "read" == desk.states()[0][0]


def test_a_status_may_overtake_the_answer(desk):
    """delivered arrives while the request still waits for its answer: the row stays delivered."""
    desk.channel.during = lambda out_id: desk.status("delivered", out_id, "wamid.0")
    desk.say(draft("k"))
    desk.run()

    assert ["delivered"] == [state for state, _ in desk.states()]
    desk.status("read", None, "wamid.0")
    assert ["read"] == [state for state, _ in desk.states()]


def test_of_two_processes_one_sends(desk):
    """The second stands by, takes over when the first is gone, and doubts what was in flight."""
    other = desk.another()
    desk.say(draft("a"))
    desk.run()
    desk.say(draft("b", to="per_b"))
    assert 0 == other.step()

    _, [taken] = desk.sender._round()
    desk.sender.close()
    try:
        assert 0 == other.step()
        desk.clock.advance(DOUBT_WAIT_MS)
        assert 1 == other.step()
    finally:
        other.close()
    assert taken.row.id == desk.channel.calls[-1].out_id
    assert {"accepted"} == {state for state, _ in desk.states()}
    with desk.database.read() as connection:
        assert 1 == desk.outbox.doubtful(connection)


@pytest.mark.postgres
def test_whoever_writes_to_us_at_this_moment_is_not_waited_for(postgres_url):
    """Another process acts on their message: theirs is sent next, others' now, nobody waits."""
    database, other = Database(postgres_url), Database(postgres_url)
    desk = Desk(database)
    now_ms = desk.clock.wall_ms()

    def both_have_written(connection):
        for person in ("per_a", "per_b"):
            pairs.opened(connection, {("brand", person): now_ms})

    database.write(both_have_written)
    desk.say(draft("a"), draft("b", to="per_b"))
    written, act = threading.Event(), threading.Event()

    def acts(connection):
        pairs.opened(connection, {("brand", "per_a"): now_ms + 1})
        flush(connection)
        written.set()
        assert act.wait(30)

    try:
        job = other.submit(acts)
        assert written.wait(30)
        desk.sender.step()
        assert ["per_b"] == [call.to for call in desk.channel.calls]
        act.set()
        job.result(30)
        desk.sender.step()
        assert ["per_b", "per_a"] == [call.to for call in desk.channel.calls]
    finally:
        act.set()
        desk.sender.close()
        other.close()
        database.close()


def test_mail_goes_its_own_road(desk):
    """No window, no messaging limit, and while WhatsApp has blocked the number it still goes."""
    mail = ScriptedChannel(name="mail")
    desk.most = 0
    desk.channel.script = [Failed("stop", 131031, "locked")]
    desk.sender.close()
    desk.sender = Sender(
        desk.outbox, {"brand": desk.channel, "mail": mail}, number_for=lambda _role: "brand",
        renderer=desk.words, addresses=desk.words,
    )  # fmt: skip
    desk.open_window("per_a")
    desk.say(draft("offer"))
    desk.run()
    desk.say(replace(draft("mail", to="dlr_SBY01"), channel="mail", role="reps"))
    desk.run()

    assert [("dlr_SBY01", True)] == [(call.to, call.window_open) for call in mail.calls]
    assert {"whatsapp": "queued", "mail": "accepted"} == {
        each["channel"]: each["state"] for each in desk.outbox.page(None, 9)["items"]
    }


@pytest.mark.postgres
def test_whose_turn_it_is_compares_no_two_messages_without_their_recipient(postgres_url):
    """On a table without statistics, too: each look goes into the index of one recipient.

    As a join over all that waits it took minutes and held the whole process.
    """
    database = Database(postgres_url)
    desk = Desk(database)
    try:
        desk.say(*(draft(f"k{n}", to=f"per_{n % 7}") for n in range(200)))
        people = json.dumps([f"per_{n}" for n in range(7)])
        asked = {"people": people, "channel": "whatsapp", "now_ms": 1, "passed": 2}
        for urgent in (0, 1):
            with database.read() as connection:
                driver: Any = connection.connection.driver_connection
                rows = driver.execute(
                    f"EXPLAIN {store._FRONTS_OF._postgres}", {**asked, "urgent": urgent}
                ).fetchall()
            plan = "\n".join(row[0] for row in rows)
            scans = plan.count("Scan") - plan.count("Function Scan on")
            assert (
                plan.count("Index Cond: ((recipient = who.person)")
                + plan.count("Index Cond: (recipient = who.person)")
                == scans
            ), plan
    finally:
        desk.sender.close()
        database.close()
