"""Time without a battery: what vouches for it, how sure it is, and what is never believed."""

import pytest

from edge_agent.timekeeping import BUILD_FLOOR_MS, RTC_ERR_MS, Timekeeper
from tests.fakes.manual_clock import ManualClock

TRUE_MS = 1_800_000_000_000


def keeper(
    clock: ManualClock, *, kernel: int | None = None, rtc: bool = False, floor_ms: int = 0
) -> Timekeeper:
    """A timekeeper on a machine with or without helpers."""
    return Timekeeper(
        clock, floor_ms=floor_ms, kernel_error=lambda: kernel, hardware_clock=lambda: rtc
    )


def test_nobody_vouches() -> None:
    """A wall clock that nothing keeps is not stated; boot and monotonic time are."""
    clock = ManualClock(wall_ms=TRUE_MS, mono_ms=5000)
    now = keeper(clock).now()
    assert (now.wall_ms, now.clock, now.boot, now.mono_ms) == (None, "none", "boot1", 5000)


def test_the_kernel_and_the_battery_vouch_with_their_error() -> None:
    """NTP states the kernel's own error; a hardware clock a minute."""
    clock = ManualClock(wall_ms=TRUE_MS, mono_ms=5000)
    by_ntp = keeper(clock, kernel=12, rtc=True).occurred(4000, 3)
    assert (by_ntp.wall_ms, by_ntp.err_ms, by_ntp.clock) == (TRUE_MS - 1000, 15, "ntp")
    by_rtc = keeper(clock, rtc=True).now()
    assert (by_rtc.clock, by_rtc.err_ms) == ("rtc", RTC_ERR_MS)


def test_a_time_before_this_program_is_nobodys() -> None:
    """A battery clock that says 1970 is empty."""
    clock = ManualClock(wall_ms=86_400_000)
    assert keeper(clock, rtc=True, kernel=1).now().clock == "none"


def test_the_hub_is_believed_within_half_the_round_trip() -> None:
    """The offset holds for moments before the answer, and its error is honest."""
    clock = ManualClock(wall_ms=0, mono_ms=10_000)
    time = keeper(clock)
    clock.advance(200)
    # The hub read its clock 150 ms after the request had left.
    assert time.learn(TRUE_MS - 50, sent_mono_ms=10_000)
    now = time.now()
    assert now.clock == "hub"
    assert now.wall_ms is not None
    assert abs(now.wall_ms - TRUE_MS) <= now.err_ms == 101
    earlier = time.occurred(9000, 5)
    assert earlier.wall_ms == now.wall_ms - 1200
    assert earlier.err_ms == 106


def test_a_worse_answer_does_not_replace_a_better_one() -> None:
    """A slow exchange teaches nothing until drift has made the old sample worse."""
    clock = ManualClock(mono_ms=10_000)
    time = keeper(clock)
    time.learn(TRUE_MS, sent_mono_ms=10_000)
    before = time.now()
    clock.advance(4000)
    time.learn(TRUE_MS + 99_999, sent_mono_ms=10_000)
    assert time.now().wall_ms == (before.wall_ms or 0) + 4000
    clock.advance(24 * 3_600_000)
    assert time.now().err_ms > 8000
    time.learn(TRUE_MS, sent_mono_ms=clock.mono_ms() - 100)
    assert time.now().err_ms == 51


def test_no_time_below_the_floor_is_believed() -> None:
    """Not from the hub either; and what was learned raises the floor for the next start."""
    clock = ManualClock(mono_ms=10_000)
    time = keeper(clock, floor_ms=TRUE_MS)
    assert not time.learn(TRUE_MS - 100_000, sent_mono_ms=10_000)
    assert time.learn(TRUE_MS + 100_000, sent_mono_ms=10_000)
    clock.advance(50_000)
    assert time.floor_ms >= TRUE_MS + 149_000
    assert keeper(clock).floor_ms == BUILD_FLOOR_MS


@pytest.mark.parametrize("wall_ms", [0, 2_145_916_800_000])
def test_requests_can_be_signed_in_any_year(wall_ms: int) -> None:
    """Before the time is known, the floor; afterwards the hub's time, wherever the clock is."""
    clock = ManualClock(wall_ms=wall_ms, mono_ms=10_000)
    time = keeper(clock)
    assert time.signing_s() == BUILD_FLOOR_MS // 1000
    assert time.authenticated_s() is None
    time.learn(TRUE_MS, sent_mono_ms=10_000)
    assert time.signing_s() == TRUE_MS // 1000
    assert time.authenticated_s() == TRUE_MS // 1000


def test_certificates_are_dated_only_by_a_plausible_clock() -> None:
    """At 1970 a certificate would be not yet valid, and the box could never get through."""
    assert not keeper(ManualClock(wall_ms=0)).certificates_datable()
    assert keeper(ManualClock(wall_ms=TRUE_MS)).certificates_datable()
