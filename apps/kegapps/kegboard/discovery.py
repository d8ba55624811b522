"""Finds the wanted devices, now and whenever one comes or goes.

Knows the file system. Must not open a device.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator

from kegapps.daemon.device_news import DeviceNews, directories_of
from kegapps.daemon.loop import Loop
from kegapps.kegboard.devices import Device, Wanted, distinct


class Discovery:
    """Calls `on_change()` from the loop when another look may find something else."""

    def __init__(self, loop: Loop, wanted: Wanted, on_change: Callable[[], None]) -> None:
        self._wanted = wanted
        self._news = DeviceNews(loop, self._directories, on_change)

    def devices(self) -> list[Device]:
        """Those that are there now; a device that has several names is one."""
        return distinct(self._found())

    def close(self) -> None:
        """Look no more."""
        self._news.close()

    def _found(self) -> Iterator[tuple[str, str]]:
        for path in self._wanted.paths:
            if os.path.exists(path):
                yield path, os.path.realpath(path)
        for pattern in self._wanted.patterns:
            for path in sorted(glob.glob(pattern)):
                if os.path.exists(path) and not os.path.isdir(path):
                    yield path, os.path.realpath(path)

    def _directories(self) -> Iterator[str]:
        yield from self._wanted.directories()
        yield from directories_of([*self._wanted.paths, *(path for path, _ in self._found())])
