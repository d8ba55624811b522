"""What the watchdog tells of itself and its apps, as events.

Knows lives and the lifecycle. Must not know files or sockets: the event log has them.
"""

from __future__ import annotations

from .eventlog import EventLog
from .events import MASTER
from .life import Life
from .lifecycle import Event, State
from .restart import Exit

_WITHOUT_PROCESS = frozenset({State.WAITING, State.STARTING})


class History:
    """Turns changes of state into events."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._pids: dict[str, int] = {}
        """The main process that each app has, or had last."""

    def moved(self, life: Life, before: State, event: Event, pid: int, *, exit: Exit | None = None) -> None:
        """The app went from `before` to where it is, by `event`; `pid`: its main process, 0 if it has none."""
        ended = life.last_exit if event is Event.CLEARED else exit
        silent = life.state in _WITHOUT_PROCESS or life.state is State.RUNNING  # the reason is an old one
        if pid:
            self._pids[life.app.name] = pid
        shown = None if life.state in _WITHOUT_PROCESS else self._pids.get(life.app.name)
        self._add(life, before, pid=shown, ended=ended, reason="" if silent else life.reason)

    def held_up(self, life: Life) -> None:
        """The app's start waits for something, which was not known when it began to wait."""
        self._add(life, life.state, reason=life.blocked)

    def adopted(self, life: Life, pid: int) -> None:
        """The app was taken over from an earlier watchdog, alive; or it died while there was none."""
        if life.state is not State.STOPPED:
            self._pids[life.app.name] = pid
        elif life.reason:
            self._add(life, State.RUNNING, ended=life.last_exit, reason=life.reason)

    def master(self, before: str, after: str, reason: str, pid: int) -> None:
        """Something happened to the master itself."""
        self.log.add(MASTER, before, after, reason=reason, pid=pid)

    def _add(
        self, life: Life, before: State, *, pid: int | None = None, ended: Exit | None = None, reason: str
    ) -> None:
        self.log.add(
            life.app.name, before.value, life.state.value, pid=pid, reason=reason, restarts=life.restarts,
            exit_status=ended.status if ended else None, exit_signal=ended.signal if ended else None,
        )  # fmt: skip
