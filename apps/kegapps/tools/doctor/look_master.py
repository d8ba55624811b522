"""Asks master.py, which stands beside the doctor, what runs and what is configured.

Knows its command line and that it prints JSON. Must not know anything else of it: they share no code.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kegapps.tools.doctor.facts import MasterFacts, Process
from kegapps.tools.doctor.kegerators import MASTER, master_flags, masters
from kegapps.tools.doctor.words import read_flags

PATIENCE_S: Final = 3.0
MAX_ANSWER_CHARS: Final = 4 << 20


def beside(script: str) -> str:
    """The master.py in the folder of `script`; empty if there is none."""
    path = os.path.join(os.path.dirname(os.path.realpath(script)), "master.py")
    return path if os.path.exists(path) else ""


def flags_for(processes: Sequence[Process], stack: Sequence[Process]) -> list[str]:
    """The flags of the master that keeps `stack` running, or of the only one that runs; none if there is no such.

    Who made its apps is their parent.
    """
    numbered = {process.pid: process for process in processes if process.program == MASTER}
    own = masters(processes)
    parents = [numbered[process.parent_pid] for process in stack if process.parent_pid in numbered]
    if not parents and len(own) != 1:
        return []
    return flags_of((parents or own)[0], stack)


def flags_of(master: Process, stack: Sequence[Process]) -> list[str]:
    """The flags of a master, one of whose apps is in `stack`, as far as they are not our defaults.

    The places that are another user's defaults are not ours: its apps tell the one, its home has the other.
    """
    ours = default_places(os.geteuid())
    flags = master_flags(master.argv, ours)
    given = " ".join(master.argv)
    if master.uid != os.geteuid():
        if "--pidfile_dir" not in given:
            flags += [f"--pidfile_dir={folder}" for folder in _pidfile_folders(stack)[:1]]
        config = default_places(master.uid)["master_config"]
        if "config" not in given and os.path.exists(config):
            flags.append(f"--master_config={config}")
    return flags


def _pidfile_folders(stack: Sequence[Process]) -> list[str]:
    found = [read_flags(process.argv[1:], ("pidfile",), lambda _: None).get("pidfile") for process in stack]
    return [os.path.dirname(path) for path in found if path and os.path.isabs(path)]


def default_places(uid: int) -> dict[str, str]:
    """What a user's master.py has for its flags, where they are not given; see its --help."""
    environment = os.environ if uid == os.geteuid() else {}
    if home := environment.get("KEGBOT_HOME", "").rstrip("/"):
        return {
            "master_config": f"{home}/kegbot_master.cfg", "pidfile_dir": f"{home}/run",
            "logfile_dir": f"{home}/log", "state_dir": home,
        }  # fmt: skip
    if uid == 0:
        return {
            "master_config": "/etc/kegbot/kegbot_master.cfg", "pidfile_dir": "/run/kegbot",
            "logfile_dir": "/var/log/kegbot", "state_dir": "/var/lib/kegbot",
        }  # fmt: skip
    try:
        home = environment.get("HOME") or pwd.getpwuid(uid).pw_dir
    except KeyError:
        home = "/nonexistent"
    state = environment.get("XDG_STATE_HOME") or f"{home}/.local/state"
    return {
        "master_config": f"{environment.get('XDG_CONFIG_HOME') or f'{home}/.config'}/kegbot/kegbot_master.cfg",
        "pidfile_dir": f"{state}/kegbot/run",
        "logfile_dir": f"{state}/kegbot/log",
        "state_dir": f"{state}/kegbot",
    }


def ask(program: str, flags: Sequence[str]) -> MasterFacts:
    """What `master.py` says with these flags."""
    try:
        asked = [_start(program, [verb, "--json", *flags]) for verb in ("status", "configtest")]
    except OSError as error:
        return MasterFacts(
            program=program, flags=tuple(flags), problem=f"{program} cannot be run: {error.strerror}"
        )
    end_s = time.monotonic() + PATIENCE_S
    (status, problem), (tested, config_problem) = (_answer(process, end_s) for process in asked)
    apps = tested.get("apps", []) if tested else []
    config = str((tested or {}).get("config") or (status or {}).get("master", {}).get("config") or "")
    return MasterFacts(
        program=program,
        flags=tuple(flags),
        status=status if status and _is_status(status) else None,
        apps=tuple(app for app in apps if isinstance(app, dict) and isinstance(app.get("argv"), list)),
        config=config,
        config_exists=bool(config) and os.path.exists(config),
        config_problems=tuple(map(str, tested.get("problems", []))) if tested else (config_problem,),
        problem=problem,
    )


def _is_status(answer: Mapping[str, Any]) -> bool:
    master, apps = answer.get("master"), answer.get("apps")
    return (
        isinstance(master, dict)
        and isinstance(apps, list)
        and all(isinstance(app, dict) and isinstance(app.get("name"), str) for app in apps)
    )


def _start(program: str, words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, program, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip


def _answer(process: subprocess.Popen[str], end_s: float) -> tuple[dict[str, Any] | None, str]:
    """What it printed, and what it complained of."""
    try:
        printed, complained = process.communicate(timeout=max(0.1, end_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        return None, f"master.py did not answer within {PATIENCE_S:g} s"
    complaint = (complained.strip().splitlines() or [f"it ended with status {process.returncode}"])[-1]
    try:
        answer = json.loads(printed[:MAX_ANSWER_CHARS])
    except ValueError:
        return None, complaint
    return (answer, "") if isinstance(answer, dict) else (None, complaint)
