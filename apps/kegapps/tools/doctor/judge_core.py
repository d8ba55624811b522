"""Whether the core listens and tells how it is, and whether its taps are what they should be.

Knows the core's report (core/report.py) and what else may be at its address. Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kegapps.tools.doctor.facts import CoreFacts, Facts, Holder, Process
from kegapps.tools.doctor.finding import Finding, Link, hint, ok, trouble, unknown
from kegapps.tools.doctor.judge_master import command
from kegapps.tools.doctor.judge_store import admin
from kegapps.tools.doctor.kegerators import master_flags
from kegapps.tools.doctor.settings import CORE, DAEMON, OWN, OtherCore, Settings, leads_to
from kegapps.tools.doctor.wording import listed, plain, process

_LINK: Final = Link.CORE
PLAUSIBLE_ML_PER_TICK: Final = (0.02, 10.0)
"""From the finest turbine meters (50,000 ticks a litre) to the coarsest paddle wheels (100 a litre)."""


def findings(facts: Facts, settings: Settings, *, master_cut: bool, store_cut: bool) -> list[Finding]:
    """What is to be said of the core. `..._cut`: it was said elsewhere already why no core runs."""
    core, address = facts.core, settings.core.value
    if core is None:
        return [unknown(_LINK, f"{address} did not answer in time")]
    if core.report is None:
        return [
            _no_report(facts, core, settings, master_cut=master_cut, store_cut=store_cut),
            *_others(facts, settings),
        ]
    return [_answers(core), *_others(facts, settings), *_astray(settings), *_taps(facts, core.report)]


def _no_report(
    facts: Facts, core: CoreFacts, settings: Settings, *, master_cut: bool, store_cut: bool
) -> Finding:
    at, restart = core.address, command(facts.master, "restart", CORE)
    who = process(core.listener.name, core.listener.pid) if core.listener else ""
    elsewhere = "; choose another --kb_core_bind_addr for the core, and the same --kb_core_addr for the apps, or end it"
    match core.answer:
        case "foreign":
            return _foreign(facts, core, settings)
        case "refused" if store_cut:
            return unknown(_LINK, f"nobody listens on {at}: no core can run with this store")
        case "refused" if master_cut:
            return unknown(
                _LINK, f"nobody listens on {at}: unknown because kegbot_core does not run (see master)"
            )
        case "refused":
            return _nobody(facts, settings)
        case "strange":
            return trouble(
                _LINK,
                f"on {at} listens something else{f', {who}' if who else ''}: it says {plain(core.said, 60)!r}",
                f"that is no kegbot_core{elsewhere}",
            )
        case "turned_away":
            why = f"; {plain(core.token_problem)}" if core.token_problem else ""
            return trouble(
                _LINK,
                f"the core on {at} does not serve the doctor: {plain(core.said)}{why}",
                "run the doctor as the core's user (sudo), or name its token with --kegnet_token_file",
            )
        case "silent" | "unreachable" | "closed" if stopped := _stopped(facts, core, settings):
            return trouble(
                _LINK,
                f"{process(CORE, stopped.pid)} is stopped: somebody has sent it SIGSTOP, or Ctrl-Z",
                f"kill -CONT {stopped.pid} lets it go on",
            )
        case "silent" if _is_core(core.listener):
            return trouble(
                _LINK,
                f"{who} listens on {at}, but does not answer: it hangs, or is of an older version",
                f"see its log, then: {restart}",
            )
        case "silent":
            return trouble(
                _LINK,
                f"{who or 'what listens'} on {at} takes the question how it is and does not answer",
                f"if it is a core of an older version, restart it ({restart}){elsewhere}",
            )
        case "closed":
            return trouble(
                _LINK,
                f"{who or 'what listens'} on {at} hangs up when it is asked how it is",
                f"if it is a core, see its log{elsewhere}",
            )
        case _:
            return trouble(
                _LINK, f"{at} cannot be reached: {core.problem}", "is that the right --kb_core_addr?"
            )


def _nobody(facts: Facts, settings: Settings) -> Finding:
    at = settings.core.value
    if settings.core_process is not None:
        who = process(CORE, settings.core_process.pid)
        return trouble(
            _LINK,
            f"{who} runs but does not listen on {at}",
            f"if that lasts: see its log; {command(facts.master, 'restart', CORE)}",
        )
    named = settings.core.origin == OWN  # else they are told of one by one
    others = [process(CORE, other.process.pid) for other in settings.other_cores if named]
    more = f"; {listed(others)} listens elsewhere" if others else ""
    return trouble(_LINK, f"no core runs: nobody listens on {at}{more}", command(facts.master, "start", CORE))


def _stopped(facts: Facts, core: CoreFacts, settings: Settings) -> Process | None:
    """The core that should answer, if it was stopped."""
    meant = {p.pid for p in (settings.core_process, core.listener) if p is not None}
    return next((p for p in facts.processes if p.pid in meant and p.program == CORE and p.is_stopped), None)


def _foreign(facts: Facts, core: CoreFacts, settings: Settings) -> Finding:
    """Another kegerator's core has the address of this one."""
    other = next(o for o in settings.other_cores if core.listener and o.process.pid == core.listener.pid)
    end, keeper = f"kill {other.process.pid}", ""
    if master := next((p for p in facts.processes if p.pid == other.process.parent_pid), None):
        end = shlex.join(
            ["master.py", "stop", *master_flags(master.argv, which=("master_config", "pidfile_dir"))]
        )
        keeper = f", kept running by {process('the master', master.pid)}"
    if other.process.uid != facts.uid:
        end, keeper = (
            f"ask user {other.process.user} to stop that one",
            f"{keeper}, of user {other.process.user}",
        )
    return trouble(
        _LINK,
        f"on {core.address} listens the core of another kegerator, {process(CORE, other.process.pid)}{keeper}; "
        "so that of this one cannot",
        f"{end}; or choose another --kb_core_bind_addr for this core, and the same --kb_core_addr for its apps",
    )


def _others(facts: Facts, settings: Settings) -> list[Finding]:
    """Other kegerators on this machine, unless the person has said which one is meant."""
    if settings.core.origin == OWN:
        return []
    others = [other for other in settings.other_cores if not other.is_at(settings.core.value)]
    own = [other for other in others if other.process.uid == facts.uid]
    return [_another(other) for other in own] + _of_other_users([o for o in others if o not in own])


def _another(other: OtherCore) -> Finding:
    who = f"{process(CORE, other.process.pid)}, user {other.process.user}"
    if _is_any_port(other):
        return hint(
            _LINK,
            f"another kegerator runs on a port that the system chose ({who}); it was not looked at",
            "to look at it instead: kegbot_doctor.py --kb_core_addr= with the address that its log tells",
        )
    return hint(
        _LINK,
        f"another kegerator runs on {other.address} ({who}); it was not looked at",
        f"to look at it instead: kegbot_doctor.py --kb_core_addr={other.address}",
    )


def _of_other_users(others: Sequence[OtherCore]) -> list[Finding]:
    """One line, however many there are: they are others' affair."""
    if len(others) < 2:  # of one there is more to be said
        return [_another(other) for other in others]
    users = listed(sorted({other.process.user for other in others}))
    return [
        hint(
            _LINK,
            f"{len(others)} kegerators of other users run here ({users}); they were not looked at",
            "to look at one instead name its address with --kb_core_addr",
        )
    ]


def _is_any_port(other: OtherCore) -> bool:
    """The system chose its port, which its flags do not tell."""
    return other.address.rpartition(":")[2] == "0"


def _is_core(listener: Holder | None) -> bool:
    return listener is not None and listener.name == CORE


def _answers(core: CoreFacts) -> Finding:
    report = core.report or {}
    return ok(
        _LINK,
        f"{process(CORE, report.get('pid', 0))} answers on {core.address}, version {plain(report.get('version'), 40)}; "
        f"taps: {listed(sorted(plain(tap.get('name'), 64) for tap in report.get('taps', [])))}",
    )


def _astray(settings: Settings) -> list[Finding]:
    """Board daemons that look for the core where it is not."""
    found = []
    for board in settings.boards:
        if not leads_to(board.core.value, settings.core.value):
            who = (
                process(DAEMON, board.process.pid) if board.process else f"{DAEMON}, by {board.core.origin},"
            )
            found.append(
                trouble(
                    _LINK,
                    f"{who} looks for the core on {board.core.value}, but it listens on {settings.core.value}",
                    f"give {DAEMON} --kb_core_addr={settings.core.value}",
                )
            )
    return found


def _taps(facts: Facts, report: Mapping[str, Any]) -> list[Finding]:
    found = []
    taps: Sequence[Mapping[str, Any]] = report.get("taps", [])
    unset = [plain(tap.get("name"), 64) for tap in taps if tap.get("source") == "default"]
    if unset:
        found.append(
            hint(
                _LINK,
                f"{listed(unset)}: the calibration was never set, so volumes are a guess",
                f"measure a litre, then {admin(facts, f'taps set {unset[0]} --ml_per_tick=NUMBER')}",
            )
        )
    low, high = PLAUSIBLE_ML_PER_TICK
    for tap in taps:
        rate = tap.get("ml_per_tick")
        if tap.get("source") != "default" and isinstance(rate, int | float) and not low <= rate <= high:
            name = plain(tap.get("name"), 64)
            text = f"{name}: {rate:g} mL per tick is unusual for a flow meter (0.1 to 2.5 are common)"
            cure = admin(facts, f"taps set {name} --ml_per_tick=NUMBER")
            if tap.get("source") == "server":
                cure = "set it in the server's admin pages"
            found.append(hint(_LINK, text, f"measure a litre, then {cure}"))
    return found
