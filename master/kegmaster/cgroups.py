"""A cgroup for each app, where the kernel lets us: a net below all marks, for processes that dropped every one of them.

Knows cgroup v2 as directories, and how a process is born in one. Must not know apps' states. Nothing depends on it:
what cannot be done is said in one debug line, and the launch goes on without.
"""

from __future__ import annotations

import binascii
import contextlib
import ctypes
import os
import signal
from functools import cache

from .journal import Journal
from .lean import Any, Final

_CLONE3: Final = 435  # the same number on all machines that Linux still gains
_CLONE_INTO_CGROUP: Final = 0x200000000
_FIELDS: Final = (
    11  # of struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal ... set_tid_size, cgroup
)


def mount_of(mountinfo: str) -> tuple[str, str] | None:
    """Mount point and root of the cgroup2 hierarchy in the text of /proc/PID/mountinfo; None if there is none."""
    for line in mountinfo.splitlines():
        own, _, more = line.partition(" - ")
        fields = own.split(" ")
        # A blank or the like in a path is written as \ooo, and is usual nowhere.
        if more.startswith("cgroup2 ") and len(fields) > 5 and "\\" not in own:
            return fields[4], fields[3].rstrip("/")
    return None


def place_in(text: str) -> str:
    """The place in that hierarchy that the text of /proc/PID/cgroup tells; empty if none."""
    places = (line[3:] for line in text.splitlines() if line.startswith("0::/"))
    return next(places, "")


def place_of(pid: int | str) -> str:
    """The place of a process; empty if it is gone or has none."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            return place_in(file.read())
    except OSError:
        return ""


class Leaves:
    """The cgroups of one master's apps, each below the master's own place."""

    def __init__(self, run: str, mount: tuple[str, str], place: str, journal: Journal) -> None:
        """`run`: the run directory, by which masters differ. `place`: our own. Raises OSError if none can be made."""
        self._point, self._root = mount
        self._place = place
        self._prefix = f"kegmaster-{binascii.crc32(os.fsencode(run)):08x}-"
        self._journal = journal
        self._usable = True
        here = self._path(place)
        for path in (here, f"{here}/cgroup.procs"):
            if not os.access(path, os.W_OK):
                raise PermissionError(f"{path} cannot be written")

    def of(self, app: str, pid: int = 0) -> Leaf | None:
        """The cgroup of an app; that which its process `pid` is in, if an earlier master made it elsewhere.

        None where there is none for it: we ourselves may have been started by the app.
        """
        name = self._prefix + app
        before, found, _ = (place_of(pid) + "/").partition(f"/{name}/") if pid else ("", "", "")
        place = f"{before if found else self._place.rstrip('/')}/{name}"
        if not self._usable or within(self._place, place):
            return None
        try:
            return Leaf(self._path(place), place, self)
        except PermissionError:
            return None

    def close(self) -> None:
        """Remove all of this master that nobody is in: also what was made when a watchdog was killed half-way."""
        here = self._path(self._place)
        with contextlib.suppress(OSError):
            for name in os.listdir(here):
                if name.startswith(self._prefix):
                    with contextlib.suppress(OSError):
                        os.rmdir(f"{here}/{name}")

    def give_up(self, error: OSError) -> None:
        """Make no more of them."""
        if self._usable:
            self._usable = False
            self._journal.debug(f"going on without cgroups: {error}")

    def _path(self, place: str) -> str:
        if not within(place, self._root) or ".." in place.split("/"):
            raise PermissionError(f"cgroup {place} is not below {self._root}")
        return f"{self._point}{place[len(self._root) :]}".rstrip("/")


class Leaf:
    """One app's cgroup: `path` is its directory, which need not exist, `place` what /proc calls it."""

    def __init__(self, path: str, place: str, leaves: Leaves) -> None:
        self.path = path
        self.place = place
        self._leaves = leaves

    def fork(self) -> int:
        """As os.fork, with the child born in here. Raises OSError.

        Moving a process costs a grace period of the kernel, 15 ms; being born in a cgroup costs a tenth of one.
        """
        try:
            try:
                fd = self._open()
            except FileNotFoundError:
                os.mkdir(self.path, 0o755)
                fd = self._open()
            try:
                return _fork_into(fd)
            finally:
                os.close(fd)
        except OSError as error:
            self._leaves.give_up(error)
            raise

    def _open(self) -> int:
        return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def populated(self) -> bool:
        """A process lives in here or below."""
        try:
            with open(f"{self.path}/cgroup.events", "rb") as file:
                return b"populated 1" in file.read(4096)
        except OSError:
            return False

    def holds(self, pid: int) -> bool:
        """`pid` is in here, or in a cgroup that the app made below."""
        return within(place_of(pid), self.place)

    def pids(self) -> list[int]:
        """All processes in here and below, as far as they can be seen from our pid namespace."""
        found: list[int] = []
        for directory, _, _ in os.walk(self.path):
            with contextlib.suppress(OSError), open(f"{directory}/cgroup.procs", "rb") as file:
                found += [int(word) for word in file.read().split() if word != b"0"]
        return found

    def remove(self) -> None:
        """Remove it and what the app made below, unless somebody is in there."""
        for directory, _, _ in os.walk(self.path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def within(place: str, above: str) -> bool:
    """`place` is `above`, or somewhere below it."""
    return bool(place) and f"{place}/".startswith(f"{above.rstrip('/')}/")


@cache
def _calls() -> tuple[Any, Any, Any, Any]:
    """The system call, and what os.fork does around it. Looked up once: nothing may be imported in between.

    Python's own lock must be held throughout, as in os.fork: PyDLL does not let go of it.
    """
    api = ctypes.pythonapi
    syscall = ctypes.PyDLL(None, use_errno=True).syscall
    return syscall, api.PyOS_BeforeFork, api.PyOS_AfterFork_Child, api.PyOS_AfterFork_Parent


def _fork_into(cgroup_fd: int) -> int:
    arguments = (ctypes.c_uint64 * _FIELDS)(_CLONE_INTO_CGROUP)
    arguments[4], arguments[10] = signal.SIGCHLD, cgroup_fd
    size = ctypes.c_size_t(ctypes.sizeof(arguments))
    clone, before, in_child, in_parent = _calls()
    before()
    pid = int(clone(_CLONE3, arguments, size))
    if pid == 0:
        in_child()
        return 0
    in_parent()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"clone3: {os.strerror(number)}")
    return pid
