"""What an app could not send yet: bounded, each event with its time, and thinned where nothing is lost by it.

Knows which events replace earlier ones. Must not know sockets; time is an argument, monotonic seconds.
A reading is an odometer, so the next one includes it: of many, some may go. Those that go are the ones that
leave the smallest steps, because a core takes a huge step for a fault (beyond 500 mL, by its default). The last
before a token or request stays, so that ticks keep their owner, and those on both sides of a board's restart or of
a time when the board was not heard. A token or request that is too old to be acted upon is kept for the same reason
if there are readings near it; the core knows by its age that nobody waits at the valve any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, NamedTuple, TypeGuard

from kegapps.kegnet.events import AppEvent, Event, FlowRequest, MeterUpdate, ThermoEvent, TokenAuthEvent
from kegapps.kegnet.fields import MAX_AGE_S

_MIN_WAIT_S: Final = 0.1  # what waited less is as good as new
_NEVER: Final = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogLimits:
    """How much is kept, and how long it is worth sending."""

    max_events: int = (
        4096  # beyond it go stale commands, temperatures, readings, the first commands, the oldest
    )
    readings_per_meter: int = 64  # beyond it they are thinned
    thermo_interval_s: float = 60.0  # one of a sensor in this time: a core records no more
    command_max_age_s: float = (
        120.0  # tokens and requests without readings; the longest that any flow may idle
    )


@dataclass(slots=True, kw_only=True)
class Stored:
    """An event and when it was given to us; of a command, whether a reading near it may be of its flow."""

    event: Event
    since_s: float
    has_ticks: bool = False

    def aged(self, now_s: float) -> Event:
        """The event as it is to be sent now: `age_s` includes the time it waited here."""
        waited_s = now_s - self.since_s
        if waited_s < _MIN_WAIT_S or not _has_age(self.event):
            return self.event
        return replace(self.event, age_s=min(round(self.event.age_s + waited_s, 3), MAX_AGE_S))


class _Reading(NamedTuple):
    stored: Stored
    ticks: int
    commands: int  # before it
    gap_s: float


class Backlog:
    """A queue of events. `dropped` counts the lost, `superseded` those that another one makes up for."""

    def __init__(self, limits: BacklogLimits) -> None:
        self._limits = limits
        self._stored: deque[Stored] = deque()
        self._readings: dict[str, int] = {}  # of a meter: how many are stored, roughly
        self._newest_reading: dict[str, int] = {}  # of a meter, since the last command
        self._newest_thermo_s: dict[str, float] = {}
        self._without_ticks: deque[Stored] = deque()  # commands that no reading has followed yet
        self._last_reading_s = float("-inf")
        self._thin_at: dict[str, int] = {}  # of a meter: how many are to be stored before we look again
        self.dropped = 0
        self.superseded = 0

    def __len__(self) -> int:
        return len(self._stored)

    def __iter__(self) -> Iterator[Stored]:
        """What is kept, oldest first; not to be changed meanwhile."""
        return iter(self._stored)

    def add(self, event: Event, now_s: float) -> None:
        """Keep `event`, unless one that is kept already says the same."""
        if isinstance(event, MeterUpdate):
            if self._newest_reading.get(event.tap_name) == event.reading:
                self.superseded += 1
                return
            self._newest_reading[event.tap_name] = event.reading
            self._readings[event.tap_name] = self._readings.get(event.tap_name, 0) + 1
            self._last_reading_s = now_s
            self._give_ticks(now_s)
        elif isinstance(event, ThermoEvent):
            newest_s = self._newest_thermo_s.get(event.sensor_name)
            if newest_s is not None and now_s - newest_s < self._limits.thermo_interval_s:
                self.superseded += 1
                return
            self._newest_thermo_s[event.sensor_name] = now_s
        elif _is_command(event):
            self._newest_reading.clear()
        stored = Stored(event=event, since_s=now_s)
        self._stored.append(stored)
        if _is_command(event) and now_s - self._last_reading_s <= self._limits.command_max_age_s:
            stored.has_ticks = True  # it may end what the one before it began
        elif _is_command(event):
            self._without_ticks.append(stored)
        most = self._limits.readings_per_meter
        if isinstance(event, MeterUpdate) and self._readings[event.tap_name] > self._thin_at.get(
            event.tap_name, most
        ):
            self._thin(event.tap_name, left=most * 3 // 4)
            left = self._readings[event.tap_name]
            # Where all that are left have to stay, a look at them for each new one would cost more than it saves.
            self._thin_at[event.tap_name] = left + most // 4 if left > most else most
        if len(self._stored) > self._limits.max_events:
            self._make_room(now_s)

    def take(self, now_s: float, most: int) -> list[Stored]:
        """The oldest `most`, no longer kept; commands too old to be acted upon are left out and counted."""
        taken: list[Stored] = []
        while self._stored and len(taken) < most:
            stored = self._stored.popleft()
            if self.is_stale(stored, now_s):
                self.dropped += 1
            else:
                taken.append(stored)
        if not self._stored:
            self._readings.clear()
            self._newest_reading.clear()
            self._newest_thermo_s.clear()
            self._without_ticks.clear()
            self._thin_at.clear()
        return taken

    def put_back(self, stored: Iterable[Stored]) -> None:
        """Keep again, before all others, what was taken; or what is older than all others."""
        self._stored.extendleft(reversed(tuple(stored)))

    def _give_ticks(self, now_s: float) -> None:
        """A reading has come: the commands before it may be what tells whose its ticks are."""
        while self._without_ticks:
            command = self._without_ticks.popleft()
            command.has_ticks = now_s - command.since_s <= self._limits.command_max_age_s

    def is_stale(self, stored: Stored, now_s: float) -> bool:
        """True if nobody should act upon it any more."""
        return (
            _is_command(stored.event)
            and not stored.has_ticks
            and now_s - stored.since_s > self._limits.command_max_age_s
        )

    def _thin(self, meter: str, left: int) -> None:
        """Drop readings of `meter` until `left` are left, or fewer could go without a loss."""
        readings = self._readings_of(meter)
        doomed: set[int] = set()
        while len(readings) > left:
            # The one whose neighbours are closest: so the steps that are left are about equal.
            best = min(range(1, len(readings) - 1), key=lambda at: _gap(readings, at), default=0)
            if not best or _gap(readings, best) == _NEVER:
                break
            doomed.add(id(readings.pop(best).stored))
        self._stored = deque(stored for stored in self._stored if id(stored) not in doomed)
        self._readings[meter] = len(readings)
        self.superseded += len(doomed)

    def _readings_of(self, meter: str) -> list[_Reading]:
        readings: list[_Reading] = []
        commands = 0
        for stored in self._stored:
            event = stored.event
            if _is_command(event):
                commands += 1
            elif isinstance(event, MeterUpdate) and event.tap_name == meter:
                readings.append(_Reading(stored, event.reading, commands, event.gap_s))
        return readings

    def _make_room(self, now_s: float) -> None:
        wanted: tuple[Callable[[Stored], bool], ...] = (
            lambda stored: self.is_stale(stored, now_s),
            lambda stored: isinstance(stored.event, ThermoEvent),
        )
        for is_wanted in wanted:
            for index, stored in enumerate(self._stored):
                if is_wanted(stored):
                    del self._stored[index]
                    self.dropped += 1
                    return
        self._thin_all()
        if len(self._stored) > self._limits.max_events:
            # Whose the oldest ticks are is the least to lose. Many at once, for looking at all that is kept is dear.
            self._forget_commands(1 + self._limits.max_events // 64)
            self._thin_all()
        if len(self._stored) > self._limits.max_events:
            self._stored.popleft()
            self.dropped += 1

    def _thin_all(self) -> None:
        for meter in self._readings:
            self._thin(meter, left=1)

    def _forget_commands(self, most: int) -> None:
        doomed = {id(stored) for stored in islice(filter(_holds_command, self._stored), most)}
        self._stored = deque(stored for stored in self._stored if id(stored) not in doomed)
        self.dropped += len(doomed)


def _gap(readings: list[_Reading], at: int) -> int:
    """The step in ticks if `readings[at]` went; _NEVER if it has to stay."""
    before, here, after = readings[at - 1 : at + 2]
    if here.gap_s or after.gap_s or after.commands != here.commands:
        return _NEVER
    if not before.ticks <= here.ticks <= after.ticks:
        return _NEVER
    return after.ticks - before.ticks


def _holds_command(stored: Stored) -> bool:
    return _is_command(stored.event)


def _is_command(event: Event) -> bool:
    return isinstance(event, (TokenAuthEvent, FlowRequest))


def _has_age(event: Event) -> TypeGuard[AppEvent]:
    return isinstance(event, (MeterUpdate, ThermoEvent, TokenAuthEvent, FlowRequest))
