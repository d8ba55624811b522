"""What other threads ask for is done in the loop's thread, in order, once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from kegapps.daemon.loop import Loop
from kegapps.daemon.thread_calls import MAX_WAITING, ThreadCalls

PATIENCE_S = 20.0


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def test_calls_of_many_threads_are_all_made_by_the_thread_that_runs_the_loop(loop: Loop) -> None:
    calls, made = ThreadCalls(loop), list[tuple[int, int, int]]()

    def ask(who: int) -> None:
        for number in range(500):
            assert calls.call_soon(lambda number=number: made.append((who, number, threading.get_ident())))  # type: ignore[misc]

    threads = [threading.Thread(target=ask, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    while len(made) < 2000:
        loop.run_once(PATIENCE_S)
    for thread in threads:
        thread.join()
    assert {thread for _, _, thread in made} == {threading.get_ident()}
    for who in range(4):
        assert [number for one, number, _ in made if one == who] == list(range(500))
    calls.close()


def test_a_call_that_asks_for_another_does_not_keep_the_loop_from_its_timers(loop: Loop) -> None:
    calls, kept = ThreadCalls(loop), list[str]()

    def again() -> None:
        calls.call_soon(again)

    again()
    loop.call_later(0, lambda: kept.append("timer"))
    loop.run_once(PATIENCE_S)
    assert kept == ["timer"]
    calls.close()


def test_what_is_too_much_is_refused_and_so_is_what_comes_too_late(loop: Loop) -> None:
    calls, made = ThreadCalls(loop), list[int]()
    assert all(calls.call_soon(lambda: made.append(1)) for _ in range(MAX_WAITING))
    assert not calls.call_soon(lambda: made.append(2))
    loop.run_once(PATIENCE_S)
    assert len(made) == MAX_WAITING
    calls.close()
    calls.close()
    assert not calls.call_soon(lambda: made.append(3))


def test_a_call_may_close_it_with_others_waiting(loop: Loop) -> None:
    calls, made = ThreadCalls(loop), list[int]()
    calls.call_soon(calls.close)
    calls.call_soon(lambda: made.append(1))
    loop.run_once(PATIENCE_S)
    assert made == []
