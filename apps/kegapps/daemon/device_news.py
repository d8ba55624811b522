"""Tells when a device may have come or gone, by news of the directories where devices appear.

Knows the loop, inotify and symbolic links. Must not know which devices, nor open one.

Nothing is done while nothing happens. Only where the kernel has no inotify to give (its limit of instances is
reached) a look is due every two seconds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from kegapps.daemon.inotify import Inotify
from kegapps.daemon.loop import READ, Loop, Timer

# udev makes a device, then its by-id name, then gives it to its group.
SETTLE_S: Final = 0.1
LOOK_EVERY_S: Final = 2.0

log = logging.getLogger("daemon")


class DeviceNews:
    """Calls `on_change()` from the loop when another look may find something else.

    `directories()` is where it happens; asked again after each change, for links may lead elsewhere then. Of one
    that does not exist what there is of the way to it is watched.
    """

    def __init__(
        self, loop: Loop, directories: Callable[[], Iterable[str]], on_change: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._directories = directories
        self._on_change = on_change
        self._timer: Timer | None = None
        self._inotify: Inotify | None = None
        try:
            self._inotify = Inotify()
        except OSError as error:
            log.info("no inotify (%s): looking for devices every %g s", error.strerror, LOOK_EVERY_S)
            self._timer = loop.call_later(LOOK_EVERY_S, self._look)
            return
        self._watch(self._inotify)
        loop.watch(self._inotify, READ, self._news)

    def close(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._inotify is not None:
            self._loop.unwatch(self._inotify)
            self._inotify.close()
            self._inotify = None

    def _watch(self, inotify: Inotify) -> None:
        inotify.watch({_nearest(directory) for directory in self._directories()})

    def _news(self, _ready: int) -> None:
        assert self._inotify is not None
        self._inotify.take()
        if self._timer is None or self._timer.cancelled:
            self._timer = self._loop.call_later(SETTLE_S, self._settled)

    def _settled(self) -> None:
        assert self._inotify is not None
        self._watch(self._inotify)
        self._on_change()

    def _look(self) -> None:
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
        self._on_change()


def directories_of(paths: Iterable[str]) -> Iterator[str]:
    """Where `paths` appear, and where the targets of links among them do: those may come later."""
    for path in paths:
        yield os.path.dirname(path)
        if os.path.islink(path):
            yield os.path.dirname(os.path.realpath(path))


def _nearest(directory: str) -> str:
    """`directory`, or what there is of the way to it."""
    while directory != "/" and not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
