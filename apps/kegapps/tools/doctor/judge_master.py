"""Whether the launcher runs, and which of the stack's apps it keeps running.

Knows what `master.py status --json` and `configtest --json` tell. Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from kegapps.tools.doctor.facts import Facts, MasterFacts, Process
from kegapps.tools.doctor.finding import Finding, Link, hint, ok, trouble, unknown
from kegapps.tools.doctor.settings import CORE, DAEMON, Settings
from kegapps.tools.doctor.wording import duration, listed, plain, process
from kegapps.tools.doctor.words import program_of

RUNS: Final = frozenset({"running"})
DONE: Final = frozenset({"exited"})
"""An app that did its job and ended."""
ON_ITS_WAY: Final = frozenset({"starting", "waiting"})
_LINK: Final = Link.MASTER


def findings(facts: Facts, settings: Settings, *, store_cut: bool = False) -> list[Finding]:
    """What is to be said of the master. `store_cut`: there is trouble with the store, so no core could run."""
    master = facts.master
    if "master" in facts.timeouts:
        return [unknown(_LINK, "master.py does not answer", "see its log, kegbot_master.log")]
    if master.status is None:
        why = master.problem or "there is no master.py beside this program"
        return [_alone(facts, settings, why, store_cut=store_cut)]
    is_foreign = facts.core is not None and facts.core.answer == "foreign"
    state, pid = master.status["master"].get("state"), master.status["master"].get("pid")
    apps = master.status["apps"]
    if state == "running":
        return [
            ok(_LINK, f"runs (process {pid}): {_running(apps)}"),
            *(_down(master, app, store_cut=store_cut, is_foreign=is_foreign) for app in _troubled(apps)),
            *_problems(facts),
        ]
    unwatched = [plain(app["name"], 40) for app in apps if app.get("state") in RUNS]
    if state == "dead" and unwatched:
        return [
            hint(_LINK, f"the master is dead; {listed(unwatched)} run on unwatched", command(master, "start"))
        ]
    if state == "unknown":
        return [
            trouble(
                _LINK,
                f"the master (process {pid}) does not answer",
                "see kegbot_master.log; kill -CONT lets it go on",
            )
        ]
    return [_alone(facts, settings, "no master runs", store_cut=store_cut)]


def command(master: MasterFacts, verb: str, program: str = "") -> str:
    """What to type so that the master that is meant does `verb`, to the app that runs `program` if that is given."""
    names = [
        str(app.get("name")) for app in master.apps if program_of(list(map(str, app["argv"]))) == program
    ]
    chosen = [(names or [program])[0]] if program else []
    return shlex.join(["master.py", verb, *chosen, *master.flags])


def _alone(facts: Facts, settings: Settings, why: str, *, store_cut: bool) -> Finding:
    """Without a master that tells something the programs may run all the same."""
    if "processes" in facts.timeouts:
        return unknown(_LINK, f"{plain(why)}; which programs run could not be found out in time")
    running = _of_this_kegerator(facts, settings)
    masters = {p.pid: p for p in facts.processes if p.program == "master"}
    if master := next((masters[p.parent_pid] for p in running if p.parent_pid in masters), None):
        if facts.master.status is not None:  # of another one, where we looked
            return unknown(
                _LINK,
                f"{process('the master', master.pid)} of user {master.user} runs them, but not where it was looked for",
                "name its --master_config and --pidfile_dir",
            )
        return _mute(master, facts.master.problem, is_ours=master.uid == facts.uid or facts.uid == 0)
    if running:
        names = listed(process(p.program, p.pid) for p in running)
        return ok(_LINK, f"{plain(why)}; {names} run{'s' if len(running) == 1 else ''} without it")
    if store_cut:
        return hint(
            _LINK,
            f"{why}, and nothing of the stack runs",
            f"mend the store (below), then {command(facts.master, 'start')}",
        )
    if facts.master.status is None and not facts.master.program:
        return trouble(_LINK, f"{why}, and neither kegbot_core nor kegboard_daemon runs", "start them")
    if not facts.master.config_exists:
        return trouble(
            _LINK,
            f"{why}, nothing of the stack runs, and there is no configuration"
            + (f" {facts.master.config}" if facts.master.config else ""),
            "write one (conf/kegbot_master.cfg is a sample; scripts/quickstart tries it without a board), then "
            "master.py start; if it is elsewhere, name it with --master_config and --pidfile_dir",
        )
    start = command(facts.master, "start")
    cure = f"mend what this complains of: {command(facts.master, 'configtest')}; then {start}"
    return trouble(
        _LINK,
        f"{why}, and nothing of the stack runs",
        cure if any(facts.master.config_problems) else start,
    )


def _problems(facts: Facts) -> list[Finding]:
    """What is wrong in the file, though the master runs by what was in it before.

    Of another user's master nothing: root, for one, would complain that the file is not root's.
    """
    master = facts.master
    pid = (master.status or {}).get("master", {}).get("pid")
    if any(process.pid == pid and process.uid != facts.uid for process in facts.processes):
        return []
    problems = [plain(problem) for problem in master.config_problems if problem]
    if not problems or not master.config_exists:
        return []
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return [
        hint(
            _LINK,
            f"the configuration has a mistake: {problems[0]}{more}",
            f"this shows all: {command(master, 'configtest')}",
        )
    ]


def _mute(master: Process, problem: str, *, is_ours: bool) -> Finding:
    """The master that runs the programs does not say how it is."""
    who = process("the master", master.pid)
    if not is_ours:
        return unknown(
            _LINK,
            f"{who} is user {master.user}'s and tells nobody else how it is",
            "run the doctor with sudo",
        )
    return trouble(
        _LINK,
        f"{who} does not tell how it is: {plain(problem) or 'no master answers there'}",
        f"see kegbot_master.log; if it is stopped, kill -CONT {master.pid} lets it go on",
    )


def _of_this_kegerator(facts: Facts, settings: Settings) -> list[Process]:
    meant = {settings.core_process.pid} if settings.core_process else set()
    meant |= {board.process.pid for board in settings.boards if board.process}
    return [p for p in facts.processes if p.pid in meant]


def _running(apps: list[Mapping[str, Any]]) -> str:
    running = [plain(app["name"], 40) for app in apps if app.get("state") in RUNS]
    on_the_way = [
        f"{plain(app['name'], 40)} is {app['state']}"
        for app in apps
        if app.get("state") in ON_ITS_WAY and not _starts_in_vain(app)
    ]
    return "; ".join([f"{listed(running)} run{'s' if len(running) == 1 else ''}", *on_the_way])


def _starts_in_vain(app: Mapping[str, Any]) -> bool:
    """It is being started once more, for it ended by itself the last time; between two tries it is in backoff."""
    restarts = app.get("restarts")
    return (
        app.get("state") == "starting"
        and isinstance(restarts, int)
        and restarts > 0
        and bool(app.get("reason"))
    )


def _troubled(apps: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Apps that do not run but should; one that has done its job is fine, unless it is a link of the chain."""
    down = [app for app in apps if app.get("state") not in RUNS | ON_ITS_WAY or _starts_in_vain(app)]
    return [app for app in down if app.get("state") not in DONE or _program(app) in (CORE, DAEMON)]


def _down(master: MasterFacts, app: Mapping[str, Any], *, store_cut: bool, is_foreign: bool) -> Finding:
    """An app that does not run: the core and the board daemon are links of the chain, others are not.

    `is_foreign`: another kegerator's core has the address of this one's.
    """
    name, state = plain(app["name"], 40), plain(app.get("state"), 20)
    how = {"backoff": "in backoff", "starting": f"starting once more ({app.get('restarts')} times so far)"}
    text = f"{name} is {how.get(state, state)}: {plain(app.get('reason'))}"
    if isinstance(next_s := app.get("next_try_s"), int | float):
        text += f" (next try in {duration(next_s)})"
    log = app.get("logfile")
    cure = shlex.join(["master.py", "start", name, *master.flags])
    if state != "stopped":
        cure = f"see {plain(log)}; then {cure}" if log else f"see its log; then {cure}"
    program = _program(app)
    if program == CORE and store_cut:
        return hint(_LINK, text, "see the store, below")
    if program == CORE and is_foreign:
        return hint(_LINK, text, "see the core, below")
    return trouble(_LINK, text, cure) if program in (CORE, DAEMON) else hint(_LINK, text, cure)


def _program(app: Mapping[str, Any]) -> str:
    """The script that the app runs; its name is a good guess if its command is not told."""
    command = str(app.get("command") or "").split(" ")
    return program_of(command) or str(app.get("name"))
