"""What may become of a message: the whole product of states and events, and of its clocks."""

from itertools import pairwise, permutations, product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.outbox import rules
from hub.outbox.messages import State
from hub.outbox.rules import EVENTS, FINAL, NEXT, STATES, Event, Limits

STATUSES: tuple[Event, ...] = ("sent", "delivered", "read", "failed")
WAY = ["queued", "sending", "accepted", "delivered", "read"]


def fold(state, events):
    """The state after `events`."""
    for event in events:
        state = rules.next_state(state, event) or state
    return state


def test_the_table_speaks_of_every_state_and_event_and_of_no_other():
    """The words of the types, of the table and of the schema are the same."""
    assert set(STATES) == set(get_args(State))
    assert set(EVENTS) == set(get_args(Event))
    assert set(NEXT) <= set(product(STATES, EVENTS))
    assert set(NEXT.values()) <= set(STATES)
    assert {event for _, event in NEXT} == set(EVENTS)


@pytest.mark.parametrize(("state", "event"), list(product(STATES, EVENTS)))
def test_every_pair_goes_forward_ends_or_changes_nothing(state, event):
    """
    Final states stay. A status never takes a message back. Only `again` does, from where it is
    not yet known to have arrived.
    """
    after = rules.next_state(state, event)

    if state in FINAL:
        assert after is None
    elif after is not None and after not in {"failed", "withheld"}:
        back = WAY.index(after) < WAY.index(state)
        assert back == (event == "again")
        assert not back or state in {"sending", "accepted"}
    if after == "withheld":
        assert event == "withhold"
    if after == "failed":
        assert event in {"refuse", "failed"}


@pytest.mark.parametrize("start", ["sending", "accepted"])
def test_good_statuses_give_one_result_in_any_order(start):
    """sent, delivered and read in any of their orders, repeated or missing: the furthest holds."""
    for count in range(4):
        for some in permutations(("sent", "delivered", "read"), count):
            furthest = max(
                [start, *({"sent": "accepted"}.get(each, each) for each in some)], key=WAY.index
            )
            assert fold(start, some) == furthest
            assert fold(start, some + some) == furthest


@given(st.lists(st.sampled_from(STATUSES)))
def test_a_failure_is_the_end(statuses):
    """Once it has failed, no late status brings it back."""
    assert "failed" == fold("failed", statuses)


def test_arrived_is_not_failed():
    """A failure that is told behind a delivery is an old one."""
    assert "delivered" == fold("accepted", ["delivered", "failed"])


@given(
    st.lists(st.integers(0, 20_000), min_size=1, max_size=60),
    st.integers(1, 8),
    st.integers(1, 10_000),
)
def test_nobody_is_written_to_faster_than_the_pair_rate(gaps, burst, pair_ms):
    """In any stretch of time at most the burst and one message per pair_ms, and no idle budget."""
    limits = Limits(pair_ms=pair_ms, pair_burst=burst)
    now_ms, paced_ms, sent = 1_000_000, 0, []
    for gap_ms in gaps:
        now_ms += gap_ms
        now_ms += rules.pair_wait_ms(paced_ms, now_ms, limits)
        assert 0 == rules.pair_wait_ms(paced_ms, now_ms, limits)
        paced_ms = rules.paced_after(paced_ms, now_ms, limits)
        sent.append(now_ms)

    for first, begin_ms in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= burst + (sent[last] - begin_ms) // pair_ms


@given(st.integers(1, 100))
def test_waits_grow_and_are_bounded(attempts):
    """Ever longer, never longer than the longest, and never none."""
    for wait, most_ms in ((rules.retry_wait_ms, 60_000), (rules.pair_retry_wait_ms, 1_536_000)):
        waits = [wait(each) for each in range(1, attempts + 1)]
        assert all(0 < before <= after <= most_ms for before, after in pairwise([*waits, most_ms]))


@given(st.integers(0, 2 * rules.WINDOW_MS))
def test_a_window_closes_before_the_vendor_closes_it(since_ms):
    """Open for a day less a minute after the person's last message."""
    opened_ms = 1_800_000_000_000
    assert rules.window_is_open(opened_ms, opened_ms + since_ms) == (
        since_ms < rules.WINDOW_MS - rules.WINDOW_MARGIN_MS
    )
