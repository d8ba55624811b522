"""Apps as a supervisord.conf.

Source: supervisor's manual, "Configuration File", 4.3. Pure.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from .draft import Notes, UnfitError, join
from .leaving import SIGNAL_NAMES, Leaver, say_lost, signal_name, unique

_KNOWN: Final = ("_after", "_requires", "_restart", "_restart_sec", "_restart_max_delay_sec", "_success_exit_status",
                 "_start_limit_burst", "_timeout_stop_sec", "_kill_signal", "_user", "_umask", "_log_max_bytes",
                 "_log_backups", "_pass_environment",
                 "_pidfile")  # fmt: skip
_FOR_EVER: Final = 999_999_999
_HEAD: Final = """\
; Made by master.py export --format=supervisord. Try it: supervisord -n -c FILE
[supervisord]
nodaemon = true
logfile = /dev/null
logfile_maxbytes = 0
pidfile = %(here)s/supervisord.pid

[unix_http_server]
file = %(here)s/supervisor.sock
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://%(here)s/supervisor.sock
"""


def write(apps: Sequence[Leaver], file: str, notes: Notes) -> str:
    """The file. `apps` are in the order of their start."""
    names = unique([leaver.app.name for leaver in apps], lambda name: re.sub("[ :/]", "-", name))
    sections = [_HEAD]
    for number, leaver in enumerate(apps, 1):
        try:
            sections.append(_program(leaver, names[leaver.app.name], 10 * number, file, notes))
        except UnfitError as error:
            app = leaver.app
            notes.add(file, app.line, app.name, None, f"a word of its command line {error}", "it is left out")
    return "\n".join(sections)


def _program(leaver: Leaver, name: str, priority: int, file: str, notes: Notes) -> str:
    app = leaver.app
    say_lost(app, file, _KNOWN, "supervisord", notes)
    variables, behind = _environment(leaver.user_environment)
    words = [*leaver.argv]
    if behind:
        # supervisord's list of variables has no way to write these; a command line has.
        words = ["/usr/bin/env", *(f"{key}={value}" for key, value in behind.items()), *words]
    pidfile = not app.names_no_pidfile
    if leaver.forking:
        words = ["pidproxy", app.pidfile, *words] if pidfile else words
        notes.add(
            file,
            app.line,
            app.name,
            None,
            "makes a daemon of itself, which supervisord watches by pidproxy only",
            "use the program's option that keeps it in the foreground",
        )
    limit = app.policy.start_limit_burst
    keys = {
        "command": _command(words),
        "directory": _plain(app.context.working_directory),
        "priority": str(priority),
        # Without a pidfile it would be started again and again, each time beside the one before.
        "autostart": str(app.enabled and (pidfile or not leaver.forking)).lower(),
        "autorestart": _restart(leaver),
        # A oneshot that ends at once has done its work, for all others it is a failure.
        "startsecs": "0" if app.type == "oneshot" else "1",
        "startretries": str(limit - 1 if limit else _FOR_EVER),
        "exitcodes": ",".join(map(str, sorted(app.policy.success_exit_status))) or "0",
        "stopsignal": signal_name(app.kill_signal),
        "stopwaitsecs": str(max(1, math.ceil(app.timeout_stop_sec))),
        "stopasgroup": "true",
        "killasgroup": "true",
        "umask": f"{app.context.umask:03o}",
        "redirect_stderr": "true",
        "stdout_logfile": _log(app.logfile),
        "stdout_logfile_maxbytes": str(app.log_max_bytes),
        "stdout_logfile_backups": str(app.log_backups),
    }
    if app.context.user:
        keys["user"] = _plain(app.context.user)
    if variables:
        keys["environment"] = ",".join(f"{key}={value}" for key, value in variables.items())
    if any(code - 128 in SIGNAL_NAMES for code in app.policy.success_exit_status):
        notes.add(
            file,
            app.key_lines.get("_success_exit_status", app.line),
            app.name,
            "_success_exit_status",
            "supervisord takes every signal for a failure",
            "see that the program ends by itself",
        )
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f"[program:{name}]\n{lines}"


def _restart(leaver: Leaver) -> str:
    app = leaver.app
    if app.policy.restart == "no" or (app.type == "oneshot" and app.policy.restart == "always"):
        return "false"
    return "true" if app.policy.restart == "always" else "unexpected"


def _command(words: Sequence[str]) -> str:
    """One value of words. What stands behind a blank and a ; or # is a comment to supervisord, in quotes too."""
    text = re.sub(r"(?<=\s)(?=[;#])", "''", join(words))
    return text.replace("%", "%%").replace("\n", "\n    ")


def _environment(variables: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The variables as supervisord has them, quoted; and those that its way of quoting cannot hold."""
    quoted: dict[str, str] = {}
    behind: dict[str, str] = {}
    for name, value in variables.items():
        quote = "'" if '"' in value else '"'
        text = f"{quote}{value.replace('%', '%%')}{quote}"
        lexer = shlex.shlex(f"{name}={text}")
        lexer.wordchars += "/.+-():"
        try:
            tokens = list(lexer)
        except ValueError:
            tokens = []
        read_back = len(tokens) == 3 and tokens[2].strip("'\"") == value.replace("%", "%%")
        comment = re.search(r"\s[;#]", value) or "\n" in value or "\r" in value
        (behind if comment or not read_back else quoted)[name] = value if comment or not read_back else text
    return quoted, behind


def _plain(text: str) -> str:
    """A value with nothing around it: no blank at its ends, no sign of a comment."""
    if text != text.strip() or re.search(r"\s[;#]|[\r\n]", text):
        raise UnfitError(f"or a path ({text!r}) is none that supervisord can read")
    return text.replace("%", "%%")


def _log(path: str) -> str:
    return "NONE" if path == "/dev/null" else _plain(path)
