"""Apps as services of a compose.yaml, a container each.

Source: the Compose Specification, "Services top-level elements". Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from ..spec import App, Check
from . import yaml
from .draft import Notes
from .leaving import Leaver, say_detaching, say_lost, signal_name, unique

_KNOWN: Final = ("_after", "_requires", "_restart", "_restart_sec", "_restart_max_delay_sec", "_timeout_start_sec",
                 "_timeout_stop_sec", "_kill_signal", "_user", "_group", "_limit_nofile", "_environment_file",
                 "_pass_environment", "_memory_max", "_log_max_bytes", "_log_backups", "_ready", "_health",
                 "_start_limit_burst")  # fmt: skip


def write(apps: Sequence[Leaver], file: str, notes: Notes) -> str:
    """The file."""
    names = unique(
        [leaver.app.name for leaver in apps], lambda name: re.sub("[^a-z0-9._-]", "-", name.lower())
    )
    kinds = {leaver.app.name: leaver.app for leaver in apps}
    services = {names[leaver.app.name]: _service(leaver, names, kinds, file, notes) for leaver in apps}
    head = "# Made by master.py export --format=compose. Each image is yours to name; its program must be in it.\n"
    return head + yaml.document({"services": services})


def _service(
    leaver: Leaver, names: Mapping[str, str], apps: Mapping[str, App], file: str, notes: Notes
) -> dict[str, object]:
    app, context = leaver.app, leaver.app.context
    say_lost(app, file, _KNOWN, "compose", notes)
    say_detaching(leaver, file, "which ends its container", notes)
    service: dict[str, object] = {
        "image": f"example/{names[app.name]}:latest",
        # Not `command`: that would be handed to whatever the image starts.
        "entrypoint": [_plain(word) for word in (app.argv[0], *leaver.words)],
        "working_dir": _plain(context.working_directory),
        "init": True,
        "restart": _restart(app),
        "stop_signal": f"SIG{signal_name(app.kill_signal)}",
        "stop_grace_period": f"{math.ceil(app.timeout_stop_sec)}s",
    }
    variables: dict[str, object] = {name: _plain(value) for name, value in leaver.environment.items()}
    variables |= {name: f"${{{name}}}" for name in context.pass_environment if name not in variables}
    if variables:
        service["environment"] = variables
    if context.environment_file:
        service["env_file"] = [_plain(context.environment_file)]
    if context.user or context.group:
        service["user"] = _plain(context.user + (f":{context.group}" if context.group else ""))
    if context.limit_nofile:
        service["ulimits"] = {"nofile": context.limit_nofile}
    if app.memory_max:
        service["mem_limit"] = app.memory_max
    check = app.health or app.ready
    if check is not None and (test := _test(check)):
        service["healthcheck"] = {
            "test": test,
            "interval": f"{check.every_s:g}s",
            "timeout": f"{check.timeout_s:g}s",
            "retries": check.failures,
            "start_period": f"{check.grace_s if check.grace_s is not None else app.timeout_start_sec:g}s",
        }
        if app.health:
            notes.add(
                file,
                app.key_lines.get("_health", app.line),
                app.name,
                "_health",
                "compose shows an unwell service, and does not replace it",
                "watch it from outside",
            )
    elif check is not None:
        notes.add(
            file,
            app.key_lines.get("_health", app.line),
            app.name,
            "_health" if app.health else "_ready",
            "compose asks by commands only",
            "write a command that asks the same",
        )
    waits = {
        names[name]: {"condition": _condition(apps[name])}
        for name in (*app.after, *app.requires)
        if name in names
    }
    if waits:
        service["depends_on"] = waits
    if app.log_max_bytes:
        options = {"max-size": str(app.log_max_bytes), "max-file": str(app.log_backups + 1)}
        service["logging"] = {"driver": "json-file", "options": options}
    return service


def _plain(text: str) -> str:
    return text.replace("$", "$$")


def _restart(app: App) -> str:
    if app.policy.restart == "no" or (app.type == "oneshot" and app.policy.restart == "always"):
        return "no"
    if app.policy.restart == "always":
        return "always"
    burst = app.policy.start_limit_burst
    return f"on-failure:{burst}" if burst else "on-failure"


def _condition(app: App) -> str:
    if app.type == "oneshot":
        return "service_completed_successfully"
    check = app.health or app.ready
    return "service_healthy" if check is not None and _test(check) else "service_started"


def _test(check: Check) -> list[str]:
    return ["CMD", *(_plain(word) for word in check.argv)] if check.argv else []
