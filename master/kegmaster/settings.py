"""What of an app's definition stands for itself: each setting by the name it has in the file, and its checksum.

Knows specs. Must not know files or processes. A setting that the launcher alone heeds can change under a running app.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Mapping

from .lean import Any, Final, fields, is_dataclass
from .spec import App

ARGV: Final = "argv"
OWN: Final = frozenset({
    "_enabled", "_after", "_requires", "_wait_for", "_restart", "_restart_sec", "_restart_max_delay_sec",
    "_start_limit_burst", "_success_exit_status", "_timeout_start_sec", "_timeout_stop_sec", "_kill_signal",
    "_stop_command", "_reload_signal",
    "_log_max_bytes", "_log_backups", "_on_failure", "_on_change",
    "_ready", "_health", "_memory_max",
})  # fmt: skip
"""The launcher's own policy: taken over without a restart. All others were given to the process when it was made."""
_PARTS: Final = frozenset({"policy", "context"})
_NOT_OURS: Final = frozenset({"name", ARGV, "pidfile", "logfile"})
_known: dict[int, int] = {}
"""Checksums, each by itself, so that equal ones are one object; cleared before it grows for ever."""
_MOST_KNOWN: Final = 4096


def settings(app: App) -> dict[str, Any]:
    """Every setting of the app: `_keys` by their name, `pidfile` and `logfile`, and the command line as `argv`."""
    return {
        name if name in _NOT_OURS else sys.intern(f"_{name}"): value
        for name, value in _flat(app)
        if name != "name"
    }


def checksums(app: App) -> dict[str, int]:
    """A CRC-32 of each setting: tells whether one changed, and nothing of what it was."""
    sums = {key: zlib.crc32(_plain(value).encode()) for key, value in settings(app).items()}
    if len(_known) > _MOST_KNOWN:
        _known.clear()
    # Each app keeps its own; most settings of most apps are the same, and so are their sums.
    return {key: _known.setdefault(number, number) for key, number in sums.items()}


def changed(app: App, sums: Mapping[str, int]) -> frozenset[str]:
    """The settings that are others than when `sums` was taken; those that `sums` does not know count as the same."""
    return frozenset(key for key, value in checksums(app).items() if sums.get(key, value) != value)


def _flat(part: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(part):
        if not field.compare:
            continue
        value = getattr(part, field.name)
        if is_dataclass(value) and not isinstance(value, type) and field.name in _PARTS:
            yield from _flat(value)
        else:
            yield field.name, value


def _plain(value: Any) -> str:
    # The order of a set is not the same in every process.
    return repr(sorted(value, key=repr) if isinstance(value, frozenset) else value)
