"""The life of an app: the table itself, the restart policy, and whole histories."""

from __future__ import annotations

import pytest

from kegmaster.life import Life
from kegmaster.lifecycle import ALIVE, TRANSITIONS, Action, Event, State, step
from kegmaster.order import closure, cycles
from kegmaster.restart import Exit, after_end, delay_s, failures_in_row, from_wait_status
from kegmaster.spec import App, RestartPolicy

S, E, A = State, Event, Action


def app(**changes: object) -> App:
    fields: dict[str, object] = {
        "name": "app", "line": 1, "enabled": True, "argv": ("app",), "type": "simple", "pidfile": "/p", "logfile": "/l",
    }  # fmt: skip
    return App(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("event", [E.START, E.STOP])
def test_every_command_is_legal_in_every_state(state: State, event: Event) -> None:
    assert (state, event) in TRANSITIONS


def test_every_state_can_be_reached_and_left() -> None:
    assert {state for state, _ in TRANSITIONS} == set(S)
    assert {S.STOPPED, *(to for to, _ in TRANSITIONS.values())} == set(S)


def test_processes_are_made_only_on_the_way_from_waiting_to_starting() -> None:
    makers = [(state, to) for (state, _), (to, actions) in TRANSITIONS.items() if A.SPAWN in actions]
    assert makers == [(S.WAITING, S.STARTING)]


def test_no_state_with_processes_is_left_but_by_stopping() -> None:
    for (state, _), (to, _) in TRANSITIONS.items():
        if state in ALIVE - {S.STOPPING} and to not in ALIVE:
            pytest.fail(f"{state} -> {to} skips the clearing")


def test_an_event_that_comes_too_late_changes_nothing() -> None:
    assert step(S.STOPPED, E.ENDED) == (S.STOPPED, ())
    assert step(S.BACKOFF, E.READY) == (S.BACKOFF, ())


def test_the_first_restarts_come_at_once_then_the_wait_grows_up_to_its_cap() -> None:
    policy = RestartPolicy(restart_max_delay_sec=60)
    assert [delay_s(n, policy, 0) for n in range(1, 12)] == [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert delay_s(10_000, policy, 1) == pytest.approx(54)
    assert delay_s(1, RestartPolicy(restart_sec=5), 0) == 5


@pytest.mark.parametrize("lived_s", [0, 0.9, 1.1, 9.9])
def test_an_app_that_never_lives_long_is_restarted_ever_more_rarely(lived_s: float) -> None:
    failures, last_s, starts, now_s = 0, 0.0, 0, 0.0
    while now_s < 3600:
        now_s += lived_s
        failures = failures_in_row(failures, lived_s, last_s)
        last_s = delay_s(failures, RestartPolicy(), 1)
        now_s += last_s
        starts += 1
    assert starts < 80


def test_a_stable_run_starts_the_count_anew() -> None:
    assert failures_in_row(7, 61, 60) == 1
    assert failures_in_row(7, 30, 60) == 8, "shorter than the last wait is no stable run"


@pytest.mark.parametrize(
    ("policy", "failed", "done", "leads_to"),
    [
        (RestartPolicy(), True, False, E.CLEARED_FAILED),
        (RestartPolicy(), False, False, E.CLEARED_FAILED),
        (RestartPolicy(restart="on-failure"), True, False, E.CLEARED_FAILED),
        (RestartPolicy(restart="on-failure"), False, False, E.CLEARED_EXITED),
        (RestartPolicy(restart="no"), True, False, E.CLEARED_EXITED),
        (RestartPolicy(), False, True, E.CLEARED_EXITED),
        (RestartPolicy(start_limit_burst=3), True, False, E.CLEARED_FATAL),
        (RestartPolicy(start_limit_burst=4), True, False, E.CLEARED_FAILED),
    ],
)
def test_what_follows_an_end(policy: RestartPolicy, failed: bool, done: bool, leads_to: Event) -> None:
    assert after_end(policy, wanted=True, again=False, done=done, failed=failed, failures=3) is leads_to
    assert (
        after_end(policy, wanted=False, again=False, done=done, failed=failed, failures=3)
        is E.CLEARED_STOPPED
    )
    assert after_end(policy, wanted=True, again=True, done=done, failed=failed, failures=3) is E.CLEARED_AGAIN


@pytest.mark.parametrize(
    ("status", "words"),
    [(3 << 8, "exited 3"), (9, "killed by signal 9 (SIGKILL)"), (0x80 | 11, "killed by signal 11 (SIGSEGV)")],
)
def test_a_wait_status_in_words(status: int, words: str) -> None:
    assert str(from_wait_status(status)) == words


def running(**changes: object) -> Life:
    life = Life(app=app(**changes))
    life.on(E.START, 0.0)
    assert life.on(E.UNBLOCKED, 0.0) == (A.SPAWN,)
    life.on(E.READY, 0.1)
    assert life.state is S.RUNNING
    return life


def test_a_crash_is_followed_by_a_restart_that_is_counted_and_explained() -> None:
    life = running()
    assert life.on(E.ENDED, 5.0, exit=Exit(signal=9)) == (A.KILL, A.CLEAR)
    life.cleared(5.0, 0.0)
    assert (life.state, life.deadline_s) == (S.BACKOFF, 5.0)
    life.on(E.TIMER, 5.0)
    life.on(E.UNBLOCKED, 5.0)
    assert (life.state, life.restarts) == (S.STARTING, 1)
    assert life.reason == "killed by signal 9 (SIGKILL) after 5.0 s"


def test_a_stop_while_it_crashes_leads_to_no_restart() -> None:
    life = running()
    life.on(E.ENDED, 5.0, exit=Exit(status=1))
    life.on(E.STOP, 5.0)
    life.cleared(5.0, 0.0)
    assert life.state is S.STOPPED


def test_the_last_command_wins() -> None:
    life = running()
    life.on(E.STOP, 1.0)
    life.on(E.START, 1.1)
    life.on(E.ENDED, 1.2, exit=Exit(signal=15))
    life.cleared(1.2, 0.0)
    assert (life.state, life.wanted, life.failures) == (S.WAITING, True, 0)


def test_an_app_that_will_not_end_is_killed_and_what_survives_that_is_stuck() -> None:
    life = running(timeout_stop_sec=3.0)
    assert life.on(E.STOP, 10.0) == (A.TERMINATE,)
    assert life.deadline_s == 13.0
    assert life.on(E.TIMER, 13.0) == (A.KILL, A.CLEAR)
    assert not life.stuck
    life.on(E.TIMER, 18.0)
    assert life.stuck


def test_a_start_that_takes_too_long_fails_and_is_tried_again() -> None:
    life = Life(app=app(timeout_start_sec=2.0))
    life.on(E.START, 0.0)
    life.on(E.UNBLOCKED, 0.0)
    assert life.on(E.TIMER, 2.0, reason="no pidfile /p within 2 s") == (A.TERMINATE,)
    life.on(E.ENDED, 2.1, exit=Exit(status=0))
    life.cleared(2.1, 0.0)
    assert (life.state, life.reason) == (S.BACKOFF, "no pidfile /p within 2 s")


def test_what_died_unwatched_comes_back_once_nothing_of_it_is_left_and_counts_as_no_failure() -> None:
    life = Life(app=app(), wanted=True, restarts=4)
    life.left_behind(7.0)
    assert (life.state, life.deadline_s) == (S.STOPPING, 7.0)
    assert life.on(E.TIMER, 7.0) == (A.KILL, A.CLEAR)
    life.cleared(7.1, 0.0)
    assert (life.state, life.restarts, life.failures, life.deaths) == (S.WAITING, 5, 0, 0)


def test_a_oneshot_that_did_its_work_rests() -> None:
    life = Life(app=app(type="oneshot"))
    life.on(E.START, 0.0)
    life.on(E.UNBLOCKED, 0.0)
    life.on(E.DONE, 1.0, exit=Exit(status=0))
    life.cleared(1.0, 0.0)
    assert (life.state, life.deadline_s) == (S.EXITED, None)


@pytest.mark.parametrize(
    ("edges", "found"),
    [
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["a"]}, [("a", "a")]),
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, [("a", "b", "c", "a")]),
        ({"x": ["a"], "a": ["b"], "b": ["a"]}, [("a", "b", "a")]),
        ({str(n): [str(n + 1)] for n in range(5000)}, []),
    ],
)
def test_circles_are_found_as_paths(edges: dict[str, list[str]], found: list[tuple[str, ...]]) -> None:
    assert cycles(edges) == found


def test_what_is_led_to_comes_first() -> None:
    assert closure(["a"], {"a": ["b", "c"], "b": ["c"]}) == ["c", "b", "a"]
