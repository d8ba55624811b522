"""Runs a program and writes down, in order, what it does to some files and what it says on its sockets.

    python -m tests.apps.core.disk_log LOG FOLDER PREFIX PROGRAM ARGUMENTS...

Of every file in FOLDER whose name begins with PREFIX: writes, truncations, removals, syncs; of FOLDER its syncs; of all
sockets what was sent. It is done by ptrace(2), so it costs the program time, but nothing escapes it. SIGTERM is passed
on, SIGUSR1 ends the program by SIGKILL.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import platform
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from tests.ptrace import (
    ENTRY,
    EVENT_STOP,
    EXITKILL,
    INTERRUPT,
    LISTEN,
    SEIZE,
    SYSCALL,
    TRACECLONE,
    TRACESYSGOOD,
    WALL,
    ptrace,
    syscall_info,
)

_NUMBERS: Final = {
    "x86_64": {
        1: "write", 18: "pwrite64", 20: "writev", 296: "pwritev", 74: "fsync", 75: "fdatasync", 77: "ftruncate",
        87: "unlink", 263: "unlinkat", 82: "rename", 264: "renameat", 316: "renameat2", 44: "sendto", 46: "sendmsg",
    },
    "aarch64": {
        64: "write", 68: "pwrite64", 66: "writev", 70: "pwritev", 82: "fsync", 83: "fdatasync", 46: "ftruncate",
        35: "unlinkat", 38: "renameat", 276: "renameat2", 206: "sendto", 211: "sendmsg",
    },
}  # fmt: skip
"""The system calls that matter, by machine. Files mapped into memory are not followed: SQLite maps only -shm."""

Entry = tuple[str, str, int, bytes]
"""(kind, path, offset or size, data). Kinds: write, truncate, remove, sync, say (a message on a socket)."""


def supported() -> bool:
    """True if this machine's system calls are known here."""
    return platform.machine() in _NUMBERS


def read(path: str) -> Iterator[Entry]:
    """What was written down in the file `path`."""
    with open(path, "rb") as file, contextlib.suppress(EOFError):
        while True:
            yield pickle.load(file)


@dataclass(slots=True)
class _Call:
    """A system call under way: its name, the file it is about, and its arguments."""

    name: str
    path: str
    arguments: list[int]
    offset: int


@dataclass(slots=True)
class Recorder:
    """Traces one program and all its threads."""

    log: BinaryIO
    folder: str
    prefix: str
    _calls: dict[int, _Call] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=lambda: _NUMBERS[platform.machine()])

    def run(self, argv: list[str]) -> int:
        """The program's exit status, as a shell would tell it."""
        go_r, go_w = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(go_r, 1)
            os.execv(argv[0], argv)
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
        signal.signal(signal.SIGUSR1, lambda *_: os.kill(child, signal.SIGKILL))
        ptrace(SEIZE, child, TRACESYSGOOD | TRACECLONE | EXITKILL)
        ptrace(INTERRUPT, child)
        os.write(go_w, b".")
        while True:
            pid, status = os.waitpid(-1, WALL)
            if os.WIFSTOPPED(status):
                with contextlib.suppress(ProcessLookupError):  # its end is told next
                    self._on_stop(pid, status)
                continue
            if call := self._calls.pop(pid, None):
                self._cut_short(call)
            if pid == child:
                return os.waitstatus_to_exitcode(status) & 0xFF

    def _on_stop(self, pid: int, status: int) -> None:
        number, event = status >> 8 & 0xFF, status >> 16
        if number == signal.SIGTRAP | 0x80:
            self._on_call(pid)
            ptrace(SYSCALL, pid)
        elif event == EVENT_STOP and number != signal.SIGTRAP:
            ptrace(LISTEN, pid)
        else:
            ptrace(SYSCALL, pid, 0 if event else number)

    def _on_call(self, pid: int) -> None:
        info = syscall_info(pid)
        if info.op != ENTRY:
            call = self._calls.pop(pid, None)
            result = ctypes.c_int64(info.number).value  # at the exit, the result stands in its place
            if call is not None and result >= 0:
                self._done(pid, call, result)
            return
        name = self._names.get(info.number)
        if name is None:
            return
        arguments = list(info.arguments)
        if name.startswith(("unlink", "rename")):
            path = _text(pid, arguments[0 if name in ("unlink", "rename") else 1])
        else:
            path = _fd_path(pid, arguments[0])
        if name.startswith("send"):
            self._calls[pid] = _Call(name, path, arguments, 0)
        elif self._is_ours(path) or (name in ("fsync", "fdatasync") and path == self.folder):
            assert name in ("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "unlink", "unlinkat"), (
                name
            )
            offset = _position(pid, arguments[0]) if name == "write" else 0
            self._calls[pid] = _Call(name, path, arguments, arguments[3] if name == "pwrite64" else offset)

    def _is_ours(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return folder == self.folder and name.startswith(self.prefix) and not name.endswith(("-shm", ".lock"))

    def _done(self, pid: int, call: _Call, result: int) -> None:
        match call.name:
            case "write" | "pwrite64":
                self._note("write", call.path, call.offset, _memory(pid, call.arguments[1], result))
            case "fsync" | "fdatasync":
                self._note("sync", call.path)
            case "ftruncate":
                self._note("truncate", call.path, call.arguments[1])
            case "unlink" | "unlinkat":
                self._note("remove", call.path)
            case "sendto":
                self._note("say", call.path, 0, _memory(pid, call.arguments[1], result))
            case _:
                raise NotImplementedError(call.name)

    def _cut_short(self, call: _Call) -> None:
        """The program was killed inside of a call: only the file can tell if it was carried out."""
        if call.name in ("write", "pwrite64"):
            with open(call.path, "rb") as file:
                file.seek(call.offset)
                self._note("write", call.path, call.offset, file.read(call.arguments[2]))
        elif call.name == "ftruncate":
            self._note("truncate", call.path, os.path.getsize(call.path))
        elif call.name.startswith("unlink") and not os.path.exists(call.path):
            self._note("remove", call.path)

    def _note(self, kind: str, path: str, number: int = 0, data: bytes = b"") -> None:
        pickle.dump((kind, path, number, data), self.log)


def _memory(pid: int, address: int, size: int) -> bytes:
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, address)
    finally:
        os.close(fd)


def _text(pid: int, address: int) -> str:
    text = b""
    while b"\0" not in text:  # not beyond the page, where there may be nothing
        text += _memory(pid, address + len(text), 4096 - (address + len(text)) % 4096)
    return os.fsdecode(text.partition(b"\0")[0])


def _fd_path(pid: int, fd: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""


def _position(pid: int, fd: int) -> int:
    with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
        return int(file.readline().split()[1])


def main() -> int:
    log, folder, prefix, *argv = sys.argv[1:]
    with open(log, "ab") as file:
        return Recorder(file, folder, prefix).run(argv)


if __name__ == "__main__":
    sys.exit(main())
