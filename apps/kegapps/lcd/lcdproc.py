"""Any display that LCDd drives, through its TCP port.

Knows a socket, the loop and the times between attempts. Must not know the words that are said, or what is shown. LCDd
that is late, restarted or stuck is a state: it is tried for ever, and draws everything again. One picture at a time is
under way, so a slow LCDd gets the newest next, not all that were missed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from kegapps.daemon.loop import READ, WRITE, Loop, Timer
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.sockets import begin_connecting, check_connected, family, why
from kegapps.lcd import lcdproc_codec as codec
from kegapps.lcd.picture import Change, Light, Picture

ANSWER_S: Final = 5.0
"""LCDd looks at its clients 32 times a second."""

RETRY_FIRST_S: Final = 0.5
RETRY_MAX_S: Final = 5.0
RETRY_FLOOD_S: Final = 60.0

FLOOD_BYTES: Final = 256 * 1024
FLOOD_S: Final = 10.0
"""So much in so short a time no LCDd says, however large its display is and often its picture changes."""

DEFAULT_COLUMNS, DEFAULT_ROWS = 20, 4  # until LCDd tells


class LcdprocDisplay:
    """The display of the LCDd at `address`, an IP address and a port. A `Display`."""

    def __init__(self, loop: Loop, *, address: tuple[str, int], on_status: Callable[[], None]) -> None:
        self._loop = loop
        self._address = address
        self._on_status = on_status
        self._rows: tuple[str, ...] = ()
        self._light = True
        self._picture = self._blank(DEFAULT_COLUMNS, DEFAULT_ROWS)
        self._welcomed = False
        self._ready = False
        self._problem = ""
        self._sock: socket.socket | None = None
        self._answers = codec.Answers()
        self._out = b""
        self._awaited = 0  # how many commands are under way
        self._setting_up = False
        self._failures = 0
        self._heard_bytes = 0
        self._heard_since_s = loop.now_s()
        self._told = ""
        self._timer: Timer | None = loop.call_later(0.0, self._connect)

    @property
    def columns(self) -> int:
        """Of the display that LCDd has."""
        return self._picture.columns

    @property
    def rows(self) -> int:
        """Of the display that LCDd has."""
        return self._picture.rows

    @property
    def ready(self) -> bool:
        """True if LCDd has taken a whole picture."""
        return self._ready

    @property
    def status(self) -> str:
        """How it is, for a person."""
        where = f"LCDd at {shown_address(*self._address)}"
        if self._ready:
            return where
        return f"waiting for {where}" + (f": {self._problem}" if self._problem else "")

    def show(self, rows: Sequence[str]) -> None:
        """Show these rows."""
        self._rows = tuple(rows)
        self._picture.show(rows)
        self._advance()

    def backlight(self, on: bool) -> None:
        """Light on or off."""
        self._light = on
        self._picture.light(on)
        self._advance()

    def close(self) -> None:
        """Hang up; LCDd then shows its other screens."""
        self._forget_timer()
        self._release()

    # Connecting

    def _connect(self) -> None:
        try:
            sock = begin_connecting(family(self._address[0]), self._address)
        except OSError as error:
            self._give_up(why(error))
            return
        self._sock = sock
        self._loop.watch(sock, WRITE, partial(self._on_attempt_over, sock))
        self._expect_answer()

    def _on_attempt_over(self, sock: socket.socket, _ready: int) -> None:
        try:
            check_connected(sock)
        except OSError as error:
            self._give_up(why(error))
            return
        self._answers = codec.Answers()
        self._loop.watch(sock, READ, self._on_ready)
        self._say(codec.HELLO)

    def _give_up(self, problem: str, *, delay_s: float = 0.0) -> None:
        self._forget_timer()
        self._release()
        self._problem = problem
        delay_s = delay_s or min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(self._failures, 10))
        self._failures += 1
        self._timer = self._loop.call_later(delay_s, self._connect)
        self._tell()

    def _release(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.unwatch(sock)
            sock.close()
        self._welcomed = self._ready = self._setting_up = False
        self._out = b""
        self._awaited = 0

    def _expect_answer(self) -> None:
        self._forget_timer()
        self._timer = self._loop.call_later(ANSWER_S, lambda: self._give_up(f"no answer for {ANSWER_S:g} s"))

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Connected

    def _on_ready(self, ready: int) -> None:
        sock = self._sock
        if sock is not None and ready & READ:
            self._receive(sock)
        if sock is not None and sock is self._sock and ready & WRITE:
            self._send(sock)

    def _receive(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(4096)
            if not data:
                self._give_up("it closed the connection")
                return
            if self._is_flood(len(data)):
                self._give_up("it says more than LCDd ever does", delay_s=RETRY_FLOOD_S)
                return
            for answer in self._answers.feed(data):
                self._hear(answer)
                if self._sock is not sock:
                    return
        except BlockingIOError:
            return
        except OSError as error:
            self._give_up(why(error))
        except codec.NotLcdError as error:
            self._give_up(str(error))

    def _is_flood(self, size: int) -> bool:
        if (now_s := self._loop.now_s()) - self._heard_since_s > FLOOD_S:
            self._heard_since_s, self._heard_bytes = now_s, 0
        self._heard_bytes += size
        return self._heard_bytes > FLOOD_BYTES

    def _hear(self, answer: codec.Answer) -> None:
        match answer:
            case codec.Welcome() if not self._welcomed:
                self._welcomed = self._setting_up = True
                self._forget_timer()
                other = (answer.columns, answer.rows) != (self.columns, self.rows)
                self._picture = self._blank(answer.columns, answer.rows)
                commands = codec.setup(answer.rows)
                self._awaited = len(commands)
                self._say(b"".join(commands))
                if other:
                    self._on_status()  # what is shown is to be arranged for that size
            case codec.Done() if self._awaited:
                self._awaited -= 1
                if self._awaited:
                    self._expect_answer()
                    return
                self._forget_timer()
                if self._setting_up:
                    self._setting_up = False
                else:
                    # Not before: one that takes our screen, but no text, would be tried twice a second for ever.
                    self._ready = True
                    self._problem = ""
                    self._failures = 0
                    self._tell()
                self._advance()
            case codec.Refused():
                # It knows our screen no more, or another language: begin anew, but not at once and for ever.
                self._give_up(f"it refused a command: {answer.reason}")

    def _advance(self) -> None:
        """Say what has changed, if LCDd has answered all that was said before."""
        if self._welcomed and not self._awaited and (changes := self._picture.changes()):
            for change in changes:
                self._picture.sent(change)
                self._awaited += 1
            self._say(b"".join(map(_command, changes)))

    def _say(self, data: bytes) -> None:
        sock = self._sock
        assert sock is not None
        self._out += data
        self._expect_answer()
        self._send(sock)

    def _send(self, sock: socket.socket) -> None:
        try:
            sent = sock.send(self._out)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(self._out)  # reading says so, too, and from the loop
        self._out = self._out[sent:]
        self._loop.watch(sock, READ | WRITE if self._out else READ, self._on_ready)

    def _blank(self, columns: int, rows: int) -> Picture:
        picture = Picture(columns=columns, rows=rows, codes=codec.CODES)
        picture.show(self._rows)
        picture.light(self._light)
        return picture

    def _tell(self) -> None:
        if self.status != self._told:
            self._told = self.status
            self._on_status()


def _command(change: Change) -> bytes:
    return codec.light(change.on) if isinstance(change, Light) else codec.write(change.index, change.codes)
