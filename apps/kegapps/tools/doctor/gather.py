"""Finds everything out: who is asked what, in which order, and for how long.

Knows the looks and their deadlines. Must not know what their answers mean, flags or the terminal.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from kegapps.core.database import StoreError, default_path
from kegapps.daemon.loop import Loop
from kegapps.tools.doctor import look_core, look_device, look_master, look_store, rights
from kegapps.tools.doctor.errands import Errands
from kegapps.tools.doctor.facts import (
    CoreFacts,
    DeviceFacts,
    Facts,
    Holder,
    MasterFacts,
    ProbeFacts,
    Process,
    ServerFacts,
)
from kegapps.tools.doctor.kegerators import configuration_of, masters, meant_master, own_processes
from kegapps.tools.doctor.look_processes import flagfile, processes
from kegapps.tools.doctor.settings import CORE, App, Settings, choose

PROCESSES_S: Final = 2.5
MASTER_S: Final = look_master.PATIENCE_S + 1.0
CORE_S: Final = look_core.CONNECT_S + look_core.ANSWER_S + 0.5
DEVICE_S: Final = 3.0
STORE_S: Final = look_store.CHECK_S + 2.0
PROBE_S: Final = 6.0
SERVER_S: Final = 7.0
ALL_S: Final = 14.0
"""After that, what is not known is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the person wants to have looked at.

    own           the doctor's flags about the stack, as far as they were given
    master_flags  those for master.py; empty: it is found
    master        the master.py to ask, or empty
    user          whose rights count; None: the daemons' user, or who runs the doctor
    probe         a board that nobody listens to may be asked itself
    """

    own: Mapping[str, str]
    master_flags: tuple[str, ...]
    master: str
    user: rights.User | None
    probe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The answer."""

    facts: Facts
    settings: Settings
    paths: Mapping[str, tuple[str, ...]]
    user: str


# What only some need is loaded by the child that needs it.


def _ask_server(settings: Settings) -> ServerFacts:
    from kegapps.tools.doctor import look_server

    return look_server.ask(settings)


def _probe(path: str) -> ProbeFacts:
    from kegapps.tools.doctor import look_board

    return look_board.probe(path)


def of_another(core: CoreFacts, settings: Settings) -> CoreFacts:
    """What answered, without its report if it is the core of another kegerator."""
    pid = core.report["pid"] if core.report else 0
    if not any(pid == other.process.pid and other.is_at(core.address) for other in settings.other_cores):
        return core
    return replace(core, answer="foreign", report=None, listener=Holder(pid=pid, name=CORE))


def _default_store() -> str:
    try:
        return default_path()
    except StoreError:
        return ""


class Gathering:
    """One round of looks; `result` is there once `done`."""

    def __init__(self, loop: Loop, wish: Wish, on_done: Callable[[], None]) -> None:
        self._wish = wish
        self._on_done = on_done
        self._errands = Errands(loop)
        self._facts = Facts(
            master=MasterFacts(program=wish.master), uid=os.geteuid(), default_store=_default_store()
        )
        self._settings = self._choose(self._facts.processes, self._facts.master, lambda *_: None)
        self._paths: dict[str, tuple[str, ...]] = {}
        self.done = False
        self._last_call = loop.call_later(ALL_S, self._finish)
        self._send("processes", processes, PROCESSES_S, self._ask_master, lambda: self._ask_master(()))

    @property
    def result(self) -> Gathered:
        """What was found out."""
        return Gathered(
            facts=self._facts, settings=self._settings, paths=self._paths, user=self._user(None).name
        )

    def close(self) -> None:
        """Leave it at that."""
        self._last_call.cancel()
        self._errands.close()

    # One after the other

    def _ask_master(self, found: tuple[Process, ...]) -> None:
        self._facts = replace(self._facts, processes=found)

        def look() -> tuple[MasterFacts, Settings, dict[str, tuple[str, ...]]]:
            master = self._look_at_master()
            settings = self._choose(found, master, flagfile)
            devices = {b.device.value for b in settings.boards if look_device.is_known(b.device.value)}
            return master, settings, {device: tuple(look_device.paths(device)) for device in devices}

        def late() -> None:
            settings = self._choose(found, self._facts.master, lambda *_: None)
            # A pattern is not known to match nothing, just because there was no time to look.
            devices = {b.device.value for b in settings.boards if look_device.is_known(b.device.value)}
            plain: dict[str, tuple[str, ...]] = {
                device: tuple(device.split(",")) for device in devices if look_device.is_plain(device)
            }
            self._ask_the_rest((self._facts.master, settings, plain))

        self._send("master", look, MASTER_S, self._ask_the_rest, late)

    def _ask_the_rest(self, known: tuple[MasterFacts, Settings, dict[str, tuple[str, ...]]]) -> None:
        master, self._settings, self._paths = known
        self._facts = replace(self._facts, master=master)
        settings = self._settings
        token_file = settings.token_file.value if settings.token_file else ""
        self._send(
            "core", partial(look_core.ask, settings.core.value, token_file), CORE_S, self._after_core,
            lambda: self._after_core(None),
        )  # fmt: skip
        for board in settings.boards:
            user = self._user(board.process)
            for path in self._paths.get(board.device.value, ()):
                look = partial(look_device.look_at, path, user)
                self._send("device", look, DEVICE_S, partial(self._after_device, board.process is not None))
        if settings.api_url is not None:
            self._send(
                "server",
                partial(_ask_server, settings),
                SERVER_S,
                self._keep("server"),
            )

    def _after_core(self, core: Any) -> None:
        core = of_another(core, self._settings) if core else None
        self._facts = replace(self._facts, core=core)
        told = core.report.get("store", {}).get("path") if core and core.report else None
        path = told if told and "store" not in self._wish.own else self._store_path()
        user = self._user(self._settings.core_process)
        running = self._settings.core_process
        pid = core.report["pid"] if core and core.report else running.pid if running else 0
        look = partial(look_store.look_at, path, user, pid, told or "")
        self._send("store", look, STORE_S, self._keep("store"))

    def _after_device(self, has_daemon: bool, device: DeviceFacts) -> None:
        self._facts = replace(self._facts, devices={**self._facts.devices, device.path: device})
        free = (
            device.exists and device.may_use is not False and not device.holders and device.holders_complete
        )
        if self._wish.probe and free and not has_daemon:
            self._send(
                "probe",
                partial(_probe, device.path),
                PROBE_S,
                partial(self._after_probe, device.path),
            )

    def _after_probe(self, path: str, probe: Any) -> None:
        self._facts = replace(self._facts, probes={**self._facts.probes, path: probe})

    # Their parts

    def _send(
        self,
        name: str,
        look: Callable[[], Any],
        deadline_s: float,
        on_back: Callable[[Any], None],
        on_late: Callable[[], None] = lambda: None,
    ) -> None:
        def back(answer: Any) -> None:
            on_back(answer)
            self._perhaps_finish()

        def late() -> None:
            self._facts = replace(self._facts, timeouts=self._facts.timeouts | {name})
            on_late()
            self._perhaps_finish()

        self._errands.send(look, deadline_s=deadline_s, on_back=back, on_late=late)

    def _keep(self, name: str) -> Callable[[Any], None]:
        def keep(answer: Any) -> None:
            self._facts = replace(self._facts, **{name: answer})

        return keep

    def _perhaps_finish(self) -> None:
        if self._errands.idle:
            self._finish()

    def _finish(self) -> None:
        if not self.done:
            self.done = True
            self.close()
            self._on_done()

    def _look_at_master(self) -> MasterFacts:
        if not self._wish.master:
            return MasterFacts()
        flags, found = list(self._wish.master_flags), self._facts.processes
        if not flags and self._is_named:
            first = self._choose(found, MasterFacts(), flagfile)
            stack = [first.core_process, *(board.process for board in first.boards)]
            flags = look_master.flags_for(found, [process for process in stack if process])
        elif not flags and (master := self._meant_master(found)):
            flags = look_master.flags_of(master, [app for app in found if app.parent_pid == master.pid])
        return look_master.ask(self._wish.master, flags)

    @property
    def _is_named(self) -> bool:
        """The person has said which core is meant, whosever it is."""
        return "kb_core_addr" in self._wish.own

    def _meant_master(self, found: tuple[Process, ...]) -> Process | None:
        config = look_master.default_places(os.geteuid())["master_config"]
        return meant_master(
            found, os.geteuid(), default_config=config, has_configuration=os.path.exists(config)
        )

    def _own(self, found: tuple[Process, ...], master: MasterFacts) -> tuple[list[Process], list[Process]]:
        """Processes of the kegerator that is meant, and those of others."""
        if self._is_named:
            return list(found), []
        told = (master.status or {}).get("master", {})
        pid = told.get("pid") if told.get("state") != "stopped" else None
        if pid is None and not self._wish.master_flags and (running := self._meant_master(found)):
            pid = running.pid  # it does not tell, perhaps because it is another user's
        if pid is None and master.config:  # or because it is not where it was looked for
            pid = next((m.pid for m in masters(found) if configuration_of(m) == master.config), None)
        rows = (master.status or {}).get("apps", ())
        return own_processes(
            found,
            os.geteuid(),
            master_pid=pid,
            app_pids={row["pid"] for row in rows if isinstance(row.get("pid"), int)},
            has_configuration=bool(self._wish.master_flags) or master.config_exists,
        )

    def _choose(
        self, found: tuple[Process, ...], master: MasterFacts, read: Callable[[str, str], str | None]
    ) -> Settings:
        apps = [App(name=str(app.get("name")), argv=tuple(map(str, app["argv"]))) for app in master.apps]
        ours, others = self._own(found, master)
        return choose(
            own=self._wish.own,
            processes=ours,
            others=others,
            apps=apps,
            config=master.config,
            flagfile=read,
            config_is_meant=bool(self._wish.master_flags),
        )

    def _user(self, process: Process | None) -> rights.User:
        """Whose rights count: of `process` if it runs, else of any daemon, else as wished, else ours."""
        if self._wish.user is not None:
            return self._wish.user
        daemons = [self._settings.core_process, *(board.process for board in self._settings.boards)]
        known = process or next((daemon for daemon in daemons if daemon is not None), None)
        return rights.of_process(known) if known else rights.me()

    def _store_path(self) -> str:
        if self._settings.store is not None:
            return os.path.abspath(os.path.expanduser(self._settings.store.value))
        core = self._settings.core_process
        if core is not None and core.uid == 0:
            return "/var/lib/kegbot/kegbot.sqlite"
        try:
            if core is not None and core.uid != os.geteuid():
                home = pwd.getpwuid(core.uid).pw_dir
                return os.path.join(home, ".local", "state", "kegbot", "kegbot.sqlite")
            return default_path()
        except (StoreError, KeyError):
            return "/nonexistent/kegbot.sqlite"
