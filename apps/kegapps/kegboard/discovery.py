"""Finds the wanted devices, now and whenever one comes or goes.

Knows the file system and the loop. Must not open a device.

The directories are watched by inotify, so nothing is done while nothing happens. Only where the kernel has no
inotify to give (its limit of instances is reached) they are looked at every two seconds.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Callable, Iterator
from typing import Final

from kegapps.daemon.loop import READ, Loop, Timer
from kegapps.kegboard.devices import Device, Wanted, distinct
from kegapps.kegboard.inotify import Inotify

# udev makes a device, then its by-id name, then gives it to its group.
SETTLE_S: Final = 0.1
LOOK_EVERY_S: Final = 2.0

log = logging.getLogger("kegboard")


class Discovery:
    """Calls `on_change()` from the loop when another look may find something else."""

    def __init__(self, loop: Loop, wanted: Wanted, on_change: Callable[[], None]) -> None:
        self._loop = loop
        self._wanted = wanted
        self._on_change = on_change
        self._timer: Timer | None = None
        self._inotify: Inotify | None = None
        try:
            self._inotify = Inotify()
        except OSError as error:
            log.info("no inotify (%s): looking for devices every %g s", error.strerror, LOOK_EVERY_S)
            self._timer = loop.call_later(LOOK_EVERY_S, self._look)
            return
        self._watch()
        loop.watch(self._inotify, READ, self._news)

    def devices(self) -> list[Device]:
        """Those that are there now; a device that has several names is one."""
        return distinct(self._found())

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._inotify is not None:
            self._loop.unwatch(self._inotify)
            self._inotify.close()

    def _found(self) -> Iterator[tuple[str, str]]:
        for path in self._wanted.paths:
            if os.path.exists(path):
                yield path, os.path.realpath(path)
        for pattern in self._wanted.patterns:
            for path in sorted(glob.glob(pattern)):
                if os.path.exists(path) and not os.path.isdir(path):
                    yield path, os.path.realpath(path)

    def _watch(self) -> None:
        assert self._inotify is not None
        directories = {_nearest(directory) for directory in self._wanted.directories()}
        for path in [*self._wanted.paths, *(path for path, _ in self._found())]:
            if os.path.islink(path):  # whose target may come later, or be given to another group
                directories.add(_nearest(os.path.dirname(os.path.realpath(path))))
        self._inotify.watch(directories)

    def _news(self, _ready: int) -> None:
        assert self._inotify is not None
        self._inotify.take()
        if self._timer is None or self._timer.cancelled:
            self._timer = self._loop.call_later(SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._watch()
        self._on_change()

    def _look(self) -> None:
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
        self._on_change()


def _nearest(directory: str) -> str:
    """`directory`, or what there is of the way to it."""
    while directory != "/" and not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
