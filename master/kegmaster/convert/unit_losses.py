"""What of a unit is left behind, and what to do instead.

Source: systemd.unit(5), systemd.service(5), systemd.exec(5). Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Final

from .unit_values import Values

_TAKEN: Final = frozenset({
    "Type", "ExecStart", "ExecStop", "ExecReload", "Restart", "RestartSec", "TimeoutSec", "TimeoutStartSec",
    "TimeoutStopSec", "KillSignal", "User", "Group", "WorkingDirectory", "UMask", "Nice", "LimitNOFILE", "PIDFile",
    "SuccessExitStatus", "WatchdogSec", "MemoryMax", "MemoryLimit", "Environment", "EnvironmentFile", "PassEnvironment",
    "StandardOutput", "StandardError", "StartLimitBurst", "NotifyAccess", "SyslogIdentifier", "RemainAfterExit",
    "StandardInput", "SendSIGKILL", "GuessMainPID", "RestartKillSignal", "FinalKillSignal", "LogLevelMax", "BusName",
})  # fmt: skip
"""Keys of [Service] that are taken over, or that nobody misses."""
SOCKETS: Final = ("the launcher opens no sockets for programs", "have the program listen itself")
_LOST: Final[Mapping[str, tuple[str, str]]] = {
    "ExecStartPre": ("nothing runs before the program", "make an app of _type = oneshot of it, and _requires that"),
    "ExecStartPost": ("nothing runs after the start", "use _on_change"),
    "ExecStopPost": ("nothing runs after the end", "use _on_change"),
    "ExecCondition": ("nothing is asked before the start", "put it into a script that ends with exec"),
    "StartLimitInterval": ("failures are counted in a row, not in a time", "see _start_limit_burst"),
    "StartLimitIntervalSec": ("failures are counted in a row, not in a time", "see _start_limit_burst"),
    "RuntimeDirectory": ("no directory is made", "make it at boot (tmpfiles.d), or let the program"),
    "StateDirectory": ("no directory is made", "make it once, owned by the app's user"),
    "CacheDirectory": ("no directory is made", "make it once, owned by the app's user"),
    "LogsDirectory": ("no directory is made", "make it once, owned by the app's user"),
    "DynamicUser": ("no user is made", "make one, and name it in _user"),
    "Sockets": SOCKETS,
    "UnsetEnvironment": ("only few variables are handed on anyway", "see docs/launcher.rst"),
    "OnFailure": ("there are no units", "use _on_failure"),
    "KillMode": ("is always so: a stop ends all that the app started", "let what is to stay be an app"),
}  # fmt: skip
OTHER_UNITS: Final[Mapping[str, str]] = {
    ".timer": "let cron call the program, or master.py start NAME",
    ".socket": "have the program listen itself",
    ".path": "have the program watch the path itself",
    ".target": "import its .service units",
    ".mount": "leave it to systemd, and name the directory in _wait_for",
    ".automount": "leave it to systemd, and name the directory in _wait_for",
    ".swap": "leave it to systemd",
    ".slice": "use _memory_max",
    ".scope": "import its .service units",
    ".device": "name the device in _wait_for",
}
"""Units of systemd that are no services, by their ending: what to do in their place."""
_STARTERS: Final[Mapping[str, tuple[str, str]]] = {
    ".timer": ("starts it at its times", "set _enabled = False, and let cron call the program"),
    ".socket": ("starts it at the first connection", "have the program listen itself"),
    ".path": ("starts it when a path changes", "set _enabled = False"),
}
"""Units beside a service of the same name, which start it: when, and what to do."""


def say(values: Values) -> None:
    """A note on all that has no counterpart."""
    rest = []
    for key, found in values.unit.sections.get("Service", {}).items():
        if not found or key in _TAKEN:
            continue
        if key in _LOST:
            if key != "KillMode" or found[-1].value in ("none", "process"):
                values.say(key, *_LOST[key])
        else:
            rest.append(key)
    if rest:
        values.say(
            rest[0],
            f"left behind: {', '.join(rest)[:300]}",
            "the launcher has no sandbox and no control of resources; stay with systemd where you need them",
        )
    for key, found in values.unit.sections.get("Unit", {}).items():
        if found and key.startswith(
            ("ConditionPath", "ConditionFile", "ConditionDirectory", "AssertPath", "AssertFile")
        ):
            values.say(key, "nothing is asked before the start", "use _wait_for for a file", "Unit")
        elif found and key.startswith(("Condition", "Assert")):
            values.say(
                key,
                "nothing is asked before the start",
                "set _enabled = False where it does not hold",
                "Unit",
            )
        elif found and key in _LOST:
            values.say(key, *_LOST[key], "Unit")
    _say_starters(values)


def _say_starters(values: Values) -> None:
    """A service with a timer or a socket of its name is started by that, not at boot."""
    file = values.draft.file
    for ending, (wrong, cure) in _STARTERS.items():
        beside = f"{file.removesuffix('.service')}{ending}"
        try:
            there = values.world.files(_literal(beside))
        except ValueError:
            continue
        if there:
            values.notes.add(
                file,
                0,
                None,
                None,
                f"{posixpath.basename(beside)} {wrong}; here it starts with the others",
                cure,
            )


def _literal(path: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
