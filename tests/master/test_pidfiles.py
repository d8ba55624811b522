"""Pidfiles are claims: whatever lies in the place of one, nothing is followed, nothing waits, and no stranger is signalled."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kegmaster import pidfiles

from .conftest import DETACHER, TWO, Box, eventually, living, wait_for_end

NOBODY = 65534
ROOT = os.geteuid() == 0
OURS = "[app]\n_enabled = True\n_type = forking\n_timeout_start_sec = 0.3\n_command = sh -c 'exit 0'\n"


@pytest.fixture
def canary() -> Iterator[int]:
    """A process that nobody may signal."""
    process = subprocess.Popen(["sleep", "100000"])
    try:
        yield process.pid
        assert process.poll() is None, "a stranger was signalled"
    finally:
        process.kill()
        process.wait()


def gone() -> int:
    """A pid that no process has."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def symlink(path: Path, canary: int) -> None:
    target = path.with_name("target")
    target.write_text(f"{canary}\n")
    path.symlink_to(target)


def hard_link(path: Path, canary: int) -> None:
    target = path.with_name("target")
    target.write_text(f"{canary}\n")
    path.hardlink_to(target)


def world_writable(path: Path, canary: int) -> None:
    path.write_text(f"{canary}\n")
    path.chmod(0o666)


def owned_by_another(path: Path, canary: int) -> None:
    path.write_text(f"{canary}\n")
    os.chown(path, NOBODY, NOBODY)


Lay = Callable[[Path, int], object]
LAID: dict[str, Lay] = {
    "stale": lambda path, _: path.write_text(f"{gone()}\n"),
    "foreign": lambda path, canary: path.write_text(f"{canary}\n"),
    "corrupt": lambda path, _: path.write_bytes(b"\0\xff\x1b[31mkeg"),
    "negative": lambda path, canary: path.write_text(f"-{canary}\n"),
    "empty": lambda path, _: path.write_text(""),
    "huge": lambda path, _: path.write_text("1" * (1 << 20)),
    "fifo": lambda path, _: os.mkfifo(path),
    "directory": lambda path, _: path.mkdir(),
    "symlink": symlink,
    "hard link": hard_link,
    "world-writable": world_writable,
    "owned by another": owned_by_another,
}
KINDS = [
    pytest.param(
        kind, marks=pytest.mark.skipif(kind == "owned by another" and not ROOT, reason="only root can chown")
    )
    for kind in LAID
]


def lay(kind: str, path: Path, canary: int) -> tuple[int, int, int]:
    """Put it there; what tells whether it was touched."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    LAID[kind](path, canary)
    return print_of(path)


def print_of(path: Path) -> tuple[int, int, int]:
    seen = path.lstat()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


SAID_OF_AN_APPS = {
    "stale": "its starter left no process",
    "foreign": "which is not of this app; remove it",
    "corrupt": "holds no pid but",
    "negative": "holds no pid but",
    "empty": "its starter left no process",
    "huge": "holds no pid but",
    "fifo": "is no plain file; name a plain file",
    "directory": "is no plain file; name a plain file",
    "symlink": "is a symlink; name a plain file",
    "hard link": "has 2 hard links; remove it",
    "world-writable": "which is not of this app; remove it",
    "owned by another": "which is not of this app; remove it",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_apps_pidfile_is_not_believed_when_it_starts(box: Box, canary: int, kind: str) -> None:
    box.write(OURS)
    path = box.run / "app.pid"
    before = lay(kind, path, canary)
    done = box.master("start", expect=None)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if str(path) in line or "starter" in line]
    assert len(said) == 1, done.stderr
    assert SAID_OF_AN_APPS[kind] in said[0]
    box.master("stop")
    if kind == "stale":
        assert not path.exists(), "many a program would take it for its own, and refuse"
    else:
        assert print_of(path) == before, "it is left as it is, for a person to look at"


@pytest.mark.parametrize("kind", KINDS)
def test_what_takes_the_place_of_an_apps_pidfile_leads_no_signal_astray(
    box: Box, canary: int, kind: str
) -> None:
    box.write(f"[app]\n_enabled = True\n_program_name = {box.program('app.py', DETACHER)}\n")
    box.master("start")
    pid, path = box.pid("app"), box.run / "app.pid"
    before = lay(kind, path, canary)
    assert box.pid("app") == pid
    box.master("stop", "app")
    assert not living(pid)
    box.master("stop")
    assert print_of(path) == before


SAID_OF_OURS = {
    "fifo": "is no plain file; remove it",
    "directory": "is no plain file; remove it",
    "symlink": "is a symlink; remove it",
    "hard link": "has 2 hard links; remove it",
    "owned by another": f"belongs to user {NOBODY}; remove it",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_launchers_own_pidfile_is_taken_or_refused_but_never_followed(
    box: Box, canary: int, kind: str
) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    path = box.run / "kegbot_master.pid"
    before = lay(kind, path, canary)
    if kind in SAID_OF_OURS:
        done = box.master("start", expect=1)
        assert done.stderr == f"master.py: pidfile {path} {SAID_OF_OURS[kind]}\n"
        assert print_of(path) == before
        return
    box.master("start")
    assert path.read_text() == f"{box.master_pid()}\n"
    assert path.stat().st_mode & 0o777 == 0o644, "nobody else may write it from now on"
    box.master("stop")
    assert not path.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_takes_the_place_of_the_launchers_own_pidfile_harms_nothing(
    box: Box, canary: int, kind: str
) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids = [box.pid("one"), box.pid("two")]
    path = box.run / "kegbot_master.pid"
    lay(kind, box.directory / "laid", canary)
    while os.path.lexists(box.directory / "laid"):
        # Where a directory takes its place, the file must go first, and the launcher makes it anew at once.
        with contextlib.suppress(OSError):
            if kind == "directory":
                path.unlink()
            (box.directory / "laid").rename(path)
    assert [box.pid("one"), box.pid("two")] == pids
    box.master("restart", "one")
    box.master("stop")
    for pid in pids:
        wait_for_end(pid)
    eventually(lambda: box.processes() == [])


@pytest.mark.parametrize("kind", KINDS)
def test_reading_a_pidfile_never_waits(tmp_path: Path, canary: int, kind: str) -> None:
    path = tmp_path / "app.pid"
    lay(kind, path, canary)
    begun_s, said = time.monotonic(), ""
    try:
        claimed = pidfiles.read(str(path))
    except pidfiles.PidfileError as error:
        claimed, said = None, str(error)
    assert (claimed is not None) == (kind in ("stale", "foreign", "world-writable", "owned by another"))
    assert said == "" or (said.startswith(f"pidfile {path} ") and "; remove it" in said and "\n" not in said)
    assert time.monotonic() - begun_s < 5


@pytest.mark.skipif(not ROOT, reason="needs to be root, and for a moment another")
def test_a_pidfile_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "app.pid"
    path.write_text("1\n")
    path.chmod(0)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(
            pidfiles.PidfileError, match=r"cannot be read \(Permission denied\); remove it, or mend"
        ):
            pidfiles.read(str(path))
    finally:
        os.seteuid(0)


def test_a_pidfile_is_written_beside_whatever_lies_in_the_way(tmp_path: Path) -> None:
    path, precious = tmp_path / "app.pid", tmp_path / "precious"
    precious.write_text("beer")
    path.symlink_to(precious)
    os.mkfifo(f"{path}.{os.getpid()}.new")
    pidfiles.write(str(path), 42)
    assert (path.is_symlink(), path.read_text(), precious.read_text()) == (False, "42\n", "beer")


def test_a_pidfile_that_anybody_can_write_is_told_of_though_its_number_is_proven(box: Box) -> None:
    program = box.program(
        "app.py", DETACHER.replace("os.rename(", "os.chmod(flags['pidfile'] + '.new', 0o666)\nos.rename(")
    )
    box.write(f"[app]\n_enabled = True\n_program_name = {program}\n")
    box.master("start")
    path = box.run / "app.pid"
    assert (
        f"app: pidfile {path} can be written by anybody; chmod o-w {path}"
        in (box.log / "kegbot_master.log").read_text()
    )


@pytest.mark.skipif(not ROOT, reason="only root is so careful")
@pytest.mark.parametrize("key", ["_pidfile_dir", "_logfile_dir"])
@pytest.mark.parametrize(
    ("mode", "owner", "user", "others"),
    [
        (0o777, 0, "", "root"),
        (0o1777, 0, "", "root"),
        (0o755, NOBODY, "", "root"),
        (0o757, NOBODY, "nobody", "root and nobody"),
    ],
)
def test_root_refuses_directories_that_others_can_write(
    box: Box, key: str, mode: int, owner: int, user: str, others: str
) -> None:
    open_to_all = box.directory / "open"
    open_to_all.mkdir()
    open_to_all.chmod(mode)
    os.chown(open_to_all, owner, -1)
    user_line = f"_user = {user}\n" if user else ""
    box.write(f"[app]\n_enabled = True\n{user_line}{key} = {open_to_all}\n_command = sleep 1000\n")
    for verb in ("configtest", "start"):
        stderr = box.master(verb, expect=6).stderr
        assert (
            f"directory {open_to_all} can be written by others than {others}; chown root {open_to_all}"
            in stderr
        )
    assert list(open_to_all.iterdir()) == []


@pytest.mark.skipif(not ROOT, reason="only root is so careful")
def test_the_apps_own_user_may_own_its_directories(box: Box) -> None:
    own = box.directory / "own"
    own.mkdir()
    os.chown(own, NOBODY, -1)
    box.write(f"[app]\n_enabled = True\n_user = nobody\n_pidfile_dir = {own}\n_command = sleep 1000\n")
    assert "can be written" not in box.master("configtest", expect=None).stderr


def test_a_file_system_without_locks_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")  # flock(2): NFS wants a descriptor to write to

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(pidfiles.PidfileError, match=r"takes no lock .*; name a local --pidfile_dir"):
        pidfiles.Lock(f"{tmp_path}/kegbot_master.pid").acquire()


def test_what_a_program_keeps_behind_the_number_is_left_to_it(tmp_path: Path) -> None:
    """PostgreSQL's postmaster.pid has eight lines, by which it finds what a crash left of it."""
    path = tmp_path / "postmaster.pid"
    path.write_text("4242\n/var/lib/postgresql\n5432\n")
    assert pidfiles.read(str(path)) == 4242
    pidfiles.remove(str(path), 4242)
    path.write_text(f"{pidfiles.MAX_PID}\n/var/lib/postgresql\n")
    pidfiles.clear_away(str(path))
    assert path.exists()


@pytest.mark.parametrize("name", ["kegbot_master.pid", "kegbot_master.lock", "kegbot_master.sock"])
def test_no_app_may_write_the_launchers_own_files_not_even_one_that_is_not_enabled(
    box: Box, name: str
) -> None:
    box.write(f"[app]\n_command = sleep 1000\n_type = forking\n_pidfile = {box.run}/{name}\n")
    assert (
        f"[app] _pidfile: {box.run}/{name} is the launcher's own file"
        in box.master("configtest", expect=6).stderr
    )
    box.master("start", "app", expect=6)
