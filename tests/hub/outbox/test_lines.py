"""Whose turn it may be, in memory: nobody is forgotten, nobody loses their place."""

from hypothesis import given
from hypothesis import strategies as st

from hub.outbox.lines import REPLACED_MAX, Line, Lines, Wait
from hub.outbox.messages import Road

REPS = Road("reps")


def due(lines, now_ms, limit=99, *, urgent=False):
    """Names, in their order."""
    return [line.to for line in lines.due(REPS, now_ms, limit, urgent=urgent)]


def test_news_of_somebody_who_is_due_do_not_cost_their_turn():
    """In an overload whoever is spoken to most would otherwise hear nothing at all."""
    lines = Lines()
    for turn, name in enumerate(("per_a", "per_b", "per_c")):
        lines.hear(REPS, name, turn)
    lines.hear(REPS, "per_a", 50)

    assert due(lines, 50) == ["per_a", "per_b", "per_c"]


def test_who_is_held_is_not_due_before_whatever_is_said_to_them():
    """The rate of a pair holds for what is urgent as well."""
    lines = Lines()
    lines.hear(REPS, "per_a", 0)
    lines.settle(Line(REPS, "per_a", urgent=False), Wait(6_000, held=True))
    lines.hear(REPS, "per_a", 100)

    for urgent in (True, False):
        assert due(lines, 5_999, urgent=urgent) == []
        assert due(lines, 6_000, urgent=urgent) == ["per_a"]


def test_what_news_have_replaced_is_forgotten():
    """Ten thousand news of one person leave no ten thousand entries until their time comes."""
    lines = Lines()
    for turn in range(10_000):
        lines.hear(REPS, "per_a", turn)
        lines.settle(Line(REPS, "per_a", urgent=False), Wait(1_000_000 + turn))

    assert max(len(heap) for heap in lines._heaps.values()) <= REPLACED_MAX + 4
    assert due(lines, 2_000_000) == ["per_a"]


STEP = st.one_of(
    st.tuples(st.just("hear"), st.integers(0, 4)),
    st.tuples(st.just("wait"), st.integers(0, 4), st.integers(1, 50)),
    st.tuples(st.just("wait for news"), st.integers(0, 4)),
    st.tuples(st.just("empty"), st.integers(0, 4)),
    st.tuples(st.just("pass"), st.integers(1, 30)),
)


@given(steps=st.lists(STEP, max_size=60), limit=st.integers(1, 5))
def test_due_are_exactly_those_whose_time_has_come(steps, limit):
    """Beside a plain table of times: the same people, the longest due first."""
    lines, now_ms = Lines(), 0
    times: dict[str, int | None] = {}
    for what, *details in steps:
        if what == "pass":
            now_ms += details[0]
            continue
        name = f"per_{details[0]}"
        line = Line(REPS, name, urgent=False)
        if what == "hear":
            lines.hear(REPS, name, now_ms)
            before = times.get(name)
            times[name] = now_ms if before is None else min(before, now_ms)
        elif name not in times:
            continue
        elif what == "empty":
            lines.settle(line, "empty")
            del times[name]
        else:
            times[name] = now_ms + details[1] if what == "wait" else None
            lines.settle(line, Wait(times[name]))
        ready = [each for each in times.values() if each is not None and each <= now_ms]
        found = due(lines, now_ms, limit)
        assert [times[each] for each in found] == sorted(ready)[:limit]
