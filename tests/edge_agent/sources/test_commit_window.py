"""The commit window: company for reports, no waiting for what is urgent, no starving broker."""

import pytest

from edge_agent.sources.commit_window import COUNT_MAX, RETRY_MS, CommitWindow


def window(in_flight_max=500):
    """A window that lets reports wait one second."""
    return CommitWindow[int](commit_ms=1000, in_flight_max=in_flight_max)


def fill(window, count, now_ms):
    """Add `count` reports at one moment."""
    for number in range(count):
        window.add(number, now_ms, urgent=False)


def test_a_lonely_report_waits_its_second():
    """It is committed when it is a second old, not before."""
    lonely = window()
    assert lonely.wait_ms(0) is None
    fill(lonely, 1, 100)

    assert (1000, False, True) == (
        lonely.wait_ms(100), lonely.is_due(1099), lonely.is_due(1100),
    )  # fmt: skip


def test_a_hundred_reports_do_not_wait():
    """COUNT_MAX reports are one segment."""
    full = window()
    fill(full, COUNT_MAX - 1, 0)
    assert not full.is_due(0)

    fill(full, 1, 0)

    assert full.is_due(0)


def test_what_is_urgent_takes_all_with_it():
    """An answer or a fault does not wait, and nothing overtakes what came before it."""
    mixed = window()
    fill(mixed, 3, 0)
    mixed.add(99, 5, urgent=True)

    assert mixed.is_due(5)
    assert [0, 1, 2, 99] == mixed.take(5)
    assert mixed.wait_ms(5) is None


@pytest.mark.parametrize(("in_flight", "limit"), [(500, 100), (50, 40), (1, 1)])
def test_the_window_never_fills_what_we_announced(in_flight, limit):
    """At 80 % of the receive maximum the broker would soon hold back: commit before that."""
    narrow = window(in_flight)
    fill(narrow, limit, 0)

    assert narrow.is_due(0)


def test_a_broker_that_holds_back_at_twenty_is_understood():
    """20 reports, a second of nothing, and at once 20 more: from then on 20 are a full window."""
    starved = window()
    fill(starved, 20, 0)
    assert starved.is_due(1000)
    starved.take(1000)
    fill(starved, 20, 1030)
    assert starved.is_due(1030)

    starved.take(1030)
    fill(starved, 19, 1060)
    assert not starved.is_due(1060)
    starved.add(20, 1060, urgent=False)
    assert starved.is_due(1060)

    starved.forget_broker()
    assert not starved.is_due(1060)


def test_a_steady_trickle_is_not_taken_for_a_full_window():
    """Fifteen reports a second commit once a second for ever."""
    trickle = window()
    commits = 0
    for now_ms in range(0, 60_000, 66):
        trickle.add(now_ms, now_ms, urgent=False)
        if trickle.is_due(now_ms):
            trickle.take(now_ms)
            commits += 1

    assert 50 <= commits <= 60


def test_what_could_not_be_stored_is_tried_again_in_order():
    """A full disk is asked once a second, and nothing changes places."""
    refused = window()
    fill(refused, 2, 0)
    taken = refused.take(1000)
    refused.add(7, 1001, urgent=True)

    refused.put_back(taken, 1001)

    assert not refused.is_due(1001 + RETRY_MS - 1)
    assert refused.is_due(1001 + RETRY_MS)
    assert [0, 1, 7] == refused.take(3000)
