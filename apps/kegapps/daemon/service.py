"""What a program gets from the runner: the loop, its words, and ways to say how it is doing.

Knows the service manager's socket through `notify`. Must not know flags, processes or signals.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from kegapps.daemon.loop import Loop
from kegapps.daemon.notify import Notifier

log = logging.getLogger("daemon")


class Service:
    """Given to a program's `serve`.

    loop        ends on SIGTERM and SIGINT
    positional  the words of the command line that are no flags
    """

    def __init__(
        self,
        loop: Loop,
        positional: list[str],
        *,
        start_dir: str,
        notifier: Notifier,
        on_ready: Callable[[], None],
    ) -> None:
        self.loop = loop
        self.positional = positional
        self._start_dir = start_dir
        self._notifier = notifier
        self._on_ready = on_ready
        self._status = ""
        self._is_ready = False

    def ready(self, status: str = "") -> None:
        """The program serves now: the command that started it in the background ends with status 0.

        Tells the service manager, too, and from now on keeps its watchdog content as long as the loop runs.
        A second call only sets the status.
        """
        if self._is_ready:
            self.status(status)
            return
        self._is_ready = True
        self._status = status
        log.info("ready: %s", status) if status else log.info("ready")
        self._notifier.ready(status)
        self._on_ready()
        self._ping()

    def status(self, text: str, *, logged: bool = True) -> None:
        """Show `text` (one line) as what the program is doing, and log it if it changed, unless `logged` is false."""
        if text != self._status:
            self._status = text
            if logged:
                log.info("status: %s", text)
            self._notifier.status(text)

    def path(self, path: str) -> str:
        """`path` as the person meant it: relative to where the program was started, not to a daemon's "/"."""
        return os.path.normpath(os.path.join(self._start_dir, os.path.expanduser(path)))

    def _ping(self) -> None:
        interval_s = self._notifier.ping_interval_s
        if interval_s is not None:
            self._notifier.ping()
            self.loop.call_later(interval_s, self._ping)
