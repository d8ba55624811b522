"""Between all the boards of one machine and the core: who is there, whose is what, and what people are told about it.

Knows the lines, the kegnet client and the loop. What happens on one line is `line`'s business, which board is which
`roster`'s, where devices come from `discovery`'s. Must not know flags.
"""

from __future__ import annotations

import logging
from typing import Final

from kegapps.daemon import runner
from kegapps.daemon.loop import Timer
from kegapps.kbsp.messages import Hello
from kegapps.kegboard.conversation import SILENCE_S
from kegapps.kegboard.devices import Device, Wanted
from kegapps.kegboard.discovery import Discovery
from kegapps.kegboard.line import Line
from kegapps.kegboard.roster import Board, Naming, Refusal, Roster
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import AppEvent, BoardStatus, Event, SetRelayOutputEvent
from kegapps.kegnet.ratelimit import RateLimit

FAREWELL_S: Final = 0.4  # for relays and last readings; a program has to end within a second
TELL_EVERY_S: Final = 10.0
MAX_LINES: Final = 64

log = logging.getLogger("kegboard")


class Bridge:
    """Some boards, one core, one loop."""

    def __init__(
        self,
        service: runner.Service,
        *,
        wanted: Wanted,
        naming: Naming,
        core: tuple[str, int],
        required_firmware: int,
        token: str = "",
    ) -> None:
        self._service = service
        self._loop = service.loop
        self._wanted = wanted
        self._required_firmware = required_firmware
        self._roster = Roster(naming, required_firmware=required_firmware)
        self._single = naming.single
        self._trouble = RateLimit(5, 60.0)
        self._ready = False
        self._tidying = False
        self._telling: Timer | None = None
        self._lines: dict[str, Line] = {}  # by path
        for path in wanted.paths:
            self._lines[path] = self._new_line(path)
        self._discovery = Discovery(self._loop, wanted, self._look)
        self._core = Client(
            self._loop,
            core,
            on_event=self._from_core,
            on_connected=self._met_core,
            on_disconnected=self._lost_core,
            token=token,
        )

    def start(self) -> None:
        """Try the devices once and say that the program serves; the rest is the loop's."""
        for line in list(self._lines.values()):
            line.poke()
        self._look()
        self._ready = True
        self._service.ready(self._status())
        self._loop.call_later(SILENCE_S, self._roster.miss)

    # -- devices -------------------------------------------------------------------------------------------

    def _new_line(self, path: str) -> Line:
        owner = self._roster.only if self._single else None
        line = Line(
            self._loop,
            path,
            self,
            owner=owner,
            required_firmware=self._required_firmware,
            stranger=path not in self._wanted.paths,
        )
        if owner is not None:
            owner.line = line
        return line

    def _look(self) -> None:
        """Take in which devices are there: try those that are free, forget those that are not there."""
        devices = self._discovery.devices()
        found = {name for device in devices for name in device.names}
        for line in list(self._lines.values()):
            if line.path not in found and not line.is_open:
                line.gone()
        for device in devices:
            self._meet(device)
        self._show()

    def _meet(self, device: Device) -> None:
        if any(line.is_open and line.target == device.target for line in self._lines.values()):
            return
        line = next((line for line in self._lines.values() if line.path in device.names), None)
        if line is None:
            if len(self._lines) >= MAX_LINES:
                return
            line = self._lines[device.path] = self._new_line(device.path)
        line.target, line.names = device.target, (*device.names, device.target)
        line.poke()

    def _tidy(self) -> None:
        """Forget what had only matched a pattern and is not there any more."""
        self._tidying = False
        for path, line in list(self._lines.items()):
            if line.waits_for_device and path not in self._wanted.paths:
                del self._lines[path]
        self._show()

    # -- what a line says ----------------------------------------------------------------------------------

    def claim(self, line: Line, hello: Hello) -> Board | Refusal:
        """The board whose hello came on `line`."""
        return self._roster.claim(hello, line, line.names)

    def released(self, line: Line) -> None:
        """A name is free: those that were refused it may try again."""
        for other in list(self._lines.values()):
            if other is not line:
                other.retry()

    def tell(self, event: AppEvent) -> None:
        """Pass on what a board said."""
        self._core.send(event)

    def changed(self, line: Line) -> None:
        """A line is in another state, or says it in other words."""
        board = line.board
        if board is not None and line.state is not None:
            board.state, board.detail, board.device = line.state, line.detail, line.path
            self._tell_of(board)
        elif line.state == "refused":
            self._tell_of_refused(line)
        if not self._single and line.text:
            log.info("%s", line.text) if line.state in (None, "online") else log.warning("%s", line.text)
        self._show()

    def vanished(self, line: Line) -> None:
        """There is nothing to open at the path of a line."""
        if line.path not in self._wanted.paths and not self._tidying:
            self._tidying = True
            self._loop.call_later(0.0, self._tidy)

    # -- the core ------------------------------------------------------------------------------------------

    def _met_core(self) -> None:
        self._tell_on()
        self._show()

    def _lost_core(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        # Nobody keeps watch over an open valve any more; the board's own watchdog would take 10 s.
        for line in self._lines.values():
            line.switch_off()
        self._show()

    def _from_core(self, event: Event) -> None:
        if not isinstance(event, SetRelayOutputEvent):
            return
        if not self._single and "." not in event.output_name:
            self._complain_of(event, "the name does not say of which board")
            return
        for board in self._roster.boards:
            command = board.conversation.output(event)
            if command is None:
                continue
            output, enabled = command
            done = isinstance(board.line, Line) and board.line.set_output(output, enabled=enabled)
            if not done and enabled:
                self._complain_of(event, "the board is not there")

    def _complain_of(self, event: SetRelayOutputEvent, reason: str) -> None:
        self.complain(f"{event.output_name} stays as it is: {reason}")

    def _tell_on(self) -> None:
        self._telling = self._loop.call_later(TELL_EVERY_S, self._tell_on)
        for board in self._roster.boards:
            self._tell_of(board)
        for line in self._lines.values():
            if line.state == "refused":
                self._tell_of_refused(line)

    def _tell_of(self, board: Board) -> None:
        if board.state is None or not self._core.connected:
            return
        online, now_s = board.state == "online", self._loop.now_s()
        self._core.send(
            BoardStatus(
                board_name=board.name,
                state=board.state,
                detail=board.detail,
                firmware_version=board.firmware_version,
                serial_number=board.serial_number,
                device=board.device,
                uptime_s=_ago_s(board.booted_s, now_s) if online else None,
                listened_s=_ago_s(board.listened_since_s, now_s) if online else None,
            )
        )

    def _tell_of_refused(self, line: Line) -> None:
        if line.refusal is not None and self._core.connected:
            refusal = line.refusal
            self._core.send(
                BoardStatus(board_name=refusal.name, state="refused", detail=refusal.reason, device=line.path)
            )

    def farewell(self) -> None:
        """The loop has stopped: relays off, send what can still be sent within 0.4 s, close."""
        until_s = self._loop.now_s() + FAREWELL_S
        lines = list(self._lines.values())
        for line in lines:
            line.switch_off(hurry=True)
        while (now_s := self._loop.now_s()) < until_s:
            sent = [line.send_now() for line in lines]
            if all(done for done, _ in sent) and (self._core.drained or not self._core.connected):
                break
            waits = [until_s, *(next_s for _, next_s in sent if next_s is not None)]
            self._loop.run_once(max(0.0, min(waits) - now_s))
        if not self._core.drained:
            log.warning("%d readings could not be sent to the core", self._core.waiting)
        for line in lines:
            line.close()
        self._discovery.close()
        self._core.close()

    # -- telling people --------------------------------------------------------------------------------------

    def _status(self) -> str:
        state = self._lines_status()
        if self._core.connected:
            return state
        return f"{state}; core not reached at {shown_address(*self._core.address)}"

    def _lines_status(self) -> str:
        if self._single:
            return next(iter(self._lines.values())).text
        online = sorted(
            line.board.name for line in self._lines.values() if line.board and line.state == "online"
        )
        parts = [f"boards online: {', '.join(online)}"] if online else []
        parts += [line.text for line in self._lines.values() if line.state != "online" and line.text]
        parts += [
            f"board {board.name}: {board.detail}, last on {board.device}" if board.device
            else f"board {board.name}: {board.detail}"
            for board in self._roster.boards
            if board.line is None and board.state == "absent" and board.device not in self._lines
        ]  # fmt: skip
        return "; ".join(parts) or f"no serial device at {', '.join(self._wanted.patterns)}"

    def _show(self) -> None:
        if self._ready:
            self._service.status(self._status())

    def complain(self, text: str) -> None:
        """Log it, unless there was too much of that lately."""
        unsaid = self._trouble.admit(self._loop.now_s())
        if unsaid is not None:
            log.warning("%s%s", text, f" ({unsaid} lines like this left out)" if unsaid else "")


def _ago_s(then_s: float | None, now_s: float) -> float | None:
    return None if then_s is None else round(now_s - then_s, 3)
