"""An emulated board with its taps, tags and thermometers: verbs and time in, board bytes and results out.

Knows the board and what the verbs do to it. Must not know clocks, ports or sockets: time is an argument,
monotonic seconds. Whether the cable is plugged in is the port's business; power is this one's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kegapps.kegboard import verbs
from kegapps.kegboard.board import IBUTTON, Board

POUR_STEP_S: Final = 0.02


class CannotError(Exception):
    """A verb that makes no sense on this board; the text is one line for a person."""


@dataclass(slots=True)
class RunningPour:
    """A pour under way. `poured` ticks have gone by, `counted` of them were seen by the board."""

    verb: verbs.Pour
    began_s: float | None = None
    poured: int = 0
    counted: int = 0
    flowed: bool = False

    def due(self, now_s: float) -> int:
        """Ticks that should have gone by at `now_s`."""
        began_s = now_s if self.began_s is None else self.began_s
        if now_s >= began_s + self.verb.seconds:
            return self.verb.ticks
        return int(self.verb.ticks * (now_s - began_s) / self.verb.seconds)

    def next_s(self, now_s: float) -> float:
        """When the next tick is due, though not sooner than one step from now."""
        assert self.began_s is not None
        tick_s = self.verb.seconds / max(1, self.verb.ticks)
        end_s = self.began_s + self.verb.seconds
        return min(max(self.began_s + tick_s * (self.poured + 1), now_s + POUR_STEP_S), end_s)


@dataclass(slots=True)
class RunningTap:
    """A tap that is left open; `passed` ticks so far."""

    ticks_per_second: float
    since_s: float
    passed: int = 0

    def due(self, now_s: float) -> int:
        """Ticks that should have gone by at `now_s`."""
        return int(self.ticks_per_second * (now_s - self.since_s) + 1e-6)

    def next_s(self, now_s: float) -> float:
        """When the next tick is due, though not sooner than one step from now."""
        return max(self.since_s + (self.passed + 1) / self.ticks_per_second, now_s + POUR_STEP_S)


class Rig:
    """A board and everything that happens around it."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._pours: list[RunningPour] = []
        self._taps: dict[int, RunningTap] = {}
        self._step_s = 0.0

    def perform(self, verb: verbs.Verb, now_s: float) -> RunningPour | None:
        """Do it; a pour goes on until `is_done`. Raises CannotError, also for the verbs of the port."""
        match verb:
            case verbs.Pour():
                self._check_meter(verb.meter)
                pour = RunningPour(verb)
                self._pours.append(pour)
                return pour
            case verbs.KeepFlowing():
                self._check_meter(verb.meter)
                self._taps.pop(verb.meter, None)
                if verb.ticks_per_second:
                    self._taps[verb.meter] = RunningTap(verb.ticks_per_second, now_s)
            case verbs.Odometer():
                self._check_meter(verb.meter)
                self._check_booted(now_s)
                self.board.set_odometer(verb.meter, verb.ticks, now_s)
            case verbs.Temperature():
                self._set_temperature(verb)
            case verbs.Token():
                self._token(verb, now_s)
            case verbs.PowerOff():
                self.board.power_off()
            case verbs.PowerOn():
                if not self.board.powered:
                    self.board.reset(now_s)
            case verbs.Reset():
                if not self.board.powered:
                    raise CannotError("the board has no power")
                self.board.reset(now_s)
            case _:
                raise CannotError(f"{type(verb).__name__.lower()} needs a cable")
        return None

    def run(self, now_s: float) -> bytes:
        """Let beer flow and the board work until `now_s`; what the board sends."""
        self._step_s = now_s
        for pour in self._pours:
            self._flow(pour, now_s)
        for meter, tap in self._taps.items():
            ticks = tap.due(now_s) - tap.passed
            tap.passed += ticks
            self.board.tick(meter, ticks, now_s)
        self._pours = [pour for pour in self._pours if not pour.flowed]
        return self.board.run(now_s)

    def stop(self, pour: RunningPour) -> None:
        """Close the tap before the pour is over."""
        pour.flowed = True

    def is_done(self, pour: RunningPour) -> bool:
        """True when it has flowed and the board has told of it (or lost its power)."""
        return pour.flowed and (not self.board.powered or self.board.meters_told)

    @property
    def wake_s(self) -> float | None:
        """When `run` has something to do; None: not before something is done to it."""
        times_s = [pour.next_s(self._step_s) for pour in self._pours if pour.began_s is not None]
        times_s += [tap.next_s(self._step_s) for tap in self._taps.values()]
        if self.board.wake_s is not None:
            times_s.append(self.board.wake_s)
        return min(times_s, default=None)

    def _flow(self, pour: RunningPour, now_s: float) -> None:
        if pour.began_s is None:
            # Nobody pours a beer to test a board that is still playing its boot tune.
            if self.board.powered and not self.board.booted(now_s):
                return
            pour.began_s = now_s
        ticks = pour.due(now_s) - pour.poured
        pour.poured += ticks
        pour.counted += self.board.tick(pour.verb.meter, ticks, now_s)
        pour.flowed = pour.flowed or pour.poured >= pour.verb.ticks

    def _check_meter(self, meter: int) -> None:
        meters = self.board.config.meters
        if meter >= meters:
            raise CannotError(f"the board has no flow{meter}; its meters are flow0 to flow{meters - 1}")

    def _check_booted(self, now_s: float) -> None:
        if not self.board.booted(now_s):
            raise CannotError(
                "the board is not running" if not self.board.powered else "the board is booting"
            )

    def _set_temperature(self, verb: verbs.Temperature) -> None:
        for address in self.board.temperatures_c:
            if address.name == verb.sensor:
                self.board.temperatures_c[address] = verb.celsius
                return
        names = ", ".join(address.name for address in self.board.temperatures_c) or "none"
        raise CannotError(f"no sensor {verb.sensor!r}; there are: {names}")

    def _token(self, verb: verbs.Token, now_s: float) -> None:
        if verb.device != IBUTTON:
            self._check_booted(now_s)
            self.board.swipe(verb.token, now_s)
            return
        if verb.comes:
            self.board.touch(verb.token, now_s)
        if verb.goes and not self.board.lift(verb.token, now_s):
            raise CannotError("this iButton is not on the contact")
