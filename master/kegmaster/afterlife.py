"""What can be told when no master answers: from its lock and the records it left.

Knows records and /proc; changes nothing.
"""

from __future__ import annotations

import shlex

from . import pidfiles, proc
from .exit_codes import Status
from .lean import Any
from .paths import RunDirectory
from .records import Record, Records


def status(run: RunDirectory, config_file: str) -> tuple[dict[str, Any], int]:
    """The report of `status --json`, and its exit status."""
    try:
        pid = pidfiles.read(run.pidfile)
    except pidfiles.PidfileError:
        pid = None
    records = [record for record in Records(run.records).read_all() if isinstance(record, Record)]
    lost = {} if records else proc.marked(run.path)
    if pidfiles.locked(run.pidfile):
        state, code = "unknown", Status.UNKNOWN
    elif records or lost:
        state, code, pid = "dead", Status.DEAD, None
    else:
        state, code, pid = "stopped", Status.NOT_RUNNING, None
    master = {
        "pid": pid,
        "state": state,
        "version": None,
        "config": config_file,
        "started_s": None,
        "config_changed": False,
    }
    # Of an app whose record is lost, the process that was made first stands for all.
    first = {app: pid for pid, app in sorted(lost.items(), reverse=True)}
    records += [_as_found(app, pid) for app, pid in sorted(first.items())]
    return {"master": master, "apps": [_row(record) for record in records]}, code


def _as_found(app: str, pid: int) -> Record:
    seen = proc.stat(pid)
    return Record(
        app=app, boot_id=proc.boot_id(), state="running", pid=pid, start_ticks=seen.start_ticks if seen else 0
    )


def _row(record: Record) -> dict[str, Any]:
    seen = proc.stat(record.pid) if record.pid and record.boot_id == proc.boot_id() else None
    alive = seen is not None and not seen.zombie and seen.start_ticks == record.start_ticks
    return {
        "name": record.app,
        "state": "running" if alive else "stopped",
        "pid": record.pid if alive else None,
        "uptime_s": round(proc.age_s(record.start_ticks), 3) if alive else None,
        "restarts": record.restarts,
        "last_exit": None,
        "reason": "runs unwatched; start brings the watchdog back" if alive else "ended unwatched",
        "last_output": [],
        "output_lost": None,
        "next_try_s": None,
        "pidfile": record.pidfile,
        "logfile": record.logfile,
        "command": shlex.join(record.argv),
    }
