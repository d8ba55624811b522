"""The pidfile: who holds it, who is refused and why, and what may happen to the file meanwhile."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import lockfile
import pytest

from kegapps.daemon.pidfile import Pidfile


def test_it_is_locked_from_acquire_to_release(tmp_path: Path) -> None:
    mine, other = Pidfile(str(tmp_path / "p")), Pidfile(str(tmp_path / "p"))
    assert not mine.is_locked()
    mine.acquire()
    assert mine.i_am_locking()
    assert mine.is_locked()
    assert other.is_locked()
    assert not other.i_am_locking()
    assert (tmp_path / "p").read_text() == f"{os.getpid()}\n"
    mine.release()
    assert not mine.is_locked()
    assert not (tmp_path / "p").exists()


def test_it_is_a_context_manager_and_knows_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Pidfile("p") as lock:
        assert lock.path == str(tmp_path / "p")
        assert lock.is_locked()
    assert not lock.is_locked()


def test_what_is_refused_and_with_which_exception(tmp_path: Path) -> None:
    mine, other = Pidfile(str(tmp_path / "p")), Pidfile(str(tmp_path / "p"))
    with pytest.raises(lockfile.NotLocked):
        mine.release()
    with mine:
        with pytest.raises(lockfile.AlreadyLocked):
            mine.acquire()
        for timeout_s in (0, -1):
            with pytest.raises(
                lockfile.AlreadyLocked, match=f"locked by process {os.getpid()}, which is running"
            ):
                other.acquire(timeout_s)
        with pytest.raises(lockfile.LockTimeout):
            other.acquire(timeout=0.15)
        with pytest.raises(lockfile.NotMyLock):
            other.release()
        with pytest.raises(lockfile.NotMyLock):
            other.break_lock()
        assert mine.is_locked()


def test_a_lock_nobody_holds_can_be_broken(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("4711\n")
    Pidfile(str(tmp_path / "p")).break_lock()
    assert not (tmp_path / "p").exists()


def a_link(path: Path) -> None:
    (path.parent / "target").write_text("keep me")
    path.symlink_to("target")


def a_hard_link(path: Path) -> None:
    (path.parent / "target").write_text("")
    path.hardlink_to(path.parent / "target")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def a_long_file(path: Path) -> None:
    path.write_text("x" * 257)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_link, "is a symbolic link; remove it or name another path"),
        (lambda path: path.symlink_to("missing"), "is a symbolic link"),
        (os.mkfifo, "is not a regular file"),
        (a_socket, "is not a regular file"),
        (Path.mkdir, "is a directory; name a file"),
        (a_hard_link, "has other names"),
        (a_long_file, "holds 257 bytes and so is no pidfile"),
    ],
)
def test_what_cannot_be_a_pidfile_is_refused_untouched(
    make: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "p"
    make(path)
    before = path.lstat()
    with pytest.raises(lockfile.LockFailed, match=reason) as caught:
        Pidfile(str(path)).acquire(0)
    assert str(caught.value).startswith(f"{path}: ")
    after = path.lstat()
    assert (after.st_ino, after.st_size, after.st_mtime) == (before.st_ino, before.st_size, before.st_mtime)
    assert not (tmp_path / "missing").exists()
    if make is a_link:
        assert (tmp_path / "target").read_text() == "keep me"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(lockfile.LockFailed, match=f"there is no directory {tmp_path}/none"):
        Pidfile(str(tmp_path / "none" / "p")).acquire(0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_of_others_is_refused() -> None:
    with pytest.raises(lockfile.LockFailed, match="name a path in a directory of yours"):
        Pidfile("/etc/kegapps-test.pid").acquire(0)


def test_the_holder_is_named_by_the_kernel_not_by_the_number(tmp_path: Path) -> None:
    with Pidfile(str(tmp_path / "p")):
        (tmp_path / "p").write_text("1\n")
        with pytest.raises(lockfile.AlreadyLocked, match=f"process {os.getpid()},"):
            Pidfile(str(tmp_path / "p")).acquire(0)


def test_only_our_own_file_is_removed(tmp_path: Path) -> None:
    lock = Pidfile(str(tmp_path / "p"))
    lock.acquire()
    (tmp_path / "p").unlink()
    (tmp_path / "p").write_text("of somebody else")
    lock.release()
    assert (tmp_path / "p").read_text() == "of somebody else"


def test_a_removed_file_does_not_disturb_the_release(tmp_path: Path) -> None:
    lock = Pidfile(str(tmp_path / "p"))
    lock.acquire()
    (tmp_path / "p").unlink()
    lock.release()
    assert not lock.is_locked()


@pytest.mark.parametrize("timeout_s", [None, 20.0])
def test_who_waits_gets_the_lock_on_the_file_that_bears_the_name(
    timeout_s: float | None, tmp_path: Path
) -> None:
    first, second = Pidfile(str(tmp_path / "p")), Pidfile(str(tmp_path / "p"), timeout=None)
    first.acquire()
    waiter = threading.Thread(target=second.acquire, args=(timeout_s,))
    waiter.start()
    first.release()
    waiter.join(20)
    assert second.i_am_locking()
    assert second.is_locked()
    assert Pidfile(str(tmp_path / "p")).is_locked()
    second.release()


def test_a_probe_at_the_same_instant_does_not_make_a_start_fail(tmp_path: Path) -> None:
    path, done = str(tmp_path / "p"), threading.Event()
    (tmp_path / "p").touch()

    def probe() -> None:
        while not done.is_set():
            Pidfile(path).is_locked()

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        for _ in range(100):
            Pidfile(path).break_lock()
    finally:
        done.set()
        prober.join()


def test_a_forked_child_holds_nothing_and_removes_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from kegapps.daemon.pidfile import Pidfile\n"
        "lock = Pidfile(sys.argv[1]); lock.acquire()\n"
        "if not os.fork():\n"
        "    lock.__exit__(None, None, None); os._exit(lock.i_am_locking())\n"
        "assert os.wait()[1] == 0 and os.path.exists(lock.path) and Pidfile(lock.path).is_locked()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "p")], check=True)


def test_a_directory_that_takes_no_files_is_not_said_to_be_missing() -> None:
    with pytest.raises(lockfile.LockFailed, match="cannot be written") as told:
        Pidfile("/proc/kegbot.pid").acquire()
    assert "there is no directory" not in str(told.value)
