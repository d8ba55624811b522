"""One destination's deliveries with a helper that does what the test says, and a clock that can be turned forward."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kegapps.daemon.boot import boot_id
from kegapps.daemon.loop import Loop
from kegapps.publish import delivery
from kegapps.publish.delivery import Delivery, Settings
from kegapps.publish.destinations import Destination
from kegapps.publish.messages import Message, NewMessage
from kegapps.publish.pacing import Moment, Rate
from kegapps.publish.places import Places
from kegapps.publish.queue import Queue
from kegapps.publish.queue_file import QueueError
from tests.apps.kegnet.support import Clock

SETTINGS = Settings(
    rate=Rate(count=1000, period_s=1.0), timeout_s=30.0, retry_first_s=5.0, retry_max_s=300.0, max_attempts=0,
    max_age_s=0.0, max_waiting=0, again_in_doubt=True, wanted_by="test",
)  # fmt: skip


class Helper:
    """In the place of a process: notes what it is to send, and answers what it is told to."""

    started: list[Helper]

    def __init__(
        self, loop: Loop, order: dict[str, Any], *, on_answer: Callable[[dict[str, Any]], None],
        on_end: Callable[[int], None], keeps: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.loop = loop
        self.queue, self.keeps = Queue(order["queue"]), keeps
        self.answer, self.end = on_answer, on_end
        self.tasks: list[Message] = []
        self.is_leaving = False
        Helper.started.append(self)

    def now(self) -> Moment:
        return Moment(boot_id=boot_id(), mono_s=self.loop.now_s(), unix_s=time.time())

    def ready(self) -> None:
        self.answer({"ready": True})

    def send(self, task: dict[str, Any], *, within_s: float) -> None:
        assert not self.is_leaving
        assert within_s == SETTINGS.timeout_s
        message = self.queue.begin(task["id"], self.now())
        assert message is not None
        self.tasks.append(message)

    def done(self, result: str, *, recorded: bool = True, refused: bool = False) -> None:
        number = self.tasks[-1].id
        if recorded:
            self.queue.finish(
                number, "sent" if result == "sent" else "waiting", unix_s=0.0, answered=self.now()
            )
        self.answer(
            {"id": number, "result": result, "reason": "no", "recorded": recorded, "refused": refused}
        )

    def finish(self) -> None:
        self.is_leaving = True

    def abandon(self) -> None:
        pass


class Post:
    """A queue, a loop, and deliveries from it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Helper.started = []
        monkeypatch.setattr(delivery, "Sender", Helper)
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.queue = Queue(str(folder / "queue.sqlite"), create=True)
        self.places = Places(1)
        self.count = 0

    def delivery(self, key: str = "d", **settings: Any) -> Delivery:
        made = Delivery(
            self.loop, self.queue, Destination(key=key, label=key, line=1, url="json://h"),
            dataclasses.replace(SETTINGS, **settings), self.places, keeps=(), is_unnamed=lambda _name: False,
            on_change=lambda: None,
        )  # fmt: skip
        made.begin()
        return made

    def put(self, *texts: str, key: str = "d") -> None:
        for text in texts:
            self.count += 1
            new = NewMessage(drink_key=str(self.count), username=None, text=text, poured_unix_s=0.0)
            self.queue.add([new], [(key, key)], record=None, unix_s=0.0)

    def pass_time(self, seconds: float) -> None:
        self.clock.ahead_s += seconds
        self.loop.run_once()

    def states(self) -> dict[str, str]:
        return {message.text: message.state for message in self.queue.listed(done=True)}


@pytest.fixture
def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    made = Post(tmp_path, monkeypatch)
    yield made
    made.loop.close()
    made.queue.close()


def test_what_was_sent_and_could_not_be_written_down_is_written_down_later_and_not_sent_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.put("a", "b")
    post.delivery()
    (helper,) = Helper.started
    helper.ready()

    def full(*_args: object, **_kwargs: object) -> None:
        raise QueueError("no room left")

    with monkeypatch.context() as patched:
        patched.setattr(post.queue, "finish", full)
        helper.done("sent", recorded=False)
        post.pass_time(100.0)
        assert [message.text for message in helper.tasks] == ["a"]
    post.pass_time(100.0)
    assert [message.text for message in helper.tasks] == ["a", "b"]
    assert post.states() == {"a": "sent", "b": "sending"}


def test_a_helper_that_wrote_down_what_it_did_before_it_died_leaves_no_doubt(post: Post) -> None:
    post.put("a")
    post.delivery(max_attempts=1)
    (helper,) = Helper.started
    helper.ready()
    helper.queue.finish(helper.tasks[-1].id, "sent", unix_s=0.0)
    helper.end(-signal.SIGKILL)
    post.pass_time(1000.0)
    assert post.states() == {"a": "sent"}
    assert len(Helper.started) == 1


@pytest.mark.parametrize(("again", "state"), [(True, "sending"), (False, "given_up")])
def test_a_doubt_is_decided_as_wanted(post: Post, again: bool, state: str) -> None:
    post.put("a")
    made = post.delivery(again_in_doubt=again)
    Helper.started[0].ready()
    Helper.started[0].end(-signal.SIGALRM)
    if again:
        assert made.problem == "no answer within 30 s"
        post.pass_time(10.0)
        Helper.started[1].ready()
    assert post.states() == {"a": state}


def test_pauses_grow_while_nothing_gets_through_and_begin_small_again_after_that(post: Post) -> None:
    post.put("a", "b")
    post.delivery()
    Helper.started[0].ready()
    for pause_s in (5.0, 10.0, 20.0, 40.0):
        helper = Helper.started[-1]
        helper.done("failed")
        assert helper.is_leaving
        helper.end(0)
        begun = len(Helper.started)
        post.pass_time(pause_s * 0.79)
        assert len(Helper.started) == begun
        post.pass_time(pause_s * 0.42)
        assert len(Helper.started) == begun + 1
        Helper.started[-1].ready()
    Helper.started[-1].done("sent")
    Helper.started[-1].done("failed")
    Helper.started[-1].end(0)
    post.pass_time(6.0)
    assert Helper.started[-1].tasks == []  # a new one


def test_the_rate_holds_within_a_run_and_from_one_run_to_the_next(post: Post) -> None:
    rate = Rate(count=2, period_s=3600.0)
    post.put("a", "b", "c", "d")
    first = post.delivery(rate=rate)
    Helper.started[0].ready()
    Helper.started[0].done("sent")
    Helper.started[0].done("sent")
    assert Helper.started[0].is_leaving  # its memory is worth more than half an hour of waiting
    Helper.started[0].end(0)
    post.pass_time(1700.0)
    assert len(Helper.started) == 1
    first.close()
    post.delivery(rate=rate)
    post.pass_time(1890.0)
    assert len(Helper.started) == 1
    post.pass_time(11.0)
    Helper.started[1].ready()
    Helper.started[1].done("sent")
    Helper.started[1].done("sent")
    assert [message.text for message in Helper.started[1].tasks] == ["c", "d"]


def test_who_has_a_place_gives_it_to_who_waits_for_one_after_each_message(post: Post) -> None:
    post.put("a1", "a2", key="a")
    post.put("b1", key="b")
    post.delivery("a")
    post.delivery("b")
    first = Helper.started[0]
    first.ready()
    first.done("sent")
    assert first.is_leaving
    first.end(0)
    assert len(Helper.started) == 2
    Helper.started[1].ready()
    assert [message.text for message in Helper.started[1].tasks] == ["b1"]


def test_a_place_is_not_lost_on_who_wants_it_no_more(post: Post) -> None:
    for key in "abc":
        post.put(key, key=key)
        post.delivery(key)
    post.queue.dismiss([2], unix_s=0.0)
    Helper.started[0].ready()
    Helper.started[0].done("sent")
    Helper.started[0].end(0)
    Helper.started[1].ready()
    assert [message.text for message in Helper.started[1].tasks] == ["c"]


def test_a_helper_for_which_nothing_is_left_when_it_is_up_is_given_nothing(post: Post) -> None:
    post.put("a")
    made = post.delivery()
    post.queue.dismiss([1], unix_s=0.0)
    made.look()
    (helper,) = Helper.started
    assert helper.is_leaving
    post.put("b")
    made.look()
    helper.ready()
    assert helper.tasks == []
    helper.end(0)
    Helper.started[1].ready()
    assert [message.text for message in Helper.started[1].tasks] == ["b"]
    assert made.problem == ""


def test_a_helper_that_cannot_load_apprise_is_tried_again_and_says_why(post: Post) -> None:
    post.put("a")
    made = post.delivery(max_attempts=1)
    Helper.started[0].answer({"fatal": "test needs the package apprise"})
    Helper.started[0].end(0)
    assert made.problem == "test needs the package apprise"
    post.pass_time(10.0)
    Helper.started[1].ready()
    Helper.started[1].done("sent")
    assert (post.states(), made.problem) == ({"a": "sent"}, "")


def test_the_refused_gets_a_last_try_after_what_is_behind_it_was_taken(post: Post) -> None:
    post.put("a", "b", "c")
    post.delivery(retry_max_s=0.1)

    def step(result: str, *, refused: bool = False) -> str:
        """Answer what is being sent so; what is sent next."""
        Helper.started[-1].done(result, refused=refused)
        post.pass_time(1.0)
        return Helper.started[-1].tasks[-1].text

    Helper.started[0].ready()
    assert [step("failed", refused=True) for _ in range(5)] == ["a", "a", "a", "a", "b"]
    assert step("failed", refused=True) == "a"  # b, too: it is the network
    assert [step("failed", refused=True) for _ in range(4)] == ["a", "a", "a", "b"]
    assert step("sent") == "a"  # b was taken
    assert step("failed", refused=True) == "c"
    assert post.states() == {"a": "given_up", "b": "sent", "c": "sending"}


def test_errors_of_a_server_are_no_refusals(post: Post) -> None:
    post.put("a", "b")
    post.delivery(retry_max_s=0.1)
    Helper.started[0].ready()
    for _ in range(20):
        Helper.started[-1].done("failed")
        post.pass_time(1.0)
        assert Helper.started[-1].tasks[-1].text == "a"
