"""Which app is which process, kept up to date on disk: the run records, and pidfiles of apps that write none.

Knows records and pidfiles. A disk that takes no more is said once per app, and tried again with each event: the app
is worth more than its record.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from . import pidfiles, proc
from .instance import Instance
from .journal import Journal
from .lean import Final
from .life import Life
from .lifecycle import State
from .records import Record, Records

_NOTES_APART_S: Final = 1.0
"""What an app says of itself is written down no more often than this: one that says much costs the disk little."""
_TALKING: Final = (State.STARTING, State.RUNNING)
"""One that ends has no main process any more, and its record shall go on naming that."""


class Register:
    """Writes what changed, and nothing else."""

    def __init__(self, records: Records, journal: Journal) -> None:
        self._records = records
        self._journal = journal
        self._written: dict[str, tuple[State, int] | None] = {}
        """In which state, after how many failures, each app's record has it; None: it has no record."""
        self._failed: set[str] = set()
        self._noted: dict[str, tuple[str, float]] = {}
        """What each app's record has it say of itself, and when that was written (monotonic)."""
        self.due_s: float | None = None
        """When `update` has something to write that must wait until then (monotonic)."""

    def write(self, life: Life, instance: Instance, *, only_note: bool = False) -> None:
        """The app has these processes now; `only_note`: as before, but it says something else of itself."""
        self._noted[life.app.name] = life.note, time.monotonic()
        try:
            self._records.write(instance.record(life, time.time()))
            ours = not instance.app.detaches or instance.app.names_no_pidfile
            if instance.main and ours and not only_note:
                pidfiles.write(instance.app.pidfile, instance.main_pid)
        except OSError as error:
            self._complain(life.app.name, error)
        else:
            self._failed.discard(life.app.name)
            self._written[life.app.name] = life.state, life.failures

    def update(self, lives: Iterable[Life], instances: Mapping[str, Instance]) -> None:
        """Keep a record of each wanted app that has no process just now, and none of those not wanted.

        And of what those that have one say of themselves.
        """
        self.due_s = None
        for life in lives:
            name = life.app.name
            if name in instances:
                if name in self._failed:
                    self.write(life, instances[name])
                elif life.state in _TALKING and life.note != self._noted.get(name, ("", 0.0))[0]:
                    self._note(life, instances[name])
                continue
            wanted = (life.state, life.failures) if life.wanted else None
            # What another watchdog recorded is not known here: absent is not None.
            if name in self._written and self._written[name] == wanted:
                continue
            try:
                if wanted is None:
                    self._records.remove(name)
                else:
                    self._records.write(_without_process(life))
            except OSError as error:
                self._complain(name, error)
            else:
                self._failed.discard(name)
                self._written[name] = wanted

    def write_all(self, lives: Mapping[str, Life], instances: Mapping[str, Instance]) -> bool:
        """Write down how things stand for whoever comes next; False if the disk does not take it."""
        for name, instance in instances.items():
            self.write(lives[name], instance)
        return not self._failed

    def complete(self, running: Iterable[str]) -> bool:
        """Of the records that these apps and the wanted ones should have, none is missing."""
        recorded = {name for name, state in self._written.items() if state is not None} | {*running}
        return all(self._records.has(name) for name in recorded - self._failed)

    def restore(self, lives: Mapping[str, Life], instances: Mapping[str, Instance]) -> None:
        """Write everything anew, since some of it was removed. Raises OSError."""
        self._records.prepare()
        self._written.clear()
        for name, instance in instances.items():
            self.write(lives[name], instance)

    def _note(self, life: Life, instance: Instance) -> None:
        now_s = time.monotonic()
        due_s = self._noted.get(life.app.name, ("", -_NOTES_APART_S))[1] + _NOTES_APART_S
        if now_s >= due_s:
            self.write(life, instance, only_note=True)
        else:
            self.due_s = min(due_s, self.due_s or due_s)

    def _complain(self, name: str, error: OSError) -> None:
        if name not in self._failed:
            self._failed.add(name)
            self._journal.error(f"{name}: cannot be written down, which is tried again: {error}")


def _without_process(life: Life) -> Record:
    return Record(
        app=life.app.name, boot_id=proc.boot_id(), state=life.state.value, restarts=life.restarts,
        failures=life.failures, delay_s=life.delay_s, next_try_s=life.deadline_s or 0.0,
        exit_status=life.last_exit.status if life.last_exit else None,
        exit_signal=life.last_exit.signal if life.last_exit else None,
        pidfile=life.app.pidfile, logfile=life.app.logfile, argv=life.app.argv,
    )  # fmt: skip
