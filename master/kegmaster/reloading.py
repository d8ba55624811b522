"""Reading the file again while apps run: refused whole on any error, and nothing touched that did not change.

Knows the watchdog. What must happen is decided in `changes`; here it is carried out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection

from . import notify, order
from .changes import Change, Running, decide, headline
from .exit_codes import Verb
from .journal import Journal
from .lean import Any, Protocol, dataclass, replace
from .lifecycle import State
from .settings import OWN, changed, checksums
from .spec import Config
from .watchdog import Watchdog


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a reload would do; with problems in `config` it does nothing."""

    config: Config
    missing: frozenset[str]
    changes: tuple[Change, ...] = ()

    @property
    def refusal(self) -> Verb | None:
        """The exit status if the configuration is refused."""
        if not self.config.problems:
            return None
        # A missing program is one problem of its section, and here the only one of each.
        lacking = sorted(problem.section or "" for problem in self.config.problems) == sorted(self.missing)
        return Verb.NOT_INSTALLED if lacking else Verb.NOT_CONFIGURED


def plan(watchdog: Watchdog, held: Collection[str]) -> Plan:
    """Read the file and hold it against what runs; changes nothing. Raises UnreadableError."""
    running = _running(watchdog)
    config, missing = watchdog.setup.source.load(running)
    if not config.problems:
        # Apps that are not enabled but required must be as sound as the others.
        roots = [app.name for app in config.apps if app.enabled or app.name in running]
        wanted = order.closure(roots, {app.name: app.requires for app in config.apps})
        if not set(wanted) <= {*roots}:
            config, missing = watchdog.setup.source.load(wanted)
    if config.problems:
        return Plan(config=config, missing=missing)
    return Plan(config=config, missing=missing, changes=tuple(decide(running, held, config)))


def carry_out(watchdog: Watchdog, plan: Plan) -> tuple[list[str], list[str]]:
    """Make what runs as the plan has it; returns the apps that start (anew) and those that end."""
    watchdog.config, watchdog.missing = plan.config, plan.missing
    names: dict[str, list[str]] = {"start": [], "stop": [], "restart": [], "update": [], "later": []}
    for change in plan.changes:
        names[change.kind].append(change.name)
        life = watchdog.lives.get(change.name)
        if life is None or change.new is None:
            continue
        if change.kind in ("update", "later"):
            life.app = change.new
        elif change.kind == "restart":
            # It ends as it was started, but in the order that holds from now on.
            life.app = replace(life.app, after=change.new.after, requires=change.new.requires)
        if change.kind == "update" and (instance := watchdog.crew.instances.get(change.name)):
            instance.app = change.new
            watchdog.crew.output.follow(change.new)
            sums = checksums(change.new)
            instance.started_with |= {key: sums[key] for key in OWN if key in sums}
            watchdog.crew.register.write(life, instance)
            if life.state is State.RUNNING:
                watchdog.crew.attendance.attend(life, instance)
    ending = watchdog.stop(names["stop"]) if names["stop"] else []
    anew = watchdog.restart(names["restart"]) if names["restart"] else []
    started = watchdog.start(names["start"]) if names["start"] else []
    changed_here = {change.name for change in plan.changes}
    # What was required and runs already is not told of, nor what was on its way down before.
    return [name for name in (*anew, *started) if name in changed_here], [
        name for name in ending if name in names["stop"]
    ]


class Listener(Protocol):
    """Who is told how a command goes: a client's Conversation, the journal, or nobody in particular."""

    def send(self, **fields: object) -> None:
        """One app has settled."""

    def finish(self, **fields: object) -> None:
        """All have."""


class Journalled:
    """Listens to a reload that nobody waits for: SIGHUP's. What becomes of the apps is in the journal anyway."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._touched = False

    def send(self, **fields: Any) -> None:
        """A change is about to be made."""
        if row := fields.get("change"):
            self._touched = True
            self._journal.info(f"reload: {headline(row)}")

    def finish(self, **fields: Any) -> None:
        """It is done, or was refused."""
        wrong = [*fields.get("problems", ()), *([fields["error"]] if "error" in fields else [])]
        for text in wrong:
            self._journal.error(text)
        if wrong:
            self._journal.error("reload: refused, everything runs on as before")
        else:
            self._journal.info(f"reload: {'done' if self._touched else 'nothing changed'}")


class Session:
    """One reload from its beginning to its end, as `listener` and the supervisor above us are told of it."""

    def __init__(self, watchdog: Watchdog, listener: Listener) -> None:
        """Tell that it begins, as systemd's Type=notify-reload wants it."""
        self._watchdog = watchdog
        self._listener = listener
        self._changes: list[dict[str, Any]] = []
        self.ending: Collection[str] = ()
        """Apps that are stopped for good, and forgotten once they are."""
        stamp_us = time.monotonic_ns() // 1000
        notify.tell(watchdog.setup.notify_address, f"RELOADING=1\nMONOTONIC_USEC={stamp_us}")

    def send(self, **fields: Any) -> None:
        """A change, or what became of an app."""
        if row := fields.get("change"):
            self._changes.append(row)
        self._listener.send(**fields)

    def finish(self, **fields: Any) -> None:
        """All has settled, or the reload was refused."""
        code, told = fields.get("exit"), [f"{row['name']} {row['change']}" for row in self._changes]
        refused = code in (Verb.NO_RIGHTS, Verb.NOT_INSTALLED, Verb.NOT_CONFIGURED, Verb.NOT_RUNNING)
        text = "reload refused" if refused else f"reloaded: {', '.join(told) or 'nothing changed'}"
        self._watchdog.history.master("running", "running", text, os.getpid())
        lives = self._watchdog.lives
        # Those that had been stopped before their section went, too.
        for name in {*self.ending, *(() if refused else self._watchdog.config.unknown(list(lives)))}:
            life = lives.get(name)
            if life and life.state is State.STOPPED and not life.wanted:
                del lives[name]
        notify.tell(self._watchdog.setup.notify_address, "READY=1")
        self._listener.finish(**fields)


def _running(watchdog: Watchdog) -> dict[str, Running]:
    found: dict[str, Running] = {}
    for name, life in watchdog.lives.items():
        if not (life.wanted or life.again):
            continue
        instance = watchdog.crew.instances.get(name)
        stale: Any = changed(life.app, instance.started_with) if instance else frozenset()
        found[name] = Running(app=life.app, over=life.state is State.EXITED, stale=stale)
    return found
