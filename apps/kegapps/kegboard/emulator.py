"""An emulated board on its cable: the rig, a pseudo terminal, and the callers of its verbs, in one loop.

Knows the loop, the line and the control socket. Must not know flags. What the verbs do to a board is the rig's.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kegapps.daemon.loop import Loop, Timer
from kegapps.kegboard import verbs
from kegapps.kegboard.control import Caller, ControlServer, Json
from kegapps.kegboard.pty_line import LineError, PtyLine
from kegapps.kegboard.rig import CannotError, Rig, RunningPour

PROGRESS_EVERY_S: Final = 0.25
DRAIN_S: Final = 0.3
LOOK_S: Final = 0.005

log = logging.getLogger("simulator")


class Emulator:
    """The rig, its cable and its callers in one loop."""

    def __init__(self, loop: Loop, rig: Rig, *, link: str, control: str, reset_on_open: bool) -> None:
        """Raises ControlError if the control socket cannot be made."""
        self._loop = loop
        self._rig = rig
        self._reset_on_open = reset_on_open
        self._timer: Timer | None = None
        self._pouring: list[_Pouring] = []
        self._unplugging: _Unplugging | None = None
        self._control = ControlServer(loop, control, self._request)
        self._line = PtyLine(loop, link, on_open=self._opened, on_close=self._closed, on_bytes=self._received)

    @property
    def link(self) -> str:
        """The stable name of its device."""
        return self._line.link

    @property
    def device(self) -> str:
        """The pseudo terminal behind the link; "" while unplugged."""
        return self._line.device

    def start(self) -> None:
        """Plug in and power on. Raises LineError."""
        self._line.plug()
        self._rig.board.reset(self._loop.now_s())
        self._turn()

    def close(self) -> None:
        """Unplug and hang up."""
        self._line.unplug()
        self._control.close()

    def _turn(self) -> None:
        """Let the board do what is due, and sleep until the next thing is."""
        now_s = self._loop.now_s()
        self._send(self._rig.run(now_s))
        for pouring in self._pouring[:]:
            if self._rig.is_done(pouring.pour):
                self._pouring.remove(pouring)
                pouring.finish()
            else:
                pouring.show(now_s)
        if self._timer is not None:
            self._timer.cancel()
        wake_s = self._rig.wake_s
        self._timer = None if wake_s is None else self._loop.call_later(max(0.0, wake_s - now_s), self._turn)

    def _send(self, data: bytes) -> None:
        if data:
            whole = self._line.send(data)
            self._rig.board.tally.sent(self._line.sent_bytes if whole else None)

    def _opened(self, dtr_rises: bool) -> None:
        reboots = self._reset_on_open and dtr_rises and self._rig.board.powered
        log.info("opened by a host%s", ", which reboots the board" if reboots else "")
        if reboots:
            self._rig.board.reset(self._loop.now_s())
        self._turn()

    def _closed(self, unread_bytes: int) -> None:
        log.info("closed by the host")
        self._rig.board.tally.hung_up(self._line.sent_bytes - unread_bytes)

    def _received(self, data: bytes) -> None:
        self._rig.board.receive(data, self._loop.now_s())
        self._turn()

    def _request(self, request: Json, caller: Caller) -> None:
        words = request.get("words")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            caller.drop()
            return
        log.debug("verb: %s", " ".join(words))
        try:
            verb = verbs.parse(words)
            self._send(self._rig.run(self._loop.now_s()))
            if isinstance(verb, verbs.Unplug) and not verb.keep_power:
                self._cut_power_and_unplug(caller)
                return
            pour = self._perform(verb)
        except (verbs.VerbError, CannotError, LineError) as error:
            caller.say({"ok": False, "text": str(error)})
            return
        if pour is None:
            # What the verb caused goes out before the caller hears that it is done.
            self._turn()
            caller.say({"ok": True, **self._report(verb)})
            return
        pouring = _Pouring(pour, caller, progress=request.get("progress") is True)
        self._pouring.append(pouring)
        caller.on_gone = lambda: self._rig.stop(pour)
        self._turn()

    def _perform(self, verb: verbs.Verb) -> RunningPour | None:
        now_s = self._loop.now_s()
        match verb:
            case verbs.State() | verbs.Ticks():
                pass
            case verbs.Noise():
                self._line.send(os.urandom(verb.count))
            case verbs.Unplug():
                self._line.unplug()
            case verbs.Plug():
                if self._unplugging is not None:
                    self._unplugging.finish()
                self._line.plug()
                if not self._rig.board.powered:
                    self._rig.board.reset(now_s)
            case _:
                return self._rig.perform(verb, now_s)
        return None

    def _cut_power_and_unplug(self, caller: Caller) -> None:
        """The board is dead at once; what it has said before, a host that reads may still read."""
        self._rig.board.power_off()
        if self._unplugging is not None:
            self._unplugging.finish()

        def unplugged() -> None:
            self._unplugging = None
            self._line.unplug()
            self._turn()
            caller.say({"ok": True})

        self._unplugging = _Unplugging(self._loop, self._line, unplugged)
        self._unplugging.look()

    def _report(self, verb: verbs.Verb) -> Json:
        match verb:
            case verbs.State():
                return {"state": self._state()}
            case verbs.Ticks():
                return {"ticks": self._ticks()}
        return {}

    def _ticks(self) -> Json:
        return {
            f"flow{number}": {**dataclasses.asdict(meter), "untold": meter.untold}
            for number, meter in enumerate(self._rig.board.tally.meters)
        }

    def _state(self) -> Json:
        board, line, now_s = self._rig.board, self._line, self._loop.now_s()
        return {
            "plugged": line.plugged,
            "connected": line.connected,
            "powered": board.powered,
            "booted": board.booted(now_s),
            "uptime_s": round(board.uptime_s(now_s), 3),
            "firmware_version": board.config.firmware_version,
            "serial_number": board.serial_number,
            "meters": {f"flow{number}": ticks for number, ticks in enumerate(board.meter_ticks)},
            "ticks": self._ticks(),
            "relays": {f"relay{number}": enabled for number, enabled in enumerate(board.outputs_enabled)},
            "temperatures_c": {address.name: celsius for address, celsius in board.temperatures_c.items()},
            "tokens": [token[::-1].hex() for token in board.tokens_on_bus],
            "device_link": line.link,
            "device": line.device,
            "opened": line.opened,
            "sent_bytes": line.sent_bytes,
            "dropped_bytes": line.dropped_bytes,
            "received_bytes": line.received_bytes,
            "overrun_bytes": board.overrun_bytes,
        }


@dataclass(slots=True)
class _Pouring:
    """A pour and the caller who waits for it."""

    pour: RunningPour
    caller: Caller
    progress: bool
    shown_s: float = 0.0

    def show(self, now_s: float) -> None:
        if self.progress and now_s >= self.shown_s + PROGRESS_EVERY_S:
            self.shown_s = now_s
            self.caller.say({"poured": self.pour.poured, "ticks": self.pour.verb.ticks})

    def finish(self) -> None:
        self.caller.on_gone = None
        wanted, counted = self.pour.verb.ticks, self.pour.counted
        text = f"flow{self.pour.verb.meter}: {counted} of {wanted} ticks counted by the board"
        if counted < wanted:
            text += "; it had no power or was booting meanwhile"
        self.caller.say({"ok": counted == wanted, "text": text, "counted": counted})


class _Unplugging:
    """A cable on its way out: it goes once the host has read all, or after 0.3 s if it does not read."""

    def __init__(self, loop: Loop, line: PtyLine, done: Callable[[], None]) -> None:
        self._loop = loop
        self._line = line
        self._done = done
        self._until_s = loop.now_s() + DRAIN_S
        self._timer: Timer | None = None

    def look(self) -> None:
        """Finish if it is time."""
        if self._line.all_read or not self._line.connected or self._loop.now_s() >= self._until_s:
            self.finish()
            return
        self._timer = self._loop.call_later(LOOK_S, self.look)

    def finish(self) -> None:
        """Now."""
        if self._timer is not None:
            self._timer.cancel()
        self._done()
