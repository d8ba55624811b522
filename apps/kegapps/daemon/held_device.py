"""One device, kept open for ever: waited for, opened, lost, waited for again.

Knows the news of devices. Must not know what kind of device it is, nor what it says.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Protocol

from kegapps.daemon.device_news import DeviceNews, directories_of
from kegapps.daemon.loop import Loop, Timer
from kegapps.daemon.port import PortError

RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 5.0  # for a device that is there and cannot be opened: nobody tells when it can be


class OpenDevice(Protocol):
    """A device while we hold it."""

    def write(self, data: bytes) -> None:
        """Send without waiting."""

    def close(self) -> None:
        """Let go of it; harmless if it is lost already."""


Opener = Callable[[Callable[[bytes], None], Callable[[str], None]], OpenDevice]


class HeldDevice:
    """The device `path`; `open` tries it for the first time, the callbacks come from the loop after that.

    `opener(on_bytes, on_lost)` opens it, or raises PortError; `on_lost(reason)` is called once. `on_open()`, then
    `on_bytes(data)` as often as something comes. `on_gone()` when the device was lost or could not be opened:
    `problem` says why. It is tried again without being asked, whatever the problem.
    """

    def __init__(
        self,
        loop: Loop,
        path: str,
        *,
        opener: Opener,
        on_open: Callable[[], None],
        on_bytes: Callable[[bytes], None],
        on_gone: Callable[[], None],
    ) -> None:
        self.path = path
        self.problem = ""
        self._loop = loop
        self._opener = opener
        self._on_open = on_open
        self._on_bytes = on_bytes
        self._on_gone = on_gone
        self._port: OpenDevice | None = None
        self._retry: Timer | None = None
        self._retry_s = RETRY_S
        self._let_rest = (
            False  # it was there and is of no use: only time, or another device, makes a difference
        )
        self._news = DeviceNews(loop, lambda: directories_of([path]), self._poke)

    @property
    def is_open(self) -> bool:
        """True while we hold the device."""
        return self._port is not None

    @property
    def status(self) -> str:
        """For a person: `waiting for /dev/ttyUSB0: no such device`, or the path alone while it is open."""
        return self.path if self.is_open else f"waiting for {self.path}: {self.problem}"

    def open(self) -> None:
        """Try it now."""
        self._forget_retry()
        try:
            self._port = self._opener(self._on_bytes, self._lost)
        except PortError as error:
            if os.path.exists(self.path):
                self._try_again(self._retry_s)
                self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
            self._gone(str(error))
            return
        self._retry_s = RETRY_S
        self._let_rest = False
        self.problem = ""
        self._on_open()

    def write(self, data: bytes) -> None:
        """Send without waiting; dropped while it is not open."""
        if self._port is not None:
            self._port.write(data)

    def give_up(self, problem: str, *, retry_s: float) -> None:
        """Close it for `problem`, to be opened again after `retry_s`, or at once when it has been unplugged."""
        if self._port is not None:
            self._port.close()
            self._port = None
        self._let_rest = True
        self._try_again(retry_s)
        self._gone(problem)

    def close(self) -> None:
        """Let go of it for good."""
        self._news.close()
        self._forget_retry()
        if self._port is not None:
            self._port.close()
            self._port = None

    def _poke(self) -> None:
        if self._port is not None:
            return
        there = os.path.exists(self.path)
        self._let_rest = self._let_rest and there
        if there and not self._let_rest:
            self.open()
        elif not there and self._retry is not None:
            self._forget_retry()
            self._gone("no such device")

    def _lost(self, reason: str) -> None:
        self._port = None
        # The device may be there already again, or still: then no news comes.
        self._try_again(RETRY_S)
        self._gone(reason)

    def _gone(self, problem: str) -> None:
        self.problem = problem
        self._on_gone()

    def _try_again(self, delay_s: float) -> None:
        self._forget_retry()
        self._retry = self._loop.call_later(delay_s, self.open)

    def _forget_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
