"""ptrace(2) by ctypes: Linux only, and no more of it than following system calls needs.

Knows the kernel's numbers and structures. Must not know what is followed. All calls for a process come from the thread
that seized it.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

SEIZE, INTERRUPT, LISTEN = 0x4206, 0x4207, 0x4208
CONT, DETACH, SYSCALL = 7, 17, 24
SETOPTIONS, GETEVENTMSG = 0x4200, 0x4201
TRACESYSGOOD, TRACEFORKS, TRACECLONE, EXITKILL = 0x1, 0x2 | 0x4 | 0x8, 0x8, 0x100000
"""Options; TRACEFORKS are fork, vfork and clone."""
EVENT_FORKS, EVENT_STOP = (1, 2, 3), 128
WALL: Final = 0x40000000
"""For waitpid: threads, too."""
ENTRY: Final = 1
"""SyscallInfo.op at the beginning of a call."""
_GET_SYSCALL_INFO: Final = 0x420E

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class SyscallInfo(ctypes.Structure):
    """The system call that a process stands at; at its end the result is in place of `number`."""

    _fields_ = (
        ("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64), ("stack", ctypes.c_uint64), ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6), ("rest", ctypes.c_uint64 * 2),
    )  # fmt: skip


def ptrace(request: int, pid: int, data: int = 0, address: int = 0) -> int:
    """One call, in the kernel's words. Raises OSError."""
    result = int(_libc.ptrace(request, pid, address, data))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def syscall_info(pid: int) -> SyscallInfo:
    """Where `pid` stands, which has stopped at a system call. Raises OSError."""
    info = SyscallInfo()
    ptrace(_GET_SYSCALL_INFO, pid, ctypes.addressof(info), ctypes.sizeof(info))
    return info


def event_message(pid: int) -> int:
    """What the event says for which `pid` has stopped: of a fork, the child. Raises OSError."""
    message = ctypes.c_ulong()
    ptrace(GETEVENTMSG, pid, ctypes.addressof(message))
    return message.value
