"""Seeing to it that apps get ready, stay well and do not grow: the hands of `liveness`, as Crew is the lifecycle's.

Knows the selector, probes and instances. Must not judge. Made only if some app has such a key; holds timers only for
those that do.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Collection, Iterator

from .instance import Instance
from .journal import Journal
from .lean import TYPE_CHECKING, Final
from .life import Life
from .lifecycle import Event, State
from .liveness import MEMORY_EVERY_S, Answer, Health, Heartbeat, Memory, Readiness
from .memory import resident
from .notify import Report
from .probing import Probe, probe
from .programs import Search
from .spec import Check

if TYPE_CHECKING:
    from .launches import Emit

MOST_PROBES: Final = 16
"""Questions under way at once; further ones wait their turn."""


class _Ward:
    """One app in our care: `asking` is Readiness while it starts, Health while it runs, if there is such a check."""

    def __init__(self, life: Life, instance: Instance) -> None:
        self.life = life
        self.instance = instance
        self.asking: Readiness | Health | None = None
        self.heartbeat: Heartbeat | None = None
        self.memory: Memory | None = None
        self.probe: Probe | None = None

    @property
    def parts(self) -> list[Readiness | Health | Heartbeat | Memory]:
        """What has due times."""
        found = (self.asking, self.heartbeat, self.memory)
        return [part for part in found if part is not None]


class Vigil:
    """All apps that are asked how they are."""

    def __init__(
        self, *, selector: selectors.BaseSelector, search: Search, journal: Journal, emit: Emit,
        on_ready: Callable[[Life, Instance], None], drain: Callable[[], None],
        known: Callable[[], Collection[int]],
    ) -> None:  # fmt: skip
        """`drain`: read all reports that have come; `known`: the pids of all processes of apps."""
        self._selector = selector
        self._search = search
        self._journal = journal
        self._emit = emit
        self._on_ready = on_ready
        self._drain = drain
        self._known = known
        self._wards: dict[str, _Ward] = {}

    # What Crew tells

    def attend(self, life: Life, instance: Instance) -> None:
        """Ask the app until it is ready, if its process is there; if it runs, look for its signs of life."""
        now_s = time.monotonic()
        ward = self._new(life, instance)
        if life.state is State.RUNNING:
            self._watch(ward, now_s)
        elif instance.app.ready is not None:
            ward.asking = Readiness(instance.app.ready, now_s)
            self._ask_due(now_s)

    def _watch(self, ward: _Ward, now_s: float) -> None:
        app, life = ward.instance.app, ward.life
        if app.watchdog_sec:
            ward.heartbeat = Heartbeat(app.watchdog_sec, now_s)
        if app.health is not None:
            grace_s = app.timeout_start_sec if app.health.grace_s is None else app.health.grace_s
            # An adopted app has had its grace already.
            from_s = max(now_s, life.started_s + grace_s)
            ward.asking = Health(app.health, from_s + _chance() * app.health.every_s)
        if app.memory_max:
            ward.memory = Memory(app.memory_max, now_s + _chance() * MEMORY_EVERY_S)

    def forget(self, name: str) -> None:
        """The app is on its way down, or gone."""
        ward = self._wards.pop(name, None)
        if ward is not None:
            ward.life.ailment = ""
            if ward.probe is not None:
                ward.probe.close()

    def take(self, name: str, report: Report, now_s: float) -> None:
        """The app sent this."""
        ward = self._wards.get(name)
        if ward is None or ward.heartbeat is None:
            return
        if report.trigger:
            self._replace(ward, Event.HUNG, "asked to be replaced (WATCHDOG=trigger)")
        elif report.alive:
            ward.heartbeat.beat(now_s)

    def awaiting_beat(self) -> list[str]:
        """Names of the apps that are to send WATCHDOG=1."""
        return [name for name, ward in self._wards.items() if ward.heartbeat is not None]

    def on_child(self, pid: int) -> bool:
        """A child of ours has ended; False if it is none of our checks'."""
        for ward in self._wards.values():
            if ward.probe is not None and ward.probe.owns(pid):
                ward.probe.on_end()
                return True
        return False

    def why_not_ready(self, name: str) -> str:
        """What the check said last of an app that did not get ready in time; empty if it was not asked yet."""
        ward = self._wards.get(name)
        if ward is None or not isinstance(ward.asking, Readiness):
            return ""
        check = ward.asking.check
        last = ward.asking.last or f"no answer within {check.timeout_s:g} s"
        return f"not ready within {ward.instance.app.timeout_start_sec:g} s: {check.text}: {last}"

    def interrupt(self) -> None:
        """End what is under way, which leaves no command behind; it is asked anew when due."""
        for ward in self._here():
            if ward.probe is not None:
                ward.probe.give_up()

    def close(self) -> None:
        """Ask nobody any more."""
        for name in list(self._wards):
            self.forget(name)

    # Time

    def next_s(self) -> float | None:
        """When `on_time` is to be called next at the latest."""
        return min(self._times(), default=None)

    def _times(self) -> Iterator[float]:
        free = self._probes() < MOST_PROBES
        for ward in self._wards.values():
            if ward.probe is not None:
                yield ward.probe.deadline_s
            for part in ward.parts:
                asks = part is ward.asking
                if part.due_s is not None and (free or not asks):
                    yield part.due_s

    def shift(self, lost_s: float) -> None:
        """So much time went by while we did not look: nobody is to blame for it."""
        for ward in self._wards.values():
            for part in ward.parts:
                part.shift(lost_s)
            if ward.probe is not None:
                ward.probe.deadline_s += lost_s

    def on_time(self, now_s: float) -> None:
        """Do what is due."""
        for ward in self._here():
            if ward.probe is not None and ward.probe.deadline_s <= now_s:
                ward.probe.expire()
        if any(ward.heartbeat and ward.heartbeat.due_s <= now_s for ward in self._wards.values()):
            self._drain()  # what has come must be read before anybody is called late
        for ward in self._here():
            if ward.heartbeat is not None and ward.heartbeat.due_s <= now_s:
                self._replace(ward, Event.HUNG, ward.heartbeat.reason)
            elif ward.memory is not None and ward.memory.due_s <= now_s:
                self._weigh(ward, ward.memory, now_s)
        self._ask_due(now_s)

    def _here(self) -> Iterator[_Ward]:
        for name, ward in list(self._wards.items()):
            if self._wards.get(name) is ward:
                yield ward

    # Questions

    def _new(self, life: Life, instance: Instance) -> _Ward:
        self.forget(life.app.name)
        ward = self._wards[life.app.name] = _Ward(life, instance)
        return ward

    def _probes(self) -> int:
        return sum(ward.probe is not None for ward in self._wards.values())

    def _ask_due(self, now_s: float) -> None:
        due = [
            (ward.asking.due_s, name)
            for name, ward in self._wards.items()
            if ward.asking and ward.asking.due_s is not None and ward.asking.due_s <= now_s
        ]
        for _, name in sorted(due):
            ward = self._wards.get(name)
            if self._probes() >= MOST_PROBES:
                return
            if ward is not None and ward.asking is not None and ward.probe is None:
                self._ask(ward, ward.asking.check, now_s)

    def _ask(self, ward: _Ward, check: Check, now_s: float) -> None:
        assert ward.asking is not None
        ward.asking.asked(now_s)
        asked = ward.probe = probe(
            check, now_s, lambda answer: self._on_answer(ward, asked, answer), self._selector,
            instance=ward.instance, search=self._search, known=self._known,
        )  # fmt: skip
        asked.start()

    def _on_answer(self, ward: _Ward, asked: Probe, answer: Answer) -> None:
        if ward.probe is not asked or self._wards.get(ward.life.app.name) is not ward:
            return
        ward.probe = None
        now_s = time.monotonic()
        if isinstance(ward.asking, Readiness):
            if ward.asking.answered(answer, now_s) and ward.life.state is State.STARTING:
                self._on_ready(ward.life, ward.instance)
        elif isinstance(ward.asking, Health):
            reason = ward.asking.answered(answer, now_s, _chance())
            self._show(ward)
            if reason:
                self._replace(ward, Event.UNHEALTHY, reason)

    def _weigh(self, ward: _Ward, memory: Memory, now_s: float) -> None:
        used = resident(ward.instance.main_pid)
        if used is None:
            memory.due_s = now_s + MEMORY_EVERY_S
            return
        reason = memory.seen(used, now_s)
        self._show(ward)
        if reason:
            self._replace(ward, Event.UNHEALTHY, reason)

    def _show(self, ward: _Ward) -> None:
        ailments = (part.ailment for part in (ward.asking, ward.memory) if isinstance(part, Health | Memory))
        ward.life.ailment = "; ".join(text for text in ailments if text)

    def _replace(self, ward: _Ward, event: Event, reason: str) -> None:
        self._journal.warning(f"{ward.life.app.name}: {reason}")
        self._emit(ward.life, event, reason=reason)


def _chance() -> float:
    """A random number from 0 to 1."""
    return os.urandom(1)[0] / 255
