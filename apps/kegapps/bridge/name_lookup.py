"""The address of a machine by its name, without anybody waiting for it.

Knows the resolver, a thread and a pipe. Must not know what the address is for.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from kegapps.daemon.loop import READ, Loop

Place = tuple[socket.AddressFamily, Any]


class NameLookup:
    """Asks for `host`; from the loop `on_done` gets where that is, or, for a person, why nobody knows.

    The resolver may take half a minute, and cannot be interrupted: it has a thread of its own, which nobody waits for.
    """

    def __init__(self, loop: Loop, host: str, port: int, on_done: Callable[[Place | str], None]) -> None:
        self._loop = loop
        self._on_done = on_done
        self._answer: list[Place | str] = []
        self._end, thread_end = os.pipe2(os.O_CLOEXEC)
        loop.watch(self._end, READ, self._done)
        threading.Thread(target=_look_up, args=(host, port, self._answer, thread_end), daemon=True).start()

    def cancel(self) -> None:
        """Do not tell; harmless if that is done."""
        if self._end >= 0:
            self._loop.unwatch(self._end)
            os.close(self._end)
            self._end = -1

    def _done(self, _ready: int) -> None:
        self.cancel()
        self._on_done(self._answer[0])


def _look_up(host: str, port: int, answer: list[Place | str], end: int) -> None:
    """In the thread: the end of the pipe that it closes is its own, so the loop's may be gone by then."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        answer.append((family, place))
    except (OSError, UnicodeError) as error:
        answer.append(str(getattr(error, "strerror", None) or error).lower())
    finally:
        os.close(end)
