"""How a unit starts, ends, and comes back: type, restart, times, signals, the commands that stop and reload it.

Source: systemd.service(5), systemd.kill(5), systemd.time(7); names of exit statuses: systemd.exec(5), sysexits(3).
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..keys import SIGNALS
from .execstart import CommandLines, for_shell, kill_of_main
from .unit_values import Values

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
_SPANS: Final[Mapping[str, float]] = {
    "us": 1e-6, "usec": 1e-6, "ms": 1e-3, "msec": 1e-3, "": 1, "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60,
    "min": 60, "minute": 60, "minutes": 60, "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600, "d": 86400,
    "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
}  # fmt: skip
_TYPES: Final[Mapping[str, str]] = {
    "simple": "simple", "exec": "simple", "idle": "simple", "notify": "notify", "notify-reload": "notify",
    "oneshot": "oneshot", "forking": "forking",
}  # fmt: skip
_RESTARTS: Final[Mapping[str, str]] = {
    "no": "no", "always": "always", "on-failure": "on-failure", "on-abnormal": "on-failure", "on-abort": "on-failure",
    "on-watchdog": "on-failure", "on-success": "always",
}  # fmt: skip
_STATUSES: Final[Mapping[str, str]] = {
    "SUCCESS": "0", "FAILURE": "1", "USAGE": "64", "DATAERR": "65", "NOINPUT": "66", "NOUSER": "67", "NOHOST": "68",
    "UNAVAILABLE": "69", "SOFTWARE": "70", "OSERR": "71", "OSFILE": "72", "CANTCREAT": "73", "IOERR": "74",
    "TEMPFAIL": "75", "PROTOCOL": "76", "NOPERM": "77", "CONFIG": "78",
}  # fmt: skip
_SIGNAL_OF: Final = {str(number): name for name, number in SIGNALS.items()}


def span_s(text: str) -> float | None:
    """A time of systemd's in seconds; None for infinity. Raises ValueError."""
    plain = text.strip().lower()
    if plain == "infinity":
        return None
    place, total = 0, 0.0
    while place < len(plain):
        match = _SPAN.match(plain, place)
        if match is None or match[2] not in _SPANS or len(match[1]) > 12:
            raise ValueError("is no time")
        total += float(match[1]) * _SPANS[match[2]]
        place = match.end()
    return total


def kind_of(values: Values) -> str:
    """The unit's Type, as systemd takes it where none is written."""
    return values.text("Type") or ("dbus" if values.unit.text("Service", "BusName") else "simple")


def take_over(values: Values, lines: CommandLines) -> None:
    """Put all of it into the keys of the draft."""
    kind = kind_of(values)
    _type(values, kind)
    _restart(values)
    _times(values, kind)
    _signals_and_statuses(values)
    _stop_and_reload(values, lines)
    if kind == "oneshot" and values.draft.words.pop("_stop_command", []):
        values.say(
            "ExecStop", "an app whose program is done has nothing to stop", "call it where it is needed"
        )


def _type(values: Values, kind: str) -> None:
    keys = values.draft.keys
    if kind == "dbus":
        values.say(
            "Type", "nobody asks the bus whether it is ready", "simple was taken; use _ready to ask it"
        )
    elif kind not in _TYPES:
        values.say("Type", f"{kind} is not known here", "simple was taken")
    keys["_type"] = _TYPES.get(kind, "simple")
    if kind == "notify-reload":
        keys["_reload_signal"] = "HUP"
    if kind == "forking":
        if pidfile := values.text("PIDFile"):
            keys["_pidfile"] = pidfile if pidfile.startswith("/") else f"/run/{pidfile}"
        else:
            values.say(
                "Type",
                "makes a daemon of itself, and no PIDFile says which process that is",
                "if it leaves more than one, name its pidfile by _pidfile",
            )


def _restart(values: Values) -> None:
    restart = values.text("Restart") or "no"
    ours = _RESTARTS.get(restart, "no")
    if restart != ours:
        values.say("Restart", f"{restart} is not known here", f"{ours} was taken")
    values.draft.keys["_restart"] = ours
    if burst := values.text("StartLimitBurst") or values.text("StartLimitBurst", "Unit"):
        values.draft.keys["_start_limit_burst"] = burst


def _times(values: Values, kind: str) -> None:
    _time(values, "RestartSec", "_restart_sec", None)
    # systemd waits for 90 s unless told otherwise.
    both = "TimeoutSec" if values.text("TimeoutSec") else ""
    _time(values, "TimeoutStopSec" if values.text("TimeoutStopSec") else both, "_timeout_stop_sec", 90.0)
    if kind in ("forking", "notify", "notify-reload"):
        _time(
            values, "TimeoutStartSec" if values.text("TimeoutStartSec") else both, "_timeout_start_sec", 90.0
        )
    _time(values, "WatchdogSec", "_watchdog_sec", None)


def _time(values: Values, key: str, ours: str, default_sec: float | None) -> None:
    text = values.text(key) if key else ""
    seconds = default_sec
    if text:
        try:
            seconds = span_s(text)
            if seconds is None or (seconds == 0 and ours.startswith("_timeout")):
                values.say(key, "there is no waiting without an end", "86400 s were taken")
                seconds = 86400.0
        except ValueError as error:
            values.say(key, str(error), "the default was taken")
    if seconds is not None:
        values.draft.keys[ours] = f"{min(seconds, 1e9):.3f}".rstrip("0").rstrip(".")


def _signals_and_statuses(values: Values) -> None:
    keys = values.draft.keys
    signal = values.text("KillSignal").upper().removeprefix("SIG")
    if signal and signal != "TERM":
        keys["_kill_signal"] = _SIGNAL_OF.get(signal, signal)
    kept, unknown = [], []
    for word in values.text("SuccessExitStatus").split():
        if word.isdigit() or word.removeprefix("SIG") in SIGNALS:
            kept.append(word)
        elif word in _STATUSES:
            kept.append(_STATUSES[word])
        else:
            unknown.append(word)
    if kept:
        keys["_success_exit_status"] = " ".join(["0", *kept])
    if unknown:
        values.say("SuccessExitStatus", f"{' '.join(unknown)[:60]} is not known here", "write its number")


def _stop_and_reload(values: Values, lines: CommandLines) -> None:
    keys = values.draft.keys
    for key in ("ExecStop", "ExecReload"):
        for found in values.unit.all("Service", key):
            try:
                words = next((command.words for command in lines.commands(found.value, key)), [])
            except ValueError as error:
                values.say(key, str(error), "correct it")
                continue
            signal = kill_of_main(words)
            if signal in SIGNALS:
                keys["_kill_signal" if key == "ExecStop" else "_reload_signal"] = signal
            elif key == "ExecReload":
                values.say(
                    key, "a reload is a signal here", "name it in _reload_signal, or run the command yourself"
                )
            elif any("MAINPID" in word for word in words) and words[:2] != ["sh", "-c"]:
                # The launcher hands it on as a variable, which only a shell puts into words.
                values.draft.words["_stop_command"] = [
                    "sh", "-c", "exec " + " ".join(for_shell(word) for word in words)
                ]  # fmt: skip
            elif words:
                values.draft.words["_stop_command"] = words
