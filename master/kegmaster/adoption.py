"""Taking over what an earlier watchdog of the same directory left: running apps stay, half-made ones end.

Knows records and processes. Nothing that runs is started again, and nothing is believed unseen: a record's process
must have its boot id, pid and start time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator

from . import notify, pidfiles, proc
from .crew import Crew
from .environment import credentials
from .instance import Instance
from .lean import replace
from .life import Life
from .lifecycle import State
from .proc import Process
from .records import Record, sound_cookie
from .restart import Exit, from_wait_status
from .settings import changed
from .spec import App, Config

_OVER = (State.EXITED.value, State.FATAL.value)


def adopt_all(crew: Crew, config: Config, *, revive: bool) -> None:
    """Adopt every app that lives; those that died while nobody watched are wanted again if `revive`.

    An app that was being stopped lives on unwanted: whoever calls must carry that on. Raises OSError.
    """
    found = list(crew.records.read_all())
    cookies = {record.cookie for record in found if isinstance(record, Record)}
    for record in found:
        if not isinstance(record, Record):
            crew.journal.error(str(record))
            crew.records.set_aside(record.file)
            continue
        _adopt(crew, config, record, revive=revive)
    for record in _unrecorded(crew, config, cookies):
        if record.app in crew.instances:
            crew.journal.warning(
                f"{record.app}: process {record.pid} claims to be of it but is not; it is left alone"
            )
        else:
            _adopt(crew, config, record, revive=revive)
            if record.app in crew.instances:
                crew.register.write(crew.lives[record.app], crew.instances[record.app])


def _adopt(crew: Crew, config: Config, record: Record, *, revive: bool) -> None:
    app = config.find(record.app)
    life = Life(app=_as_started(app, record) if app else _as_recorded(record), restarts=record.restarts)
    if record.boot_id == proc.boot_id():
        life.failures, life.delay_s = record.failures, record.delay_s
    instance = _living(life.app, record)
    if instance is not None:
        crew.lives[record.app] = life
        # READY=1 may have been told to nobody. To end a sound app for that would be worse than to believe in it.
        half_made = instance.main is None
        believed = life.app.type != "oneshot" and life.app.ready is None
        ready = not half_made and (record.state != State.STARTING.value or believed)
        age_s = 0.0 if half_made else proc.age_s(instance.start_ticks)
        life.adopted(time.monotonic(), age_s, ready=ready)
        life.wanted = record.wanted
        # It says it when it changes, which may be never again.
        life.note = notify.one_line(record.note)
        crew.take_over(life, instance)
        crew.journal.info(f"{record.app}: adopted, process {instance.main_pid or 'not known yet'}")
    else:
        wanted = app is not None and revive and record.wanted
        if _go_on(crew, life, record, wanted=wanted):
            crew.lives[record.app] = life
        else:
            crew.records.remove(record.app)


def _go_on(crew: Crew, life: Life, record: Record, *, wanted: bool) -> bool:
    """No main process of it lives: take up its story where the record leaves it; False if it is over."""
    same_boot = record.boot_id == proc.boot_id()
    life.wanted = wanted
    life.last_exit = Exit(status=record.exit_status, signal=record.exit_signal)
    if record.cookie:
        life.last_exit = (_how_it_ended(crew, record) if record.pid and same_boot else None) or Exit()
        known = life.last_exit != Exit()
        life.reason = f"died unwatched, {life.last_exit}" if known else "died unwatched, nobody knows how"
        crew.journal.warning(f"{record.app}: {life.reason}")
        life.crashed = record.wanted and not life.succeeded
        if record.pid:
            pidfiles.remove(record.pidfile, record.pid)
        leaf = crew.leaf(record.app)
        if same_boot and (proc.kin(record.cookie) or (leaf is not None and leaf.populated())):
            _clear(crew, life, record)
            return True
        if same_boot and record.start_ticks and wanted:
            life.died_unwatched(time.monotonic(), proc.age_s(record.start_ticks), os.urandom(1)[0] / 255)
        if not life.failures and life.state is State.STOPPED:
            life.restarts += 1  # else its next start counts itself
    elif same_boot and record.state == State.BACKOFF.value and wanted:
        now_s = time.monotonic()
        life.state, life.reason = State.BACKOFF, str(life.last_exit)
        life.deadline_s = min(record.next_try_s, now_s + record.delay_s)
    elif same_boot and record.state in _OVER:
        life.state = State(record.state)
        life.reason = str(life.last_exit)
    return wanted


def _how_it_ended(crew: Crew, record: Record) -> Exit | None:
    seen = proc.stat(record.pid)
    if seen and seen.zombie and seen.start_ticks == record.start_ticks and seen.parent == os.getpid():
        # It was our child before we exec'ed, and died meanwhile.
        return from_wait_status(os.waitpid(record.pid, os.WNOHANG)[1])
    return crew.deaths.of(record.pid)


def _clear(crew: Crew, life: Life, record: Record) -> None:
    """End what a dead app left behind: a worker that holds its port would keep the new one from starting."""
    instance = Instance(life.app, record.cookie)
    instance.session, instance.parent = record.session, 0
    life.left_behind(time.monotonic())
    crew.take_over(life, instance)


def _living(app: App, record: Record) -> Instance | None:
    if record.boot_id != proc.boot_id() or not record.cookie:
        return None
    if not record.pid:
        return _half_made(app, record)
    try:
        return Instance.adopt(app, record)
    except OSError:
        return None


def _half_made(app: App, record: Record) -> Instance | None:
    """The watchdog died between making the starter and learning which daemon it left: take up that search."""
    instance = Instance(app, record.cookie)
    instance.started_with = dict(record.started_with) or instance.started_with
    instance.session = record.session
    instance.parent = 0
    if instance.find_main():
        return instance
    if record.state != State.STARTING.value or not app.detaches:
        return None
    alive = proc.kin(record.cookie)
    with contextlib.suppress(OSError):
        starter = next((seen for seen in alive if seen.pid == record.session), None)
        instance.made = Process(starter.pid, starter.start_ticks) if starter else None
    if instance.made is None:
        instance.probe_s = time.monotonic()
    return instance if alive else None


def _unrecorded(crew: Crew, config: Config, known: Collection[str]) -> Iterator[Record]:
    """Launches of this run directory whose record was lost (full disk, directory removed), as their processes tell.

    Anybody can give a process such marks; so only those of our own user, or the app's, are believed, and only for
    apps that are configured.
    """
    launches: dict[str, tuple[str, list[proc.Stat]]] = {}
    for pid in proc.all_pids():
        marks = proc.marks_of(pid)
        cookie, app = marks.get(proc.COOKIE, ""), config.find(marks.get(proc.APP, ""))
        if marks.get(proc.RUN) != crew.run or cookie in known or not sound_cookie(cookie) or app is None:
            continue
        try:
            owner = credentials(app.context)[0] if app.context.user else os.geteuid()
        except KeyError as error:
            crew.journal.error(
                f"{app.name}: {error.args[0]}; its process {pid} cannot be proven, and is left alone"
            )
            continue
        seen = proc.stat(pid)
        if seen and not seen.zombie and proc.owner(pid) == owner:
            launches.setdefault(cookie, (app.name, []))[1].append(seen)
    for cookie, (name, processes) in launches.items():
        # The main process leads a session and is the oldest that does; what merely stems from it comes later.
        leaders = (seen for seen in processes if seen.session == seen.pid)
        main = min(leaders, key=lambda seen: seen.start_ticks, default=None)
        crew.journal.warning(f"{name}: runs without a record, process {main.pid if main else 'unknown'}")
        yield Record(
            app=name, boot_id=proc.boot_id(), state=State.RUNNING.value, cookie=cookie,
            pid=main.pid if main else 0, start_ticks=main.start_ticks if main else 0, session=main.pid if main else 0,
            argv=(name,), pidfile=f"{crew.run}/{name}.pid", logfile=os.devnull,
        )  # fmt: skip


def _as_started(app: App, record: Record) -> App:
    """What the file says now, but for what is known of how it was started: a later reload shall see what changed."""
    if not record.started_with or not record.argv:
        return app
    enabled = app.enabled is not ("_enabled" in changed(app, record.started_with))
    return replace(app, argv=record.argv, pidfile=record.pidfile, logfile=record.logfile, enabled=enabled)


def _as_recorded(record: Record) -> App:
    """Its section is gone; what was written down is enough to watch and end it."""
    return App(
        name=record.app, line=0, enabled=False, argv=record.argv, type="simple",
        pidfile=record.pidfile, logfile=record.logfile,
    )  # fmt: skip
