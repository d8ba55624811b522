"""How often the core is asked for its taps, whose relays and calibrations anybody may change at any time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.gateway.core_link import ANSWER_S, LOOK_EVERY_S
from kegapps.kegnet.events import CoreStatus, StatusRequest
from tests.apps.gateway.test_old_core import METER, Old
from tests.apps.kegnet.support import turn_until


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Old]:
    core = Old(tmp_path)
    yield core
    core.close()


def asked(core: Old) -> int:
    for _ in range(3):
        core.loop.run_once(0.01)
    return sum(isinstance(event, StatusRequest) for event in core.peer.got) if core.peer is not None else 0


def answer(core: Old, ml_per_tick: float) -> None:
    assert core.peer is not None
    tap = {"name": METER.meter, "last_reading": 0, "relay_name": "", "ml_per_tick": ml_per_tick}
    core.peer.say(CoreStatus(report={"taps": [tap]}))
    core.store.keep_meter(core.store.meters().get(METER.meter, METER))
    turn_until(core.loop, lambda: core.store.meters()[METER.meter].core_ml_per_tick == ml_per_tick)


def connect(core: Old) -> None:
    turn_until(core.loop, lambda: core.link.connected)
    core.clock.ahead_s += ANSWER_S + 1
    turn_until(core.loop, lambda: asked(core) == 1)
    answer(core, 0.4545)


def test_while_boards_come_it_is_asked_again_but_not_with_each_of_them(core: Old) -> None:
    connect(core)
    for _ in range(5):
        core.link.look()
    assert asked(core) == 1
    core.clock.ahead_s += LOOK_EVERY_S
    for _ in range(5):
        core.link.look()
    assert asked(core) == 2
    answer(core, 0.185)


def test_before_a_token_is_shown_it_is_asked_however_lately_that_was(core: Old) -> None:
    connect(core)
    core.link.look(max_age_s=0.0)
    assert asked(core) == 2


def test_one_that_does_not_answer_is_not_asked_again(core: Old) -> None:
    core.wait()
    before = asked(core)
    core.link.look(max_age_s=0.0)
    assert asked(core) == before
