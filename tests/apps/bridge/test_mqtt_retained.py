"""What a broker holds of us: told once, and cleared for certain when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kegapps.bridge.mqtt_retained import Retained
from kegapps.bridge.mqtt_spool import Spool


class Broker:
    """Takes what is published when it is told to `answer`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []
        self.answers: list[Callable[[bool], None] | None] = []

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool,
        on_answer: Callable[[bool], None] | None = None,
    ) -> bool:
        assert (qos, retain) == (1, True)
        self.told.append((topic, payload))
        self.answers.append(on_answer)
        return True

    def answer(self, *, is_taken: bool = True) -> None:
        answers, self.answers = self.answers, []
        for on_answer in answers:
            if on_answer is not None:
                on_answer(is_taken)

    def heard(self) -> list[tuple[str, bytes]]:
        told, self.told = self.told, []
        return told


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(str(tmp_path / "bridge.sqlite"))
    yield opened
    opened.close()


def test_what_changes_is_told_and_what_stays_is_not(spool: Spool) -> None:
    broker = Broker()
    retained = Retained(spool, broker.publish)
    retained.hold({"a": b"1", "b": b"1"})
    retained.hold({"a": b"1", "b": b"2"})
    assert broker.heard() == [("a", b"1"), ("b", b"1"), ("b", b"2")]


def test_a_topic_is_forgotten_only_when_the_broker_has_cleared_it(spool: Spool) -> None:
    broker = Broker()
    retained = Retained(spool, broker.publish)
    retained.hold({"a": b"1", "b": b"1"})
    retained.hold({"a": b"1"})
    assert spool.retained() == {"a", "b"}
    retained.hold({"a": b"1"})
    assert broker.heard() == [("a", b"1"), ("b", b"1"), ("b", b"")]
    broker.answer()
    assert spool.retained() == {"a"}


@pytest.mark.parametrize("restarts", [False, True])
def test_a_broker_that_fell_before_it_cleared_a_topic_is_told_again_when_it_is_back(
    spool: Spool, restarts: bool
) -> None:
    broker = Broker()
    retained = Retained(spool, broker.publish)
    retained.hold({"a": b"1", "b": b"1"})
    retained.hold({"a": b"1"})
    broker.heard()
    if restarts:
        retained = Retained(spool, broker.publish)
    retained.forget()
    retained.hold({"a": b"1"})
    assert broker.heard() == [("a", b"1"), ("b", b"")]


def test_what_the_broker_refuses_to_clear_is_not_forgotten(spool: Spool) -> None:
    broker = Broker()
    retained = Retained(spool, broker.publish)
    retained.hold({"a": b"1"})
    retained.hold({})
    broker.answer(is_taken=False)
    assert spool.retained() == {"a"}


def test_a_tap_that_comes_back_before_the_answer_stays_noted(spool: Spool) -> None:
    broker = Broker()
    retained = Retained(spool, broker.publish)
    retained.hold({"a": b"1"})
    retained.hold({})
    retained.hold({"a": b"1"})
    broker.answer()
    assert spool.retained() == {"a"}
    assert broker.heard() == [("a", b"1"), ("a", b""), ("a", b"1")]
