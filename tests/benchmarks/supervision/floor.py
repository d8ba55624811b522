"""What making a process costs in plain Python: `floor.py (spawn | double) APP LEDGER N`, a line `NAME NS` for each.

Run with `-I -S`: it imports nothing but what it needs.
"""

from __future__ import annotations

import os
import sys
import time


def main(how: str, app: str, ledger: str, count: int) -> None:
    for number in range(count):
        name = f"app{number:03}"
        argv = [app, ledger, name, "end"]
        began_ns = time.monotonic_ns()
        pid = os.posix_spawn(app, argv, {}) if how == "spawn" else _double_fork(argv)
        os.waitpid(pid, 0)
        sys.stdout.write(f"{name} {began_ns}\n")
        time.sleep(0.002)  # the grandchild of a double fork is nobody's to wait for


def _double_fork(argv: list[str]) -> int:
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            os.setsid()
            os.execve(argv[0], argv, {})
        os._exit(0)
    return pid


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
