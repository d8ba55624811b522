"""The lifecycle explored for a little while; `python -m tests.master.model` does so at length."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kegmaster import holdups, lifecycle
from kegmaster.commands import Desk
from kegmaster.crew import Crew
from kegmaster.instance import Instance
from kegmaster.lifecycle import Event, State
from kegmaster.register import Register

from . import model
from .simulated import Killed

APP_NAMES = [f"app{number}" for number in range(model.APPS)]


def test_on_a_simulated_kernel_no_app_is_doubled_lost_or_started_after_a_stop() -> None:
    steps, rows, _, violations = model.explore(60_000, seed=1)
    assert violations == []
    assert steps >= 60_000
    assert model.unvisited(rows) == []


def test_a_row_that_nothing_leads_through_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {**lifecycle.TRANSITIONS, (State.FATAL, Event.DONE): (State.FATAL, ())}
    monkeypatch.setattr(model, "TRANSITIONS", more)
    assert model.unvisited(dict.fromkeys(lifecycle.TRANSITIONS, 1)) == ["FATAL DONE"]


@pytest.mark.parametrize(
    ("owner", "method", "found"),
    [
        (Instance, "look_for_rest", "two instances"),
        (Desk, "look", "is never answered"),
        (Register, "update", "people want"),
        (Crew, "_on_report", "does not come to an end"),
        (Crew, "reap", "is a zombie for ever"),
        (holdups, "of_start", "is started before"),
        (Instance, "_only_one", "is never answered"),
    ],
)
def test_a_launcher_that_forgets_something_is_found_out(
    monkeypatch: pytest.MonkeyPatch, owner: object, method: str, found: str
) -> None:
    monkeypatch.setattr(owner, method, lambda *_: None)
    assert any(found in text for seed in (1, 2, 3) for text in model.explore(20_000, seed=seed)[3])


class Lifecycle(RuleBasedStateMachine):
    """The same world, each step of it chosen by hypothesis, which finds the shortest way to a violation."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()

    @initialize(seed=st.integers(0, 1 << 30))
    def begin(self, seed: int) -> None:
        self.world = model.World(random.Random(seed), Counter(), stepwise=True)
        self.stack.enter_context(model.enter(self.world))
        self.world.live()

    def step(self, action: model.Action) -> None:
        self.world.todo.append(action)
        self.world.live()

    @rule(times=st.integers(1, 5))
    def news_comes(self, times: int) -> None:
        for _ in range(times):
            self.step(self.world.deliver)

    @rule()
    def time_passes(self) -> None:
        self.step(self.world.pass_time)

    @rule(times=st.integers(1, 5))
    def processes_do_something(self, times: int) -> None:
        for _ in range(times):
            self.step(self.world.move)

    @rule(
        verb=st.sampled_from(["start", "stop", "restart", "status"]),
        names=st.lists(st.sampled_from(APP_NAMES), max_size=2),
    )
    def somebody_commands(self, verb: str, names: list[str]) -> None:
        self.step(lambda *_: self.world.ask(verb, names))
        self.step(self.world.deliver)

    @rule()
    def something_breaks(self) -> None:
        self.step(self.world.fault)

    @precondition(lambda self: self.world.steps > 5)
    @rule()
    def the_watchdog_is_killed(self) -> None:
        def kill(*_: object) -> list[tuple[object, int]]:
            raise Killed

        self.step(kill)

    @invariant()
    def all_is_well(self) -> None:
        if hasattr(self, "world"):
            assert self.world.kernel.violations == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.world.calm()
                self.world.live()
                assert self.world.kernel.violations == []
        finally:
            self.stack.close()


Lifecycle.TestCase.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TestLifecycle = Lifecycle.TestCase
