"""The deaths that are still to be told of in the crash logs: apps come first.

Knows lives and the clock of people. Must not know the form of a crash log.
"""

from __future__ import annotations

import time

from . import crashlog
from .crashlog import Death
from .journal import Journal
from .lean import Final
from .life import Life
from .spec import App

_UNWATCHED_BYTES: Final = 8 << 10


class Crashes:
    """The deaths that are still to be written: apps come first."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._deaths: list[tuple[str, Death]] = []

    def died(self, life: Life, pid: int) -> None:
        """The app has ended; `pid`: its main process was that, 0 if it had none."""
        begun = _stamp(time.time() - (time.monotonic() - life.started_s)) if pid else ""
        self._add(life.app, life.reason, pid, begun, life.printed)
        life.printed = b""

    def died_unwatched(self, life: Life) -> None:
        """The app has ended while nobody watched: where its last launch began in its log, nobody knows."""
        self._add(life.app, life.reason, output=crashlog.tail(life.app.logfile, (0, 0), _UNWATCHED_BYTES))

    def refused(self, app: App, reason: str) -> None:
        """The app was to be started, and could not even be tried."""
        self._add(app, reason)

    def _add(self, app: App, reason: str, pid: int = 0, started: str = "", output: bytes = b"") -> None:
        death = Death(
            app=app.name, time=_stamp(time.time()), reason=reason, argv=app.argv, pid=pid, started=started,
            output=output,
        )  # fmt: skip
        self._deaths.append((app.crash_log, death))

    def flush(self) -> None:
        """Write what is there. What cannot be written is lost, which the launcher's own log tells."""
        deaths, self._deaths = self._deaths, []
        for path, death in deaths:
            try:
                crashlog.write(path, death)
            except OSError as error:
                self._journal.warning(f"{death.app}: {path} does not tell of its end: {error}")


def _stamp(time_unix: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_unix))
