"""A core of 2012, which answers nothing that is asked, and counts the steps between readings."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kegapps.daemon.loop import READ, Loop
from kegapps.gateway.core_link import ANSWER_S, DRAIN_S, CoreLink
from kegapps.gateway.records import Leg, Meter
from kegapps.gateway.store import Store
from kegapps.gateway.taps import Taps
from kegapps.kegnet.events import DrinkCreatedEvent, MeterUpdate
from tests.apps.kegnet.support import Clock, RawPeer, turn_until

METER = Meter(
    meter="kb.flow0", device="kb", number=0, position=0, told=0, shift=None, ml_per_tick=None, core_ml_per_tick=None
)  # fmt: skip


class Old:
    """Such a core, and a gateway's link to it; either can be started again."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.path = str(folder / "gateway.sqlite")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.loop.watch(self._listener, READ, self._accept)
        self.peer: RawPeer | None = None
        self.counted = 0
        self._read = 0
        self._last: int | None = None
        self.start()

    def _accept(self, _ready: int) -> None:
        self.peer, self._read = RawPeer(self.loop, self._listener.accept()[0]), 0

    def start(self) -> None:
        self.store = Store(self.path)
        taps = Taps(lambda: "g")
        address = self._listener.getsockname()[:2]
        self.link = CoreLink(
            self.loop, self.store, taps, address, boot="boot", on_change=lambda: None, on_tap=lambda _: None
        )

    def restart_gateway(self) -> None:
        self.link.close()
        self.store.close()
        self.start()

    def restart_core(self) -> None:
        """It forgets every reading, as one of 2012 does."""
        assert self.peer is not None
        self._last = None
        self.peer.close()
        turn_until(self.loop, lambda: not self.link.connected)

    def wait(self) -> None:
        """Until the gateway knows that it is not answered."""
        while not self.link.knows:
            self.clock.ahead_s += ANSWER_S + 1
            for _ in range(5):
                self.loop.run_once(0.01)

    def pour(self, ticks: int, pour_id: str) -> None:
        meter = self.store.meters().get(METER.meter, METER)
        end = meter.position + ticks
        self.store.add_leg(
            Leg(
                id=0, meter=meter.meter, pour_id=pour_id, begin_ticks=meter.position, end_ticks=end, first=True,
                last=True, unix_s=0.0, mono_s=self.loop.now_s(), boot="boot", duration_s=4.0, auth_device="", token="",
            )
        )  # fmt: skip
        self.store.keep_meter(replace(meter, position=end))
        self.store.commit()
        self.link.feed()

    def count(self) -> int:
        """What it has counted of all that it was told so far."""
        got = self.peer.got if self.peer is not None else []
        for event in got[self._read :]:
            if isinstance(event, MeterUpdate):
                step = event.reading - self._last if self._last is not None else 0
                # A meter that went back has begun anew, it thinks.
                self.counted += step if step >= 0 else event.reading
                self._last = event.reading
        self._read = len(got)
        return self.counted

    def tell_of_a_drink(self) -> None:
        assert self.peer is not None
        now = datetime.now(UTC)
        self.peer.say(
            DrinkCreatedEvent(
                flow_id=1, drink_id=1, tap_name=METER.meter, start_time=now, end_time=now, username="guest"
            )
        )
        for _ in range(3):
            self.loop.run_once(0.01)

    def note(self) -> None:
        """Let the gateway note what it was rid of."""
        for _ in range(3):
            self.clock.ahead_s += 2 * DRAIN_S
            for _ in range(3):
                self.loop.run_once(0.01)

    def close(self) -> None:
        self.link.close()
        self.store.close()
        if self.peer is not None:
            self.peer.close()
        self.loop.unwatch(self._listener)
        self._listener.close()
        self.loop.close()


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Old]:
    old = Old(tmp_path)
    yield old
    old.close()


def test_a_core_that_cannot_be_asked_is_told_what_waited_and_what_comes(old: Old) -> None:
    old.pour(1000, "a")
    old.wait()
    turn_until(old.loop, lambda: old.count() == 1000)
    old.pour(500, "b")
    turn_until(old.loop, lambda: old.count() == 1500)


def test_a_gateway_that_is_started_again_tells_it_nothing_twice(old: Old) -> None:
    old.wait()
    old.pour(1000, "a")
    turn_until(old.loop, lambda: old.count() == 1000)
    old.tell_of_a_drink()
    old.note()
    old.restart_gateway()
    old.pour(300, "b")
    old.wait()
    turn_until(old.loop, lambda: old.count() == 1300)


def test_when_it_is_started_again_it_counts_what_is_poured_after_that_from_the_first_tick(old: Old) -> None:
    old.wait()
    old.pour(1000, "a")
    turn_until(old.loop, lambda: old.count() == 1000)
    old.note()
    old.restart_core()
    old.pour(400, "b")
    old.wait()
    turn_until(old.loop, lambda: old.count() == 1400)


def test_more_than_may_be_under_way_at_once_is_told_all_the_same(old: Old) -> None:
    old.wait()
    for number in range(80):
        old.pour(1000, str(number))
    for _ in range(100):
        old.note()
        if old.count() == 80_000:
            break
    assert old.count() == 80_000
