"""Apps as units of systemd, one each.

Source: systemd.service(5), systemd.exec(5), systemd.syntax(7), "Quoting". Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ..programs import STANDARD_PATH
from .draft import Notes
from .leaving import SIGNAL_NAMES, Leaver, say_lost, signal_name, unique

_KNOWN: Final = ("_after", "_requires", "_restart", "_restart_sec", "_restart_max_delay_sec", "_success_exit_status",
                 "_start_limit_burst", "_timeout_start_sec", "_timeout_stop_sec", "_kill_signal", "_user", "_group",
                 "_umask", "_nice", "_limit_nofile", "_environment_file", "_pass_environment", "_watchdog_sec",
                 "_memory_max", "_log_max_bytes", "_log_backups", "_stop_command", "_reload_signal",
                 "_pidfile")  # fmt: skip
_SAFE: Final = re.compile(r"[A-Za-z0-9_@+=:,./-]+\Z")


def write(apps: Sequence[Leaver], file: str, notes: Notes, *, of_a_user: bool) -> dict[str, str]:
    """The units by the names of their files. `of_a_user`: for `systemctl --user`."""
    units = unique([leaver.app.name for leaver in apps], unit_name)
    return {
        f"{units[leaver.app.name]}.service": _unit(leaver, units, file, notes, of_a_user) for leaver in apps
    }


def unit_name(name: str) -> str:
    """The name of an app as one of a unit, in systemd's way of escaping; an @ would make a template of it."""
    return re.sub(r"[^A-Za-z0-9_.:-]", lambda match: f"\\x{ord(match[0]):02x}", name)


def quote(word: str, *, specifiers: bool = True) -> str:
    """`word` as one of a command line or of Environment=."""
    text = word.replace("%", "%%") if specifiers else word
    if _SAFE.match(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + re.sub(r"[\x01-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", escaped) + '"'


def _unit(leaver: Leaver, units: Mapping[str, str], file: str, notes: Notes, of_a_user: bool) -> str:
    app = leaver.app
    say_lost(app, file, _KNOWN, "systemd", notes)
    after = [f"{units[name]}.service" for name in (*app.after, *app.requires) if name in units]
    requires = [f"{units[name]}.service" for name in app.requires if name in units]
    lines = ["[Unit]", f"Description={app.name.replace('%', '%%')}"]
    lines += [
        f"{key}={' '.join(dict.fromkeys(names))}"
        for key, names in (("Requires", requires), ("After", after))
        if names
    ]
    # systemd gives up after five starts in ten seconds unless told otherwise.
    burst = app.policy.start_limit_burst
    lines += [f"StartLimitIntervalSec={'0' if not burst else 'infinity'}"]
    lines += [f"StartLimitBurst={burst}"] if burst else []
    lines += ["", "[Service]", *_service(leaver, file, notes, of_a_user)]
    lines += ["", "[Install]", f"WantedBy={'default' if of_a_user else 'multi-user'}.target", ""]
    return "\n".join(lines)


def _service(leaver: Leaver, file: str, notes: Notes, of_a_user: bool) -> list[str]:
    app, context = leaver.app, leaver.app.context
    lines = ["Type=" + ("forking" if leaver.forking else {"forking": "simple"}.get(app.type, app.type))]
    if leaver.forking and not app.names_no_pidfile:  # else systemd guesses, as the launcher does
        lines.append(f"PIDFile={app.pidfile.replace('%', '%%')}")
    if app.type == "oneshot":
        lines.append("RemainAfterExit=yes")
    lines.append(f"ExecStart={_command(leaver.argv)}")
    if app.stop_command:
        lines.append(f"ExecStop={_command(app.stop_command)}")
    if app.reload_signal:
        lines.append(f"ExecReload=/bin/kill -{signal_name(app.reload_signal)} $MAINPID")
    if (context.user or context.group) and of_a_user:
        notes.add(
            file,
            app.key_lines.get("_user", app.line),
            app.name,
            "_user",
            "a user's systemd runs all as that user",
            "export as root, for the system's",
        )
    elif context.user or context.group:
        lines += [f"User={context.user}"] if context.user else []
        lines += [f"Group={context.group}"] if context.group else []
    lines += [
        f"WorkingDirectory={context.working_directory.replace('%', '%%')}",
        f"UMask={context.umask:04o}",
        *(f"Environment={quote(f'{name}={value}')}" for name, value in leaver.environment.items()),
    ]
    if "PATH" not in leaver.environment and "/" in leaver.path:
        folder = leaver.path.rpartition("/")[0]
        lines.append(f"Environment={quote(f'PATH={folder}:{STANDARD_PATH}')}")
    lines += (
        [f"EnvironmentFile={context.environment_file.replace('%', '%%')}"] if context.environment_file else []
    )
    lines += [f"PassEnvironment={' '.join(context.pass_environment)}"] if context.pass_environment else []
    lines += [f"Nice={context.nice}"] if context.nice else []
    lines += [f"LimitNOFILE={context.limit_nofile}"] if context.limit_nofile else []
    lines += [f"MemoryMax={app.memory_max}"] if app.memory_max else []
    lines += [f"WatchdogSec={app.watchdog_sec:g}", "NotifyAccess=main"] if app.watchdog_sec else []
    lines += _end(leaver)
    return lines


def _end(leaver: Leaver) -> list[str]:
    """How it ends, and what follows."""
    app = leaver.app
    restart = app.policy.restart
    if app.type == "oneshot" and restart == "always":
        restart = "on-failure"  # systemd refuses a oneshot that is done and done again
    statuses = sorted(app.policy.success_exit_status - {0})
    # 143 is both here: a program that ended with it, as Java's do at a SIGTERM, and one that SIGTERM ended.
    signals = [f"SIG{signal_name(status - 128)}" for status in statuses if status - 128 in SIGNAL_NAMES]
    codes = [*map(str, statuses), *signals]
    return [
        f"Restart={restart}",
        f"RestartSec={max(app.policy.restart_sec, 1):g}",
        *([f"SuccessExitStatus={' '.join(codes)}"] if codes else []),
        f"TimeoutStartSec={'infinity' if app.type == 'oneshot' else f'{app.timeout_start_sec:g}'}",
        f"TimeoutStopSec={app.timeout_stop_sec:g}",
        f"KillSignal=SIG{signal_name(app.kill_signal)}",
    ]


def _command(argv: Sequence[str]) -> str:
    """A command line; the `:` in front has systemd leave every $ alone."""
    plain = ":" if any("$" in word for word in argv) else ""
    return plain + " ".join(quote(word) for word in argv)
