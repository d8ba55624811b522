"""The lock beside the store: only one core at a time may use it.

Knows files. Must not know SQLite, whose own locks on the store's file this must not touch.
"""

from __future__ import annotations

import fcntl
import os

from kegapps.core.database import StoreError, explained
from kegapps.daemon.own_file import open_lock


def hold_lock(path: str, *, held_fd: int = -1) -> int:
    """Hold `path` as long as the process lives or until it is closed; raises StoreError if another core does.

    Returns `held_fd` if that is what holds it.
    """
    with explained(path):
        if held_fd >= 0 and os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(held_fd)):
            return held_fd
        fd = open_lock(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise StoreError(
                f"store {path.removesuffix('.lock')}: another kegbot_core (pid {holder}) uses it; "
                "stop that one, or name another file with --store"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        return fd
