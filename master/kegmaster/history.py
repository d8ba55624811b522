"""What the watchdog tells of itself and its apps: as events, and to the hooks of apps that have any.

Knows lives and the lifecycle. Must not know files, sockets or processes: the event log and the hooks have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import __version__
from .eventlog import EventLog
from .events import MASTER, Entry
from .lean import TYPE_CHECKING
from .life import Life
from .lifecycle import Event, State
from .restart import Exit

if TYPE_CHECKING:
    from .hookrun import Hooks
    from .hooks import Kind

_WITHOUT_PROCESS = frozenset({State.WAITING, State.STARTING})


class History:
    """Turns changes of state into events and calls of hooks."""

    def __init__(self, log: EventLog, make_hooks: Callable[[], Hooks]) -> None:
        """`make_hooks` is called once a hook is needed: most masters have none."""
        self.log = log
        self._make_hooks = make_hooks
        self._hooks: Hooks | None = None
        self._pids: dict[str, int] = {}
        """The main process that each app has, or had last."""

    def moved(self, life: Life, before: State, event: Event, pid: int, *, exit: Exit | None = None) -> None:
        """The app went from `before` to where it is, by `event`; `pid`: its main process, 0 if it has none."""
        ended = life.last_exit if event is Event.CLEARED else exit
        silent = life.state in _WITHOUT_PROCESS or life.state is State.RUNNING  # the reason is an old one
        if pid:
            self._pids[life.app.name] = pid
        shown = None if life.state in _WITHOUT_PROCESS else self._pids.get(life.app.name)
        entry = self._add(life, before, pid=shown, ended=ended, reason="" if silent else life.reason)
        if life.app.on_failure or life.app.on_change:
            self._call(life, entry)

    def last_pid(self, life: Life) -> int:
        """The main process that the app has, or had last; 0 if none is known."""
        return self._pids.get(life.app.name, 0)

    def held_up(self, life: Life) -> None:
        """The app's start waits for something, which was not known when it began to wait."""
        self._add(life, life.state, reason=life.blocked)

    def adopted(self, lives: Iterable[Life], pid_of: Callable[[Life], int]) -> str:
        """These were taken over from an earlier watchdog, alive or dead; returns how many live, in words."""
        alive = 0
        for life in lives:
            alive += life.state in (State.STARTING, State.RUNNING)
            if pid := pid_of(life):
                self._pids[life.app.name] = pid
            elif life.state is State.STOPPED:
                self._died_unwatched(life)
        return f", adopted {alive} app{'s' if alive > 1 else ''}" if alive else ""

    def _died_unwatched(self, life: Life) -> None:
        if life.reason:
            entry = self._add(life, State.RUNNING, ended=life.last_exit, reason=life.reason)
            # After a reboot, nobody knows how it ended: that is no failure of its own.
            if life.app.on_failure and life.last_exit != Exit() and life.failed:
                self._call(life, entry, ["failure"])

    def begun(self, adopted: str, replaced: str, pid: int) -> None:
        """The master, process `pid`, watches from now on; `replaced`: instead of that version; empty: anew."""
        if replaced:
            how = f"replaced by version {__version__}, which was {replaced}{adopted}"
            self.master(State.RUNNING.value, State.RUNNING.value, how, pid)
        else:
            self.master(State.STOPPED.value, State.RUNNING.value, f"started{adopted}", pid)

    def master(self, before: str, after: str, reason: str, pid: int) -> None:
        """Something happened to the master itself."""
        self.log.add(MASTER, before, after, reason=reason, pid=pid)

    def watch_hooks(self) -> None:
        """Look after the hooks that an earlier watchdog left running."""
        self._hooks = self._hooks or self._make_hooks()

    def call_hooks(self, now_s: float) -> float | None:
        """Call what waits and end what takes too long; returns when to come again. Costs time: apps come first."""
        return self._hooks.turn(now_s) if self._hooks else None

    def over(self, now_s: float, *, leaving: bool) -> bool:
        """`leaving`: all apps are gone. True: so is everything else, and the master may end."""
        return self._hooks.over(now_s, leaving=leaving) if self._hooks else leaving

    def _call(self, life: Life, entry: Entry, kinds: list[Kind] | None = None) -> None:
        from .hooks import Call, called_for

        for kind in kinds or called_for(life.app, life.state, failed=life.failed):
            self.watch_hooks()
            assert self._hooks
            self._hooks.put(Call(app=life.app, kind=kind, entry=entry))

    def _add(
        self, life: Life, before: State, *, pid: int | None = None, ended: Exit | None = None, reason: str
    ) -> Entry:
        return self.log.add(
            life.app.name, before.value, life.state.value, pid=pid, reason=reason, restarts=life.restarts,
            exit_status=ended.status if ended else None, exit_signal=ended.signal if ended else None,
        )  # fmt: skip
