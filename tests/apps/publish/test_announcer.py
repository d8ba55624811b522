"""What the core tells and what is made of it, without processes: a loop whose clock can be turned forward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import cast

import pytest

from kegapps.daemon.loop import Loop
from kegapps.kegnet.client import Client
from kegapps.kegnet.drinks_record import Record
from kegapps.kegnet.events import (
    CoreStatus,
    DrinkCreatedEvent,
    DrinkFacts,
    DrinksRequest,
    Event,
    FlowUpdate,
    StatusRequest,
)
from kegapps.publish.messages import NewMessage
from kegapps.publish.publisher import ANSWER_S, Announcer, Words
from kegapps.publish.queue_file import QueueError
from kegapps.publish.template import parse
from kegapps.publish.wording import NAMES
from tests.apps.kegnet.support import Clock
from tests.apps.publish.programs import drink, drinks_for

NOW = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)


class Core:
    """In the client's place: notes what is asked, and can tell anything."""

    def __init__(self) -> None:
        self.connected = True
        self.asked: list[Event] = []
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.kept: list[str] = []
        self.record: Record = ()
        self.trouble = ""
        words = Words(
            message=parse("{user} {volume} {tap}", NAMES),
            message_anonymous=parse("- {volume} {tap}", NAMES),
            units="ml", min_volume_ml=50.0, with_anonymous=True, max_length=100, is_unnamed=lambda name: name == "shy",
        )  # fmt: skip
        self.announcer = Announcer(self.loop, (), words, self._keep, on_change=lambda: None)
        self.announcer.serve(cast(Client, self))
        self.announcer.on_connected()

    def send(self, event: Event) -> None:
        self.asked.append(event)

    def pass_time(self, seconds: float) -> None:
        self.clock.ahead_s += seconds
        self.loop.run_once()

    def tell(self, *events: Event) -> None:
        for event in events:
            self.announcer.on_event(event)

    def _keep(self, messages: Sequence[NewMessage], record: Record | None) -> None:
        if self.trouble:
            raise QueueError(self.trouble)
        self.kept += [message.text for message in messages]
        self.record = record or self.record


@pytest.fixture
def core() -> Iterator[Core]:
    made = Core()
    yield made
    made.loop.close()


def answer_all(core: Core, stored: list[DrinkFacts]) -> None:
    """Answer what is asked until nothing is asked any more."""
    answered = 0
    while len(core.asked) > answered:
        answered = len(core.asked)
        request = core.asked[-1]
        assert isinstance(request, DrinksRequest)
        core.tell(drinks_for(stored, request))


def poured(number: int, username: str | None, volume_ml: float) -> tuple[FlowUpdate, DrinkCreatedEvent]:
    flow = FlowUpdate(
        flow_id=number, tap_name="t", state="completed", username=username, start_time=NOW, last_activity_time=NOW,
        ticks=9, volume_ml=volume_ml,
    )  # fmt: skip
    made = DrinkCreatedEvent(
        flow_id=number,
        drink_id=number,
        tap_name="t",
        start_time=NOW,
        end_time=NOW,
        username=username or "guest",
    )
    return flow, made


def test_of_a_core_of_2012_what_it_says_is_announced(core: Core) -> None:
    core.tell(
        *poured(1, "alice", 300.0), *poured(2, None, 400.0), *poured(3, "bob", 10.0), *poured(4, "shy", 300.0)
    )
    assert core.kept == []
    core.pass_time(ANSWER_S + 1)
    assert core.kept == ["alice 300 mL t", "- 400 mL t"]
    core.tell(poured(5, "carol", 1.0)[1])  # its flow was never heard: how much is not known
    assert core.kept[2:] == ["carol some t"]
    assert core.record == ()


def test_of_a_core_of_2012_nothing_is_lost_while_it_cannot_be_kept(core: Core) -> None:
    core.pass_time(ANSWER_S + 1)
    core.trouble = "no room left"
    core.tell(*poured(1, "alice", 300.0), *poured(2, "bob", 300.0))
    assert (core.kept, core.announcer.problem) == ([], "no room left")
    core.trouble = ""
    core.pass_time(10.0)
    assert (core.kept, core.announcer.problem) == (["alice 300 mL t", "bob 300 mL t"], "")


def test_a_core_of_ours_that_takes_its_time_is_not_taken_for_one_of_2012(core: Core) -> None:
    core.tell(CoreStatus(report={"last_drink": None, "taps": [{"name": "t", "description": "left"}]}))
    core.tell(*poured(1, "alice", 300.0))
    core.pass_time(ANSWER_S + 1)
    assert core.kept == []
    assert core.asked[0] == StatusRequest()
    answer_all(core, [drink(1, "alice")])
    assert core.kept == ["alice 300 mL kegboard.\u200bflow0"]


def test_of_a_thousand_drinks_that_were_missed_each_is_kept_and_the_core_is_not_asked_for_taps_each_time(
    core: Core,
) -> None:
    answer_all(core, [drink(1)])
    core.announcer.on_connected()
    answer_all(core, [drink(number) for number in range(1, 1001)])
    assert len(core.kept) == 999
    assert core.record[-1].drink_id == 1000
    assert core.asked.count(StatusRequest()) == 2
