"""The event loop: descriptors and timers, one at a time, and no waking without cause."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kegapps.daemon.loop import READ, WRITE, Loop


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_stop_before_run_makes_it_return_at_once() -> None:
    loop = Loop()
    loop.stop()
    loop.run()


def test_timers_are_kept_in_order_of_time_and_then_of_asking() -> None:
    clock, kept = Clock(), list[str]()
    loop = Loop(clock)
    for delay_s, name in ((2, "late"), (1, "first"), (1, "second"), (0, "now")):
        loop.call_later(delay_s, lambda name=name: kept.append(name))  # type: ignore[misc]
    loop.run_once()
    assert kept == ["now"]
    clock.now_s += 2
    loop.run_once()
    assert kept == ["now", "first", "second", "late"]


def test_a_cancelled_timer_is_not_kept() -> None:
    loop, kept = Loop(), list[int]()
    timer = loop.call_later(0, lambda: kept.append(1))
    timer.cancel()
    timer.cancel()
    loop.run_once()
    assert timer.cancelled
    assert kept == []


def test_timers_that_are_cancelled_again_and_again_do_not_pile_up_and_the_others_are_kept() -> None:
    clock, kept = Clock(), list[int]()
    loop = Loop(clock)
    for number in range(2000):
        loop.call_later(2000 - number, lambda number=number: kept.append(number))  # type: ignore[misc]
    most = 0
    for _ in range(50_000):
        loop.call_later(60, lambda: kept.append(-1)).cancel()
        most = max(most, len(loop._timers))
    assert most <= 4096
    clock.now_s += 2000
    loop.run_once()
    assert kept == list(reversed(range(2000)))


def test_a_ready_descriptor_is_told_until_it_is_unwatched(pipe: tuple[int, int]) -> None:
    loop, told = Loop(), list[int]()
    loop.watch(pipe[0], READ, told.append)
    loop.run_once()
    assert told == []
    os.write(pipe[1], b"x")
    loop.run_once(None)
    assert told == [READ]
    loop.unwatch(pipe[0])
    loop.unwatch(pipe[0])
    loop.run_once()
    assert told == [READ]


def test_watching_again_replaces_the_watch(pipe: tuple[int, int]) -> None:
    loop, told = Loop(), list[str]()
    loop.watch(pipe[1], WRITE, lambda _: told.append("old"))
    loop.watch(pipe[1], WRITE, lambda _: told.append("new"))
    loop.run_once(None)
    assert told == ["new"]


def test_what_an_earlier_callback_unwatched_is_not_called(pipe: tuple[int, int]) -> None:
    loop, told = Loop(), list[int]()
    os.write(pipe[1], b"x")

    def only_me(end: int) -> None:
        told.append(end)
        for other in pipe:
            loop.unwatch(other)

    loop.watch(pipe[0], READ, lambda _: only_me(pipe[0]))
    loop.watch(pipe[1], WRITE, lambda _: only_me(pipe[1]))
    loop.run_once(None)
    assert len(told) == 1


def test_an_exception_of_a_callback_reaches_the_caller() -> None:
    loop = Loop()
    loop.call_later(0, lambda: [][0])
    with pytest.raises(IndexError):
        loop.run()
