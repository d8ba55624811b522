from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from .PhidgetException import NOT_ATTACHED, TIMED_OUT, PhidgetException

lock = threading.Lock()
channels: list[Channel] = []
plugged: list[int] = []


class Channel:
    """What all channels have in common."""

    def __init__(self) -> None:
        self._handlers: dict[str, Callable[..., None]] = {}
        self._wanted_serial = -1
        self._channel = 0
        self._is_open = False
        self._serial: int | None = None

    def setOnAttachHandler(self, handler: Callable[..., None]) -> None:  # noqa: N802
        self._handlers["attach"] = handler

    def setOnDetachHandler(self, handler: Callable[..., None]) -> None:  # noqa: N802
        self._handlers["detach"] = handler

    def setOnErrorHandler(self, handler: Callable[..., None]) -> None:  # noqa: N802
        self._handlers["error"] = handler

    def setDeviceSerialNumber(self, serial: int) -> None:  # noqa: N802
        self._wanted_serial = serial

    def setChannel(self, channel: int) -> None:  # noqa: N802
        self._channel = channel

    def open(self) -> None:
        start()
        with lock:
            if not self._is_open:
                self._is_open = True
                channels.append(self)
        # Attached by the library's thread, even if the device is there already.
        for serial in plugged[-1:]:
            threading.Thread(target=self.plug, args=(serial,), daemon=True).start()

    def openWaitForAttachment(self, timeout_ms: int) -> None:  # noqa: N802
        was_open = self._is_open
        self.open()
        end_s = time.monotonic() + timeout_ms / 1000
        while self._serial is None:
            if time.monotonic() > end_s:
                if not was_open:
                    self.close()
                raise PhidgetException(TIMED_OUT)
            time.sleep(0.01)

    def close(self) -> None:
        with lock:
            self._is_open, self._serial = False, None
            if self in channels:
                channels.remove(self)

    def getIsOpen(self) -> bool:  # noqa: N802
        return self._is_open

    def getAttached(self) -> bool:  # noqa: N802
        return self._serial is not None

    def getDeviceSerialNumber(self) -> int:  # noqa: N802
        return self._wanted_serial if self._serial is None else self._serial

    def need(self) -> None:
        if self._serial is None:
            raise PhidgetException(NOT_ATTACHED)

    def plug(self, serial: int) -> None:
        with lock:
            fits = self._is_open and self._serial is None and self._wanted_serial in (-1, serial)
            if fits:
                self._serial = serial
        if fits:
            self.happens("attach")

    def unplug(self) -> None:
        if self._serial is not None:
            self._serial = None
            self.happens("detach")

    def happens(self, event: str, *arguments: Any) -> None:
        if event in self._handlers and self._is_open:
            self._handlers[event](self, *arguments)


def did(text: str) -> None:
    with open(os.environ["FAKE_PHIDGETS_LOG"], "a") as log:
        log.write(text + "\n")


def start() -> None:
    if not any(thread.name == "phidgets" for thread in threading.enumerate()):
        threading.Thread(target=_read, name="phidgets", daemon=True).start()


def _read() -> None:
    with open(os.environ["FAKE_PHIDGETS"]) as lines:
        for line in lines:
            what, *words = line.split()
            if what == "plug":
                plugged.append(int(words[0]))
                for channel in tuple(channels):
                    channel.plug(int(words[0]))
            elif what == "unplug":
                plugged.clear()
                for channel in tuple(channels):
                    channel.unplug()
            elif what == "error":
                for channel in tuple(channels):
                    channel.happens("error", int(words[0]), " ".join(words[1:]))
            else:
                for channel in tuple(channels):
                    if channel.getAttached():
                        channel.happens(what, words[0], int(words[1]))
