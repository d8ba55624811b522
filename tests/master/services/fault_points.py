"""install and remove cut short at their n-th call that changes the disk: all or nothing, and the next one puts it right.

python -m tests.master.services.fault_points        # each point; the suite takes every seventh
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .conftest import Services

# Runs master.py with every n-th call that changes the disk killed (or failing: no space left).
AT = """
import errno, os, signal, sys
sys.argv = sys.argv[1:]
how, nth = sys.argv[0], int(sys.argv[1])
place = sys.argv[2]
sys.argv = sys.argv[3:]
from kegmaster import command
from kegmaster.services import entry
entry.destination = lambda: place
calls = 0
def wrapped(name, true):
    def call(*args, **named):
        global calls
        # A directory that cannot be removed is left, and that is all.
        writes = (name, how) != ("rmdir", "fail") and (name != "open" or (len(args) > 1 and isinstance(args[1], int) and args[1] & (os.O_CREAT | os.O_WRONLY)))
        # What is noted in the log of actions changes nothing else.
        if writes and "services" not in sys._getframe(1).f_code.co_filename:
            writes = False
        if writes and sys._getframe(1).f_code.co_filename.endswith("actions.py"):
            writes = False
        if writes:
            calls += 1
            if calls == nth:
                if how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return true(*args, **named)
    return call
for name in ("open", "write", "mkdir", "rename", "replace", "unlink", "symlink", "rmdir", "fsync", "fchmod", "fchown", "chown"):
    setattr(os, name, wrapped(name, getattr(os, name)))
code = command.main(sys.argv)
print("calls", calls, file=sys.stderr)
sys.exit(code)
"""


def at(box: Services, how: str, nth: int, words: tuple[str, ...], program: tuple[str, ...] = ()) -> int:
    argv = box.command(*words) + (["--", *program] if program else [])
    done = subprocess.run(
        [sys.executable, "-c", AT, how, str(nth), str(box.directory / "image"), *argv], capture_output=True, text=True, check=False, cwd="/", timeout=60,
        env={"HOME": str(box.home), "PATH": os.environ["PATH"], "MY_KEY": "v"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, f"{how} {nth}: {done.stderr}"
    return done.returncode


INSTALL = ("install", "web", "--boot=systemd")
PROGRAM = ("/bin/echo", "$MY_KEY")


def through(
    box: Services,
    how: str,
    words: tuple[str, ...],
    program: tuple[str, ...],
    look: Callable[[int, int], None],
    every: int,
) -> int:
    """Every point in turn until the verb gets through; how many there were."""
    for nth in range(1, 200, every):
        code = at(box, how, nth, words, program)
        look(nth, code)
        if code == 0:
            return nth
    raise AssertionError("never done")


def install(box: Services, how: str, every: int) -> int:
    """Returns the number of points."""
    box.config.write_text("# mine\n[x]\n_enabled = no\n_command = /bin/true\n")
    empty = ("run/services", "log", "home")
    before = box.tree(kept=empty)
    texts = {before["apps.cfg"][1]}

    def look(nth: int, code: int) -> None:
        now = box.tree(kept=empty)
        if code == 0:
            return
        if how == "fail":
            assert code == 1, f"at {nth}"
            assert now == before, f"at {nth}"
            return
        assert code == -signal.SIGKILL, f"at {nth}"
        # Whatever is there is whole; the next one takes it back before it does its own work.
        text = now["apps.cfg"][1]
        assert text in texts or text.endswith(b"/web.env\n"), f"at {nth}"
        unit = now.get("image/etc/systemd/system/kegmaster.service")
        assert unit is None or unit[1].endswith(b"WantedBy=multi-user.target\n"), f"at {nth}"
        box.services("remove", "web", "--remove_env_vars", expect=None)
        box.services("remove")
        assert box.tree(kept=empty) == before, f"at {nth}"

    points = through(box, how, INSTALL, PROGRAM, look, every)
    assert box.services("configtest", "web").stdout.startswith("/bin/echo")
    box.services("remove", "web", "--remove_env_vars")
    box.services("remove")
    assert box.tree(kept=empty) == before
    return points


def remove(box: Services, how: str, every: int) -> int:
    """Returns the number of points."""
    box.config.write_text("[x]\n_enabled = no\n_command = /bin/true\n")
    empty = ("run/services", "log", "home")
    before = box.tree(kept=empty)
    box.services(*INSTALL, program=PROGRAM, MY_KEY="v")
    full = box.tree(kept=empty)

    def look(nth: int, code: int) -> None:
        if how == "fail" and code:
            assert box.tree(kept=empty) == full, f"at {nth}"

    points = 0
    for words in (("remove", "web", "--remove_env_vars"), ("remove",)):
        points += through(box, how, words, (), look, every)
        full = box.tree(kept=empty)
    assert full == before
    return points


def main() -> None:
    for verb in (install, remove):
        for how in ("fail", "kill"):
            with tempfile.TemporaryDirectory() as directory:
                print(
                    f"{verb.__name__}: {verb(Services(Path(directory)), how, 1)} points, {how}: well",
                    flush=True,
                )


if __name__ == "__main__":
    main()
