"""--force: a master that does not answer is proven to be one, and ended, so that the next one takes its apps over.

Knows /proc, pidfds and the lock. Must not decide whom: that is `tenancy`. Imported only where a master does not answer.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator

from . import holder, pidfiles, proc, tenancy
from .lean import Final
from .paths import RunDirectory
from .proc import Process
from .tenancy import Finding, Scene, Seen

_MOST_LOOKS: Final = 20
_LOOK_AGAIN_S: Final = 0.01
END_S: Final = 5.0


class ForceError(Exception):
    """Why nothing was, or could be, ended. `rights`: it is not ours to end."""

    def __init__(self, text: str, *, rights: bool = False) -> None:
        super().__init__(text)
        self.rights = rights


def look(run: RunDirectory, script: str) -> Finding:
    """Who has the run directory, nobody answering there. `script`: what we are called."""
    for _ in range(_MOST_LOOKS):
        scene = _scene(run, script)
        finding = tenancy.judge(scene)
        if finding.kind != "unseen" or scene.holders or scene.owner != scene.euid:
            break
        time.sleep(_LOOK_AGAIN_S)  # whoever had it may have been ended between one look and the other
    return finding


def named(run: RunDirectory) -> str:
    """Whom the pidfile names, in words; empty if nobody of that number lives."""
    scene = _scene(run, "")
    seen = scene.named
    return f"process {seen.pid}, since {seen.since}" if seen else ""


def config_of(run: RunDirectory) -> str:
    """The configuration file of whoever claims to hold the lock, as written down; empty if that is not known."""
    claim = holder.read(run.lock)
    return claim.config if claim else ""


def end(run: RunDirectory, script: str) -> list[str]:
    """End the master that holds the lock and does not answer; a line for each process. Raises ForceError.

    All are halted before the first is killed: a keeper would bring its watchdog back, a watchdog make a new keeper.
    Whoever they fork meanwhile is found by looking again.
    """
    held: dict[int, Process] = {}
    finding = look(run, script)
    main = finding.masters[0].pid if finding.masters else 0
    try:
        for _ in range(_MOST_LOOKS):
            if finding.refusal:
                raise ForceError(finding.refusal, rights=finding.rights)
            if not (fresh := [seen for seen in finding.masters if seen.pid not in held]):
                break
            for seen in fresh:
                held |= _halt(seen)
            finding = look(run, script)
        lines = []
        for process in held.values():
            process.signal(signal.SIGKILL)
            role = "watchdog" if process.pid == main else "keeper or helper"
            lines.append(f"master: process {process.pid} ({role}) did not answer, ended")
        _wait_gone(held)
    except BaseException:
        for process in held.values():
            process.signal(signal.SIGCONT)
        raise
    finally:
        for process in held.values():
            process.close()
    return lines


def end_halted_keeper(run: RunDirectory, script: str) -> list[str]:
    """A keeper that was halted while its watchdog answers: end it, and the watchdog takes its place."""
    scene = _scene(run, script)
    finding = tenancy.judge(scene)
    halted = [seen for seen in finding.masters if seen.stopped and seen.pid != scene.number]
    lines = []
    for seen in halted if not finding.refusal else []:
        for process in _halt(seen).values():
            process.signal(signal.SIGKILL)
            _wait_gone({process.pid: process})
            process.close()
            lines.append(
                f"master: process {seen.pid} (keeper) was halted, ended; its watchdog takes its place"
            )
    return lines


def _halt(seen: Seen) -> dict[int, Process]:
    """Hold the very process that was seen, and keep it from doing anything more."""
    try:
        process = Process(seen.pid, seen.start_ticks)
    except OSError:
        return {}  # it has ended by itself
    process.signal(signal.SIGSTOP)
    return {seen.pid: process}


def _wait_gone(held: dict[int, Process]) -> None:
    until_s = time.monotonic() + END_S
    for process in held.values():
        if not select.select([process], [], [], max(0.0, until_s - time.monotonic()))[0]:
            raise ForceError(
                f"process {process.pid} does not end, even by SIGKILL: the kernel holds it (a disk or network that"
                " does not answer); nothing was started"
            )


def _scene(run: RunDirectory, script: str) -> Scene:
    try:
        number = pidfiles.read(run.pidfile)
    except pidfiles.PidfileError:
        number = None
    claim = holder.read(run.lock)
    if number is None and claim is not None:
        number = claim.pid  # somebody removed the pidfile
    try:
        owner, file_system = os.stat(run.path).st_uid, _file_system(run.path)
    except OSError:
        owner, file_system = os.geteuid(), ""
    return Scene(
        directory=run.path, owner=owner, euid=os.geteuid(), boot_id=proc.boot_id(), file_system=file_system,
        pid_namespace=holder.pid_namespace(), locked=pidfiles.locked(run.pidfile), holders=tuple(_holders(run.path)),
        number=number, named=_see(number) if number else None, claim=claim,
        claimed_since=_date(claim.since_unix) if claim else "", script=script,
    )  # fmt: skip


def _see(pid: int) -> Seen | None:
    seen = proc.stat(pid)
    if seen is None:
        return None
    return Seen(
        pid=pid, parent=seen.parent, uid=proc.owner(pid), start_ticks=seen.start_ticks,
        since=_date(holder.since_unix(seen.start_ticks)), command=holder.command_line(pid),
        stopped=seen.state in "Tt", zombie=seen.zombie,
    )  # fmt: skip


def _date(unix: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))


def _holders(directory: str) -> Iterator[Seen]:
    """Whoever has the locked directory open: the kernel lists a lock with each descriptor that holds it (proc(5))."""
    path = os.path.realpath(directory)
    for pid in proc.all_pids():
        if pid != os.getpid() and _holds(pid, path) and (seen := _see(pid)):
            yield seen


def _holds(pid: int, path: str) -> bool:
    try:
        # readlink and not stat: that would wait for a network file system that some process has a file of open.
        for fd in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{fd}") == path and locks(pid, fd):
                return True
    except OSError:
        return False  # gone, or not ours to look at
    return False


def locks(pid: int, fd: str) -> bool:
    """It holds a lock of flock(2) by that descriptor. Raises OSError."""
    with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as file:
        return any({"FLOCK", "WRITE"} <= set(line.split()) for line in file if line.startswith("lock:"))


def _file_system(path: str) -> str:
    """The kind of file system `path` is on, as /proc/self/mountinfo calls it; empty if that cannot be told."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split()
            if fields[2] == number:
                return fields[fields.index("-") + 1]
    return ""
