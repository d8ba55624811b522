"""Taking over what an earlier watchdog of the same directory left: running apps stay, half-made ones end.

Knows records and processes. Nothing that runs is started again, and nothing is believed unseen: a record's process
must have its boot id, pid and start time.
"""

from __future__ import annotations

import time

from . import proc
from .crew import Crew, end_at_once
from .instance import Instance
from .life import Life
from .lifecycle import State
from .proc import Process
from .records import Record
from .restart import Exit
from .spec import App, Config

_KILL_WAIT_S = 2.0
_OVER = (State.EXITED.value, State.FATAL.value)


def adopt_all(crew: Crew, config: Config, *, revive: bool) -> None:
    """Adopt every app that lives; those that died while nobody watched are wanted again if `revive`.

    An app that was being stopped lives on unwanted: whoever calls must carry that on. Raises OSError.
    """
    for record in crew.records.read_all():
        if not isinstance(record, Record):
            crew.journal.error(str(record))
            crew.records.set_aside(record.file)
            continue
        app = config.find(record.app)
        life = Life(app=app or _as_recorded(record), restarts=record.restarts)
        instance = _living(life.app, record)
        if instance is not None:
            crew.lives[record.app] = life
            ready = record.state != State.STARTING.value or life.app.type in ("simple", "forking")
            life.adopted(time.monotonic(), proc.age_s(instance.start_ticks), ready=ready)
            life.wanted = record.wanted
            crew.take_over(life, instance)
            crew.journal.info(f"{record.app}: adopted, process {instance.main_pid}")
        else:
            _go_on(crew, life, record)
            if app is not None and revive and record.wanted:
                crew.lives[record.app] = life
            else:
                crew.records.remove(record.app)


def _go_on(crew: Crew, life: Life, record: Record) -> None:
    """No main process of it lives: take up its story where the record leaves it."""
    same_boot = record.boot_id == proc.boot_id()
    life.wanted = True
    life.last_exit = Exit(status=record.exit_status, signal=record.exit_signal)
    if record.cookie:
        life.last_exit = (crew.news_of(record.pid) if record.pid and same_boot else None) or Exit()
        life.reason = f"{life.last_exit} while no watchdog was there"
        life.restarts += 1
        crew.journal.warning(f"{record.app}: {life.reason}")
        if same_boot:
            _end_rest(crew, record)
    elif same_boot and record.state in _OVER:
        life.state = State(record.state)
        life.reason = str(life.last_exit)


def _living(app: App, record: Record) -> Instance | None:
    if record.boot_id != proc.boot_id() or not record.cookie:
        return None
    if not record.pid:
        # The watchdog died between making the starter and learning which daemon it left.
        instance = Instance(app, record.cookie)
        instance.session = record.session
        instance.parent = 0
        return instance if instance.find_main() else None
    try:
        return Instance.adopt(app, record)
    except OSError:
        return None


def _end_rest(crew: Crew, record: Record) -> None:
    """End what a dead app left behind: a worker that holds its port would keep the new one from starting."""
    for seen in proc.kin(record.cookie):
        try:
            process = Process(seen.pid, seen.start_ticks)
        except OSError:
            continue
        if not end_at_once(process, _KILL_WAIT_S):
            crew.journal.error(f"{record.app}: process {seen.pid} of it cannot be ended")


def _as_recorded(record: Record) -> App:
    """Its section is gone; what was written down is enough to watch and end it."""
    return App(
        name=record.app, line=0, enabled=False, argv=record.argv, type="simple",
        pidfile=record.pidfile, logfile=record.logfile,
    )  # fmt: skip
