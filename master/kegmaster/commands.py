"""Commands inside the master: what a request means, who is told, and when it is done.

Knows the watchdog and conversations. A command goes on when its client is gone; the last one wins.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterable

from . import __version__, changes, loading, reloading
from .control import Conversation, Request
from .exit_codes import Status, Verb
from .lean import Any, Final, dataclass, field
from .life import Life
from .lifecycle import ALIVE, State
from .loading import UnreadableError
from .output import Output
from .reloading import Journalled, Listener
from .succession import Succession
from .watchdog import Watchdog

START_GRACE_S: Final = 0.2
"""A program that cannot tell when it is ready counts as started once it has lived so long."""
_MAX_NAMES: Final = 4096
_VERBS: Final = ("start", "stop", "restart", "reload", "reexec", "status", "events", "ping")


class _Startup:
    """Waits for the first start of a master in the foreground."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done

    def send(self, **fields: object) -> None:
        del fields

    def finish(self, **fields: object) -> None:
        del fields
        self._done()


@dataclass(slots=True)
class Job:
    """One start, stop, restart or reload under way: apps not yet told of, and how many deaths each had before."""

    verb: str
    talk: Listener
    pending: dict[str, int]
    failed: bool = False
    problems: list[str] = field(default_factory=list)
    ending: frozenset[str] = frozenset()
    """Apps that are to end, and not to run."""


class Desk:
    """Takes requests and sees jobs through."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.watchdog = watchdog
        self._jobs: list[Job] = []
        self.succession = Succession(watchdog, lambda: bool(self._jobs))
        watchdog.on_request = self.take
        watchdog.at_each_turn = self.look
        watchdog.on_hangup = lambda: self._reload(Journalled(watchdog.journal))

    def take(self, request: Request, talk: Conversation) -> None:
        """Answer one request."""
        verb, names = request.get("verb"), request.get("names", [])
        sound = (
            isinstance(names, list)
            and len(names) <= _MAX_NAMES
            and all(isinstance(name, str) for name in names)
        )
        if verb not in _VERBS or not sound:
            talk.finish(error=f"expected a verb of {', '.join(_VERBS)}, and a list of names")
        elif refusal := self._is_for_another(request.get("config")):
            talk.finish(error=refusal, exit=Verb.FAILED)
        elif verb == "ping":
            talk.finish(pid=self.watchdog.setup.lock.holder)
        elif verb == "events":
            log = self.watchdog.history.log
            log.serve(talk, request.get("after"), follow=request.get("follow") is True)
        elif verb == "status":
            report, code = status(self.watchdog, names)
            talk.finish(status=report, exit=code)
        elif verb == "stop":
            self._stop(names, talk)
        elif verb == "reexec":
            self.succession.begin(talk)
        elif verb == "reload" and names:
            from . import reread

            reread.ask(self.watchdog, names, talk)
        elif verb == "reload":
            self._reload(talk, dry_run=request.get("dry_run") is True, known=_words(request.get("known")))
        else:
            fresh, sparing = request.get("fresh") is True, request.get("sparing") is True
            self._start(verb, names, talk, fresh=fresh, sparing=sparing)

    def _is_for_another(self, asked: object) -> str:
        """Why a request that names a configuration file is not for this master; empty if it is."""
        has = self.watchdog.setup.source.file
        if not isinstance(asked, str) or "\0" in asked or loading.same_file(asked, has):
            return ""
        return loading.other_config(self.watchdog.setup.run.path, has, asked)

    def look(self, now_s: float) -> float | None:
        """Tell of what has settled; returns when to look again, if only time must pass."""
        due = [*(self._look_at(job, now_s) for job in list(self._jobs)), self.succession.look(now_s)]
        return min((time_s for time_s in due if time_s is not None), default=None)

    def start(self, names: list[str], done: Callable[[], None]) -> None:
        """Start these apps (none named: all enabled ones) and call `done` once all have settled."""
        self._start("start", names, _Startup(done), fresh=True)

    def _start(
        self, verb: str, names: list[str], talk: Listener, *, fresh: bool, sparing: bool = False
    ) -> None:
        """`fresh`: nobody but boot or cron may have asked for it; `sparing`: what people stopped stays stopped."""
        watchdog = self.watchdog
        try:
            # The master has just read the file when the very first command comes.
            config = watchdog.config if fresh else watchdog.reload(names)
        except UnreadableError as error:
            talk.finish(error=str(error), exit=Verb.NOT_CONFIGURED)
            return
        problems = [problem for problem in config.problems if not names or problem.section in names]
        if unknown := config.unknown(names):
            gone = f"{config.file}: there is no section [{unknown[0]}]; it runs on as before, stop ends it"
            wrong = gone if unknown[0] in watchdog.lives else config.no_section(unknown[0])
            talk.finish(error=wrong, exit=Verb.USAGE)
            return
        for app in config.unsound:
            if (app.name in names if names else app.enabled) and config.logs_safely(app.name):
                watchdog.crashes.refused(app, config.why_left_out(app.name))
        if names and set(names) <= watchdog.missing:
            talk.finish(exit=Verb.NOT_INSTALLED, problems=[str(problem) for problem in problems])
            return
        # An app whose section is broken is left as it is, running or not: there is nothing to start it by.
        sound = [app.name for app in config.apps if (app.name in names if names else app.enabled)]
        if (fresh or sparing) and not names:
            held = changes.withheld(config.apps, watchdog.intent.stopped)
            self._tell_of_stopped([name for name in sound if name in held], talk)
            sound = [name for name in sound if name not in held]
        command = watchdog.start if verb == "start" else watchdog.restart
        before = {name: life.deaths for name, life in watchdog.lives.items()}
        job = Job(verb, talk, {name: before.get(name, 0) for name in command(sound)})
        job.problems = [str(problem) for problem in problems]
        job.failed = bool(job.problems)
        started_all = not (names or fresh or sparing)
        lost = watchdog.intent.clear() if started_all else watchdog.intent.discard(job.pending)
        if lost:
            job.problems.append(f"{lost}; what was stopped by hand before may be left stopped after a reboot")
        if fresh and watchdog.intent.problem:
            job.problems.append(watchdog.intent.problem)
        if verb == "restart" and not names:
            running = [name for name, life in watchdog.lives.items() if life.state in ALIVE]
            note = "any more; it runs on as before, stop ends it"
            job.problems += [
                f"{config.file}: there is no section [{name}] {note}" for name in config.unknown(running)
            ]
        self._jobs.append(job)

    def _stop(self, names: list[str], talk: Conversation) -> None:
        if unknown := [
            name for name in self.watchdog.config.unknown(names) if name not in self.watchdog.lives
        ]:
            talk.finish(error=self.watchdog.config.no_section(unknown[0]), exit=Verb.USAGE)
            return
        # So that the client can wait for our own end too.
        talk.send(master=self.watchdog.crew.parents)
        stopped = self.watchdog.stop(names) if names else self.watchdog.leave()
        job = Job("stop", talk, dict.fromkeys(stopped or names, 0))
        # Noted before the first signal is sent, which comes with the next turn.
        if names and (lost := self.watchdog.intent.add({*names, *stopped})):
            job.problems.append(f"{lost}; that it was stopped by hand is forgotten when the master ends")
        self._jobs.append(job)

    def _tell_of_stopped(self, names: Iterable[str], talk: Listener) -> None:
        for name in names:
            text = f"left stopped, as you asked; master.py start {name} starts it"
            self.watchdog.journal.info(f"{name}: {text}")
            talk.send(app=name, ok=True, state=State.STOPPED.value, pid=None, text=text)

    def _reload(self, listener: Listener, *, dry_run: bool = False, known: Collection[str] = ()) -> None:
        """`known`: apps that are known from now on, but not started by this; gone, they are forgotten altogether."""
        watchdog = self.watchdog
        talk = listener if dry_run else reloading.Session(watchdog, listener)
        if watchdog.leaving:
            talk.finish(error="the master is stopping everything", exit=Verb.NOT_RUNNING)
            return
        try:
            plan = reloading.plan(watchdog, watchdog.intent.stopped.union(known))
        except UnreadableError as error:
            talk.finish(error=str(error), exit=Verb.NO_RIGHTS if error.rights else Verb.NOT_CONFIGURED)
            return
        if plan.refusal is not None:
            talk.finish(exit=plan.refusal, problems=[str(problem) for problem in plan.config.problems])
            return
        if not dry_run:
            watchdog.intent.discard(plan.config.unknown(known))
        for change in plan.changes:
            talk.send(change=changes.row(change))
        if isinstance(talk, reloading.Session):
            before = {name: life.deaths for name, life in watchdog.lives.items()}
            starting, talk.ending = reloading.carry_out(watchdog, plan)
            pending = {name: before.get(name, 0) for name in (*talk.ending, *starting)}
            self._jobs.append(Job("reload", talk, pending, ending=frozenset(talk.ending)))
        else:
            talk.finish(exit=Verb.DONE)

    def _look_at(self, job: Job, now_s: float) -> float | None:
        soonest_s = None
        for name in list(job.pending):
            life = self.watchdog.lives.get(name)
            if life is None:
                del job.pending[name]
                continue
            settled = self._settled(job, life, now_s)
            if settled is None:
                grown_s = life.started_s + START_GRACE_S
                if life.state is State.RUNNING and now_s < grown_s:
                    soonest_s = min(soonest_s or grown_s, grown_s)
                continue
            del job.pending[name]
            job.failed |= not settled[0]
            instance = self.watchdog.crew.instances.get(name)
            pid = instance.main_pid if instance else 0
            job.talk.send(app=name, ok=settled[0], state=life.state.value, pid=pid or None, text=settled[1])
        if not job.pending:
            self._jobs.remove(job)
            job.talk.finish(exit=Verb.FAILED if job.failed else Verb.DONE, problems=job.problems)
        return soonest_s

    def _settled(self, job: Job, life: Life, now_s: float) -> tuple[bool, str] | None:
        """(well, in words) once the app has got where the command wants it, or cannot; None while it is on its way."""
        name, state = life.app.name, life.state
        if job.verb == "stop" or name in job.ending:
            if life.stuck:
                return False, life.reason
            if life.wanted and name not in self.watchdog.stopping:
                return False, "started meanwhile by another command"
            return None if state in ALIVE or name in self.watchdog.stopping else (True, life.reason)
        if name in self.watchdog.stopping or life.again:
            return None
        if life.deaths > job.pending[name] or state in (State.BACKOFF, State.FATAL):
            return False, life.reason
        if state is State.RUNNING:
            young = life.app.type == "simple" and now_s < life.started_s + START_GRACE_S
            return None if young else (True, "")
        if state is State.EXITED:
            return life.succeeded, life.reason
        if state is State.WAITING and life.blocked:
            return self._waits(life)
        return (False, "stopped meanwhile by another command") if state is State.STOPPED else None

    def _waits(self, life: Life) -> tuple[bool, str] | None:
        """A device may come whenever it likes; an app that failed is another matter."""
        for name in (*life.app.requires, *life.app.after):
            other = self.watchdog.lives.get(name)
            if f" {name}, " not in life.blocked or other is None:
                continue
            on_its_way = other.state in (State.STARTING, State.STOPPING) or name in self.watchdog.stopping
            if on_its_way:
                return None
            return self._waits(other) if other.state is State.WAITING else (False, life.blocked)
        return True, life.blocked


def _words(value: object) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def status(watchdog: Watchdog, names: Iterable[str]) -> tuple[dict[str, Any], int]:
    """What `status --json` prints, and its exit status."""
    now_s = time.monotonic()
    chosen = list(names)
    left_out = {
        app.name: app for app in watchdog.config.unsound if app.enabled and app.name not in watchdog.lives
    }
    known = {app.name: app for app in watchdog.config.apps if app.enabled} | left_out
    everything = [*known, *(name for name in watchdog.lives if name not in known)]
    unknown = [name for name in watchdog.config.unknown(chosen) if name not in watchdog.lives]
    rows = []
    fine = True
    wanted = False
    for name in chosen or everything:
        app = watchdog.config.find(name)
        life = watchdog.lives.get(name) or (Life(app=app) if app else None)
        if name in left_out:
            life = Life(app=left_out[name], reason=watchdog.config.why_left_out(name))
            fine = False
        if life is None:
            continue
        instance = watchdog.crew.instances.get(name)
        rows.append(_row(life, instance.main_pid if instance else 0, now_s, watchdog.crew.output))
        if life.state is State.STOPPED and name in watchdog.intent.stopped:
            rows[-1]["reason"] = "; ".join(text for text in ("stopped by hand", life.reason) if text)
        wanted |= life.wanted
        fine &= not life.wanted or _as_wanted(life)
    master = {
        "pid": watchdog.setup.lock.holder, "state": "stopping" if watchdog.leaving else "running",
        "version": __version__, "config": watchdog.config.file, "started_s": watchdog.started_unix,
        "config_changed": loading.stamp(watchdog.config.file) != watchdog.config.stamp,
    }  # fmt: skip
    code = Status.RUNNING if fine else Status.SOME_NOT_RUNNING
    if unknown:
        code = Status.UNKNOWN
    elif chosen and not wanted:
        code = Status.NOT_RUNNING
    return {"master": master, "apps": rows}, code


def _as_wanted(life: Life) -> bool:
    if life.state is State.EXITED:
        return life.succeeded
    return life.state is State.RUNNING


def _row(life: Life, pid: int, now_s: float, output: Output) -> dict[str, Any]:
    app = life.app
    lost = output.lost(app.name)
    ended = life.last_exit
    next_try_s = life.deadline_s if life.state is State.BACKOFF else None
    return {
        "name": app.name,
        "state": life.state.value,
        "pid": pid or None,
        "uptime_s": round(now_s - life.started_s, 3) if life.state is State.RUNNING else None,
        "restarts": life.restarts,
        "last_exit": {"status": ended.status, "signal": ended.signal} if ended else None,
        "reason": "; ".join(text for text in (output.trouble(app.name), _reason(life)) if text),
        "last_output": list(life.last_output),
        "output_lost": {"bytes": lost.size, "lines": lost.lines, "more": lost.more} if lost else None,
        "next_try_s": max(0.0, round(next_try_s - now_s, 3)) if next_try_s is not None else None,
        "pidfile": app.pidfile,
        "logfile": app.logfile,
        "command": shlex.join(app.argv),
    }


def _reason(life: Life) -> str:
    if life.state is State.WAITING:
        return life.blocked
    if life.state is not State.RUNNING:
        return life.reason
    last_time = f"last time: {life.reason}" if life.reason else ""
    return "; ".join(text for text in (life.note, life.ailment, last_time) if text)
