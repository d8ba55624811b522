"""How much memory an app's processes use, as the kernel counts it.

Knows /proc. Cheap enough for a look every few seconds: two small files a process.
"""

from __future__ import annotations

import os

from . import proc

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MOST_PROCESSES = 4096


def resident(pid: int) -> int | None:
    """Bytes of resident memory of `pid` and its descendants in the same session; None if `pid` is gone.

    What processes share (a forked worker's interpreter) counts for each of them.
    """
    main = proc.stat(pid)
    if main is None or main.zombie:
        return None
    total, seen, left = 0, {pid}, [pid]
    while left and len(seen) < _MOST_PROCESSES:
        current = left.pop()
        total += _pages(current) * _PAGE
        for child in _children(current):
            if child not in seen and (found := proc.stat(child)) and found.session == main.session:
                seen.add(child)
                left.append(child)
    return total


def _pages(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read(256).split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _children(pid: int) -> list[int]:
    """Those of all its threads: a child belongs to the thread that forked it."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        found = []
        for thread in threads:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += [int(word) for word in file.read().split()]
    except OSError:
        return proc.children(pid)
    return found
