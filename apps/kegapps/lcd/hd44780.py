"""The common HD44780 modules behind a PCF8574 on an I2C bus, by RPLCD.

Knows RPLCD, the bus and its errors. Must not know kegnet or what is shown. A row takes some 40 ms on the bus, so a
thread writes, one picture at a time: the loop never waits, and a slow bus gets the newest picture next. A display that
loses its power for a moment comes back in another mode; with the first change after each minute it is put into the
right one again, without anybody seeing it. A bus that is missing is waited for by news of /dev; a display that does not
answer tells nobody when it does, and is tried again more and more slowly.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from kegapps.daemon.device_news import DeviceNews
from kegapps.daemon.extras import extra
from kegapps.daemon.loop import Loop, Timer
from kegapps.daemon.streams import printable
from kegapps.daemon.thread_calls import ThreadCalls
from kegapps.lcd.picture import Change, Light, Picture

CHARSETS: Final = ("A00", "A02")
MAX_CHARACTERS: Final = 80  # the controller's memory
RETRY_FIRST_S: Final = 3.0
RETRY_MAX_S: Final = 15.0
WHOLE_S: Final = 60.0
HANG_S: Final = 5.0  # a whole picture takes a fifth of a second

_ALIKE: Final = {"ß": "β", "µ": "μ", "°": "ᴼ"}
"""Letters that look as another does by which RPLCD knows the ROM."""

_HANGS: Final = "the bus hangs; look at its wires"
_REASONS: Final = {
    errno.ENOENT: "no such bus (is I2C switched on?)",
    errno.ENODEV: "no such bus (is I2C switched on?)",
    errno.EACCES: "permission denied; add the user to the group that owns it, often i2c",
    errno.EREMOTEIO: "nothing answers at that address",
    errno.ENXIO: "nothing answers at that address",
    errno.EIO: "nothing answers at that address",
    errno.ETIMEDOUT: _HANGS,
}
_NO_BUS: Final = frozenset((errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EACCES))


class BusMissingError(Exception):
    """There is no such bus, or it is not for us, until something happens to its device; the text is why."""


class Bus(Protocol):
    """An I2C bus, as smbus and smbus2 have it."""

    def write_byte(self, address: int, value: int) -> None:
        """Send one byte. Raises OSError."""

    def close(self) -> None:
        """Let go of it."""


class Library:
    """RPLCD, imported when a person asks for such a display. Raises StartError if it is missing."""

    def __init__(self) -> None:
        wanted_by = "--lcd_device_type=hd44780_i2c"
        self._i2c = extra("RPLCD.i2c", extra="lcd", wanted_by=wanted_by)
        self._codecs = extra("RPLCD.codecs", extra="lcd", wanted_by=wanted_by)

    def bus(self, number: int) -> Bus:
        """The open bus /dev/i2c-NUMBER. Raises OSError."""
        bus: Bus = self._i2c.SMBus(number)
        return bus

    def codes(self, charset: str) -> Mapping[str, int]:
        """The display's code of each letter that is in its ROM."""
        table = getattr(self._codecs, f"hd44780_{charset.lower()}").encoding_table
        codes = {letter: code for letter, code in table.items() if letter >= " "}
        return codes | {
            letter: codes[like] for letter, like in _ALIKE.items() if letter not in codes and like in codes
        }

    def display(self, bus: Bus, *, address: int, columns: int, rows: int, charset: str, lit: bool) -> Any:
        """A `CharLCD` that has put the display into the right mode, and left on it what was there. Raises OSError."""

        def leave(lcd: Any) -> None:
            # Nobody knows it: what RPLCD knows, it does not write.
            lcd._content = [[-1] * columns for _ in range(rows)]

        own = {"_init_connection": lambda lcd: setattr(lcd, "bus", bus), "clear": leave}
        kind = type("CharLCD", (self._i2c.CharLCD,), own)
        form = {"cols": columns, "rows": rows, "charmap": charset, "auto_linebreaks": False}
        return kind("PCF8574", address, **form, backlight_enabled=lit)


class Hd44780Display:
    """The display at I2C address `address` of bus `bus`. A `Display`."""

    def __init__(
        self,
        loop: Loop,
        *,
        bus: int,
        address: int,
        columns: int,
        rows: int,
        charset: str,
        on_status: Callable[[], None],
        library: Library,
        devices: str = "/dev",
    ) -> None:
        """`devices` is the directory in which buses appear."""
        self.columns = columns
        self.rows = rows
        self.ready = False
        self._loop = loop
        self._on_status = on_status
        self._where = f"0x{address:02x} on /dev/i2c-{bus}"
        self._problem = ""
        self._picture = Picture(columns=columns, rows=rows, codes=library.codes(charset))
        self._whole_s = loop.now_s()
        self._busy = False
        self._hanging: Timer | None = None
        self._retry: Timer | None = None
        self._failures = 0
        self._devices = devices
        self._news: DeviceNews | None = None
        self._await_news = self._had_news = False
        self._calls = ThreadCalls(loop)
        self._jobs: queue.SimpleQueue[tuple[list[Change], bool] | None] = queue.SimpleQueue()
        self._wire = _Wire(library, bus=bus, address=address, columns=columns, rows=rows, charset=charset)
        # A daemon: what hangs in the kernel cannot be waited for.
        self._thread = threading.Thread(target=self._work, name="hd44780", daemon=True)
        self._thread.start()
        self._advance()

    @property
    def status(self) -> str:
        """How it is, for a person."""
        if self.ready:
            return f"hd44780 at {self._where}"
        return f"waiting for {self._where}" + (f": {self._problem}" if self._problem else "")

    def show(self, rows: Sequence[str]) -> None:
        """Show these rows."""
        self._picture.show(rows)
        self._advance()

    def backlight(self, on: bool) -> None:
        """Light on or off."""
        self._picture.light(on)
        self._advance()

    def close(self) -> None:
        """Let go of the bus; what is shown stays. What is being written may still be."""
        for timer in (self._retry, self._hanging):
            if timer is not None:
                timer.cancel()
        self._forget_news()
        self._jobs.put(None)
        self._thread.join(0.3)
        if not self._thread.is_alive():
            self._calls.close()

    # In the loop's thread

    def _advance(self) -> None:
        """Have written what has changed, unless something is being written, or it has just failed."""
        if self._busy or self._await_news or self._retry is not None or not self._picture.changes():
            return
        now_s = self._loop.now_s()
        whole = not self.ready or now_s >= self._whole_s
        if whole:
            self._picture.forget()
            self._whole_s = now_s + WHOLE_S
        changes = self._picture.changes()
        for change in changes:
            self._picture.sent(change)
        self._busy = True
        self._hanging = self._loop.call_later(HANG_S, lambda: self._become(_HANGS))
        self._jobs.put((changes, whole))

    def _on_written(self, problem: str, bus_missing: bool) -> None:
        self._busy = False
        if self._hanging is not None:
            self._hanging.cancel()
        if problem:
            self._picture.forget()
        if bus_missing:
            self._wait_for_bus()
        else:
            self._forget_news()
            self._failures = self._failures + 1 if problem else 0
            if problem:
                delay_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(self._failures - 1, 10))
                self._retry = self._loop.call_later(delay_s, self._try_again)
        self._become(problem)
        self._advance()

    def _become(self, problem: str) -> None:
        changed = (self.ready, self._problem) != (not problem, problem)
        self.ready, self._problem = not problem, problem
        if changed:
            self._on_status()

    def _try_again(self) -> None:
        self._retry = None
        self._advance()

    def _wait_for_bus(self) -> None:
        """Until something happens to the devices. At once, if it may have happened before anybody listened."""
        if self._news is None:
            self._news = DeviceNews(self._loop, lambda: [self._devices], self._on_devices)
        elif not self._had_news:
            self._await_news = True
        self._had_news = False

    def _on_devices(self) -> None:
        self._had_news = self._busy
        self._await_news = False
        self._advance()

    def _forget_news(self) -> None:
        news, self._news = self._news, None
        self._await_news = self._had_news = False
        if news is not None:
            news.close()

    # In a thread of its own

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            changes, whole = job
            problem, bus_missing = "", False
            try:
                self._wire.write(changes, whole=whole)
            except BusMissingError as error:
                problem, bus_missing = str(error), True
            except OSError as error:
                problem = _reason(error)
            except Exception as error:  # noqa: BLE001 - whatever a library raises: the thread is to live on
                problem = printable(f"{type(error).__name__}: {error}")[:200]
            self._calls.call_soon(partial(self._on_written, problem, bus_missing))
        self._wire.close()


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or os.strerror(error.errno or errno.EIO)


class _Wire:
    """The bus and what RPLCD knows of the display: used by one thread, closed after any error."""

    def __init__(
        self, library: Library, *, bus: int, address: int, columns: int, rows: int, charset: str
    ) -> None:
        self._library = library
        self._number = bus
        self._form: dict[str, Any] = {
            "address": address,
            "columns": columns,
            "rows": rows,
            "charset": charset,
        }
        self._bus: Bus | None = None
        self._lcd: Any = None

    def write(self, changes: Sequence[Change], *, whole: bool) -> None:
        """Bring about `changes`; with `whole`, which has all rows and the light, from any mode.

        Raises BusMissingError, OSError, and whatever RPLCD does.
        """
        try:
            if self._bus is None:
                self._bus = self._opened()
            if whole or self._lcd is None:
                lit = next((change.on for change in changes if isinstance(change, Light)), True)
                self._lcd = self._library.display(self._bus, lit=lit, **self._form)
            for change in changes:
                if isinstance(change, Light):
                    self._lcd.backlight_enabled = change.on
                    continue
                self._lcd.cursor_pos = (change.index, 0)
                for code in change.codes:
                    self._lcd.write(code)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the bus."""
        bus, self._bus, self._lcd = self._bus, None, None
        if bus is not None:
            with contextlib.suppress(Exception):  # it goes, whatever it says to that
                bus.close()

    def _opened(self) -> Bus:
        try:
            return self._library.bus(self._number)
        except OSError as error:
            if error.errno in _NO_BUS:
                raise BusMissingError(_reason(error)) from None
            raise
