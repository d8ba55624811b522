"""When an app counts as hung, unhealthy or too large, and whose time is not counted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kegmaster.checks import health, ready
from kegmaster.lateness import Lateness
from kegmaster.liveness import Answer, Health, Heartbeat, Memory, Readiness

WELL = Answer(well=True)
SICK = Answer(well=False, text="500")
UNASKED = Answer(well=None, text="Too many open files")
MIB = 1 << 20


def history(check: Health, *answers: Answer) -> str:
    """Ask whenever it is due; each answer comes at once. The verdict at the end, which must be the first."""
    verdict = ""
    for answer in answers:
        assert not verdict
        now_s = check.due_s
        assert now_s is not None
        check.asked(now_s)
        assert check.due_s is None, "one question at a time"
        verdict = check.answered(answer, now_s, 0.5)
    return verdict


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([WELL] * 9, ""),
        ([SICK, SICK], ""),
        ([SICK, SICK, SICK], "unhealthy: tcp://:1: 500 (3 times)"),
        ([SICK, SICK, WELL, SICK, SICK], ""),
        ([SICK, SICK, UNASKED, SICK], "unhealthy: tcp://:1: 500 (3 times)"),
        ([UNASKED] * 9, ""),
    ],
)
def test_so_many_failures_in_a_row_are_a_verdict(answers: list[Answer], verdict: str) -> None:
    assert history(Health(health("tcp://:1"), 0.0), *answers) == verdict


def test_the_last_failure_is_shown_until_it_is_well_again() -> None:
    check = Health(health("tcp://:1"), 0.0)
    history(check, SICK)
    assert check.ailment == "unwell: tcp://:1: 500 (1 of 3)"
    history(check, WELL)
    assert check.ailment == ""
    history(check, UNASKED)
    assert check.ailment == "not checked: Too many open files"


def test_what_is_unwell_for_three_seconds_is_never_replaced() -> None:
    check = Health(health("tcp://:1 every=100ms failures=1"), 10.0)
    assert history(check, SICK) == ""
    assert check.due_s == 14.0, "asked again once it can be no mere stall"
    assert history(check, SICK) == "unhealthy: tcp://:1: 500 (2 times)"


def test_time_that_nobody_saw_is_not_counted_against_an_app() -> None:
    check = Health(health("tcp://:1 every=100ms failures=1"), 10.0)
    history(check, SICK)
    check.shift(100.0)
    assert check.due_s == 114.0


def test_checks_of_many_apps_fall_out_of_step() -> None:
    dues = set()
    for step in range(11):
        check = Health(health("tcp://:1"), 0.0)
        check.asked(0.0)
        check.answered(WELL, 0.0, step / 10)
        dues.add(check.due_s)
    assert len(dues) == 11
    assert (min(dues), max(dues)) == (9.0, 11.0)  # type: ignore[type-var]


def test_a_files_age_is_counted_from_when_it_was_seen_to_change_whatever_its_stamp_says() -> None:
    check = Health(health("file:/alive max_age=30s every=10s failures=1"), 0.0)
    old, new = Answer(well=True, stamp=-1e9), Answer(well=True, stamp=1e12)
    assert history(check, old, old, new, new, new, new) == ""
    assert history(check, new) == ""
    assert check.ailment == "unwell: file:/alive: not modified for 40 s (1 of 1)"


def test_an_app_that_starts_is_asked_ever_more_rarely_until_it_is_ready() -> None:
    asking = Readiness(ready("tcp://:1"), 0.0)
    now_s, waits = 0.0, []
    for _ in range(8):
        asking.asked(now_s)
        assert not asking.answered(SICK, now_s)
        assert asking.due_s is not None
        waits.append(round(asking.due_s - now_s, 3))
        now_s = asking.due_s
    assert waits == [0.01, 0.02, 0.04, 0.08, 0.16, 0.25, 0.25, 0.25]
    assert asking.last == "500"
    assert not asking.answered(UNASKED, now_s)
    assert asking.answered(WELL, now_s)


@pytest.mark.parametrize("watchdog_sec", [0.5, 1, 5, 10, 60])
def test_an_app_that_sends_at_half_its_time_may_stall_for_three_seconds(watchdog_sec: float) -> None:
    heartbeat = Heartbeat(watchdog_sec, 0.0)
    heartbeat.beat(100.0)
    assert heartbeat.due_s > 100 + watchdog_sec / 2 + 3
    assert heartbeat.due_s <= 100 + watchdog_sec + 4
    assert heartbeat.reason == f"no WATCHDOG=1 for {watchdog_sec:g} s"


def test_one_lost_datagram_is_no_alarm() -> None:
    heartbeat = Heartbeat(10, 0.0)
    assert heartbeat.due_s > 10.5


def test_memory_over_its_limit_counts_when_it_stays_there() -> None:
    memory = Memory(64 * MIB, 0.0)
    assert memory.seen(70 * MIB, 0.0) == ""
    assert memory.ailment
    assert memory.seen(64 * MIB, 10.0) == ""
    assert not memory.ailment
    assert memory.seen(70 * MIB, 20.0) == ""
    assert memory.seen(70 * MIB, 30.0) == "uses 70 MiB, more than _memory_max 64 MiB"


def lost(wait_s: float | None, slept_s: float, busy_s: float = 0.0) -> float:
    lateness = Lateness()
    lateness.going_to_wait(0.0, 0.0)
    lateness.woken(100.0 - busy_s)
    lateness.going_to_wait(100.0, wait_s)
    return lateness.woken(100.0 + slept_s)


@pytest.mark.parametrize(
    ("wait_s", "slept_s", "busy_s", "lost_s"),
    [
        (5.0, 5.0, 0.0, 0.0),
        (5.0, 5.9, 0.9, 0.0),
        (5.0, 1.0, 0.0, 0.0),
        (5.0, 60.0, 0.0, 60.0),
        (0.0, 60.0, 0.0, 60.0),
        (5.0, 0.0, 30.0, 30.0),
        (5.0, 60.0, 30.0, 90.0),
        (None, 1e6, 0.0, 0.0),
    ],
)
def test_a_loop_that_is_late_knows_how_much_it_may_have_missed(
    wait_s: float | None, slept_s: float, busy_s: float, lost_s: float
) -> None:
    assert lost(wait_s, slept_s, busy_s) == pytest.approx(lost_s)


def test_a_watchdog_without_such_keys_loads_nothing_of_this() -> None:
    script = (
        "import sys, kegmaster.watchdog as _; print(*(m for m in sys.modules if m.startswith('kegmaster.')))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "kegmaster.crew" in loaded
    for module in ("checks", "liveness", "probing", "vigil", "memory"):
        assert f"kegmaster.{module}" not in loaded
