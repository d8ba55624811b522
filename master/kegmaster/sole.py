"""One master for a configuration and a user, wherever its run directory is: it bears a name that the kernel keeps.

Knows abstract Unix sockets and /proc. The name is that of an unread socket and goes with the process: nothing is left
to go stale. It is known within one network namespace, so a container with one of its own has masters of its own.
Whoever else takes the name keeps nobody from starting: it counts only in the hands of a master of our own user.
"""

from __future__ import annotations

import contextlib
import os
import socket
import zlib

from . import proc
from .lean import Final

_MOST_LETTERS: Final = 32


def take(config: str) -> None:
    """Bear the name of configuration file `config` as long as this process lives, unless another does."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(b"\0" + _name(config))
        sock.shutdown(socket.SHUT_RD)
        os.dup(sock.fileno())  # held until the process ends


def elsewhere(config: str) -> tuple[int, str] | None:
    """Pid and run directory of our user's living master of that file; None if there is none to be seen."""
    name = _name(config)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(b"\0" + name)
        except OSError:
            return None
    inode = _inode(name)
    for pid in proc.all_pids() if inode else ():
        with contextlib.suppress(OSError):
            if proc.owner(pid) == os.geteuid() and (found := _run_directory(pid, f"socket:[{inode}]")):
                return pid, found
    return None


def refusal(config: str, run: str) -> str:
    """Why no master of that file may be made in run directory `run`; empty if one may."""
    other = elsewhere(config)
    if other is None or os.path.realpath(other[1]) == os.path.realpath(run):
        return ""
    return (
        f"{config} has a master already, process {other[0]} in {other[1]}: name that with --pidfile_dir={other[1]},"
        f" or stop it first; a second master in {run} needs a configuration file of its own"
    )


def log_directory(config: str, run: str) -> str:
    """Where the living master of that file, in run directory `run`, has its logs; empty if it does not say."""
    from . import loading  # a master has no use for it here

    file, logs = _claimed(run)
    return logs if logs.startswith("/") and loading.same_file(file, config) else ""


def configuration(run: str) -> str:
    """The configuration file of the living master in run directory `run`; empty if there is none to be had."""
    file, _ = _claimed(run)
    return file if file.startswith("/") else ""


def _claimed(run: str) -> tuple[str, str]:
    """Configuration file and log directory of the living master there, by its own words; empty if unknown.

    Believed is only who could have made us a master here himself: our own user, or root.
    """
    from . import holder, paths, pidfiles  # a master has no use for these here

    files = paths.RunDirectory(path=run)
    try:
        if os.stat(run).st_uid not in (os.geteuid(), 0) or not pidfiles.locked(files.pidfile):
            return "", ""
    except OSError:
        return "", ""
    claim = holder.read(files.lock)
    return (claim.config, claim.logfile_dir) if claim else ("", "")


def _name(config: str) -> bytes:
    """By the directory and the file's name in it: editors replace the file itself."""
    directory, base = os.path.split(os.path.realpath(config))
    try:
        seen = os.stat(directory)
        place = f"{seen.st_dev:x}.{seen.st_ino:x}"
    except OSError:
        place = f"{zlib.crc32(os.fsencode(directory)):x}"
    letters = os.fsencode(base)
    return b"kegmaster-%d-%s-%x-%s" % (
        os.geteuid(), place.encode(), zlib.crc32(letters), letters[:_MOST_LETTERS],
    )  # fmt: skip


def _inode(name: bytes) -> str:
    """Of the socket of that name, as /proc/net/unix has it (proc(5)); empty if there is none."""
    with contextlib.suppress(OSError), open("/proc/net/unix", "rb") as file:
        for line in file:
            fields = line.rstrip(b"\n").split(None, 7)
            if len(fields) == 8 and fields[7] == b"@" + name:
                return fields[6].decode("ascii", "replace")
    return ""


def _run_directory(pid: int, name: str) -> str:
    """The directory that `pid` has locked, if it holds the socket `name`; else empty."""
    from . import forcing  # a master has no use for it

    links = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    if name not in links.values():
        return ""
    return next((path for fd, path in links.items() if os.path.isdir(path) and forcing.locks(pid, fd)), "")
