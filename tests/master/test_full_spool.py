"""What waits of an app's output while nobody takes it has a bound, which the kernel keeps."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import selectors
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kegmaster.applog import AppLog
from kegmaster.channel import Channel, Loss
from kegmaster.journal import Journal
from kegmaster.output import Output
from kegmaster.ramdisk import Ramdisks
from kegmaster.spool import Spool, bound_bytes, flaw

from .conftest import Box, eventually, living, plain_app, proc_status, wait_for_end

# Source: linux/prctl.h, linux/seccomp.h, asm-generic/unistd.h.
SET_DUMPABLE, SET_SECCOMP, SET_NO_NEW_PRIVS = 4, 22, 38
FILTER, KILL_PROCESS, ALLOW = 2, 0x80000000, 0x7FFF0000
FSOPEN = 430

SMALL = 256 << 10
MIB = 1 << 20

# Told to through a FIFO, tries to print so many MiB, and says what became of that. Then prints whatever it is told.
FLOOD = f"""#!{sys.executable} -IS
import os, sys
gate = os.open(sys.argv[1], os.O_RDWR)
os.write(1, b"the beginning\\n")
count = int(os.read(gate, 20))
line, printed, refused = b"x" * 99 + b"\\n", 0, set()
for _ in range(count << 4):
    try:
        printed += os.write(1, line * 656)
    except OSError as error:
        refused.add(error.errno)
with open(sys.argv[2] + ".new", "w") as file:
    print(printed, *refused, file=file)
os.rename(sys.argv[2] + ".new", sys.argv[2])
while True:
    os.write(1, os.read(gate, 4096))
"""


@pytest.fixture
def disks() -> Iterator[Ramdisks]:
    found = Ramdisks(SMALL)
    if why := flaw(found):
        pytest.skip(f"no ramdisks here: {why}")
    yield found
    found.close()


@pytest.fixture
def spool(disks: Ramdisks) -> Iterator[Spool]:
    made = Spool.make("app", None, disks)
    yield made
    made.close()


def fill(fd: int, text: bytes) -> int:
    """Print until there is no room; how many bytes were taken."""
    taken = 0
    while True:
        try:
            taken += os.write(fd, text)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return taken


def used_bytes(pid: int) -> int:
    return os.stat(f"/proc/{pid}/fd/1").st_blocks * 512


def told_by(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()] if path.exists() else []


@pytest.mark.parametrize(
    ("memory", "expected"),
    [(0, 32 * MIB), (512 * MIB, 32 * MIB), (4096 * MIB, 64 * MIB), (1 << 40, 256 * MIB)],
)
def test_the_bound_is_a_small_part_of_the_machines_memory(memory: int, expected: int) -> None:
    assert bound_bytes(memory) == expected


@pytest.mark.usefixtures("disks")
@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_an_app_that_floods_while_no_watchdog_reads_is_refused_and_goes_on_when_one_is_back(
    box: Box, how: str
) -> None:
    gate, told = box.directory / "gate", box.directory / "told"
    os.mkfifo(gate)
    box.write(
        f"[app]\n_enabled = True\n_command = {box.program('flood', FLOOD)} {gate} {told}\n_log_max_bytes = 0\n"
    )
    box.master("start")
    log, app, watchdog = box.log / "app.log", box.pid("app"), box.master_pid()
    eventually(lambda: log.exists() and log.read_bytes() == b"the beginning\n")
    disk = os.statvfs(f"/proc/{app}/fd/1")
    bound = disk.f_blocks * disk.f_frsize
    assert 0 < bound <= 256 * MIB
    both = (int(proc_status(watchdog)["PPid"]), watchdog)
    for pid in both:
        os.kill(pid, signal.SIGSTOP if how == "frozen" else signal.SIGKILL)
        if how == "killed":
            wait_for_end(pid)
    gate.write_text(f"{(bound >> 20) + 16}")
    printed, *refused = eventually(lambda: told_by(told))
    assert refused == [errno.ENOSPC]
    assert bound - MIB < printed <= bound
    assert used_bytes(app) <= bound
    assert living(app)
    if how == "frozen":
        for pid in both:
            os.kill(pid, signal.SIGCONT)
    else:
        box.master("start")
    eventually(lambda: b"no room for more" in log.read_bytes()[-4096:])
    gate.write_text("well again\n")
    eventually(lambda: log.read_bytes().endswith(b"well again\n"))
    text = log.read_bytes()
    # A watchdog that is killed may have written a batch, and not yet forgotten it.
    assert text.removeprefix(b"the beginning\n").startswith((b"the beginning\nxxx", b"xxx"))
    said = next(line for line in reversed(text.splitlines()) if line.startswith(b"kegmaster: "))
    assert b"nobody knows how much" in said
    assert f"{bound >> 20} MiB waited, and there was no room for more".encode() in said
    assert box.app("app")["output_lost"]["more"] is True
    assert box.pid("app") == app
    assert used_bytes(app) < MIB


def test_the_log_says_where_something_is_missing(tmp_path: Path, spool: Spool) -> None:
    log, losses = tmp_path / "log", Loss()
    channel = Channel(
        "app", spool, AppLog(str(log), cap=0, backups=0, uid=None, gid=None, complain=print),
        Journal(str(tmp_path / "journal")), lambda _, loss: losses.add(loss),
    )  # fmt: skip
    app = spool.open()
    taken = fill(app, b"0123456\n" * 11)
    for now in range(5):
        channel.forward(float(now))
        os.write(app, b"later\n")
    channel.forward(9.0)
    os.close(app)
    before, said, after = log.read_bytes().partition(b"kegmaster: output lost, nobody knows how much: ")
    assert taken == spool.bound == len(before)
    assert said
    assert after.endswith(b" there was no room for more\n" + b"later\n" * 5)
    assert (losses.size, losses.more) == (0, True)
    assert channel.due_s is None


def test_a_line_that_was_cut_is_ended(tmp_path: Path, spool: Spool) -> None:
    log = tmp_path / "log"
    channel = Channel(
        "app", spool, AppLog(str(log), cap=0, backups=0, uid=None, gid=None, complain=print),
        Journal(str(tmp_path / "journal")), lambda *_: None,
    )  # fmt: skip
    app = spool.open()
    fill(app, b"seventh")
    for now in range(3):
        channel.forward(float(now))
    os.write(app, b"later\n")
    channel.forward(9.0)
    os.close(app)
    lines = log.read_bytes().splitlines()
    assert len(lines[0]) == spool.bound
    assert lines[1].startswith(b"kegmaster: output lost")
    assert lines[2:] == [b"later"]


def test_what_just_fits_is_no_loss(spool: Spool) -> None:
    app = spool.open()
    os.write(app, b"x" * (spool.bound - 1))
    assert not spool.full()
    spool.consume(spool.look())
    assert spool.release()
    assert spool.cut is None
    assert os.write(app, b"x" * 8192) == 8192
    os.close(app)


def test_a_memfd_is_never_full() -> None:
    spool = Spool.make("app", None)
    os.write(spool.fd, bytes(4096))
    assert (spool.bound, spool.full()) == (0, False)
    spool.close()


def test_a_ramdisk_is_seen_nowhere_and_leaves_nothing_behind(disks: Ramdisks) -> None:
    mounts, namespace = Path("/proc/self/mountinfo").read_text(), os.readlink("/proc/self/ns/mnt")
    descriptors, user = set(os.listdir("/proc/self/fd")), os.readlink("/proc/self/ns/user")
    spools = [Spool.make("app", None, disks) for _ in range(20)]
    assert {os.readlink(f"/proc/self/fd/{spool.fd}") for spool in spools} == {
        "/memfd:kegmaster:app (deleted)"
    }
    assert len({os.fstat(spool.fd).st_dev for spool in spools}) == 20, "one that is full starves no other"
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert (os.readlink("/proc/self/ns/mnt"), os.readlink("/proc/self/ns/user")) == (namespace, user)
    for spool in spools:
        spool.close()
    disks.close()
    assert set(os.listdir("/proc/self/fd")) <= descriptors
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def said_by_child(look: Callable[[], str]) -> str:
    """What `look` says in a child, which may change for ever what it is."""
    tell, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(say, look().encode())
        finally:
            os._exit(0)
    os.close(say)
    said = os.read(tell, 4096).decode()
    os.close(tell)
    os.waitpid(pid, 0)
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_root_is_needed_where_users_may_have_namespaces() -> None:
    def look() -> str:
        os.setgid(65534)
        os.setuid(65534)
        ctypes.CDLL(None).prctl(SET_DUMPABLE, 1, 0, 0, 0)  # as after exec: /proc/self is the user's own again
        disks = Ramdisks(SMALL)
        if why := flaw(disks):
            return why
        spool = Spool.make("app", None, disks)
        return f"{fill(spool.open(), b'x' * 4096)} bytes of user {os.fstat(spool.fd).st_uid}"

    said = said_by_child(look)
    if said in {"Operation not permitted", "No space left on device"}:
        pytest.skip("users may have no namespaces here")
    assert said == f"{SMALL} bytes of user 65534"


def test_a_sandbox_that_ends_whoever_makes_a_file_system_does_not_end_us() -> None:
    def look() -> str:
        load, unless, answer = 0x20, 0x15, 0x06
        steps = [(load, 0, 0, 0), (unless, 0, 1, FSOPEN), (answer, 0, 0, KILL_PROCESS), (answer, 0, 0, ALLOW)]
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
        program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
        libc = ctypes.CDLL(None)
        libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if libc.prctl(SET_SECCOMP, FILTER, program, 0, 0):
            return "no filters"
        return flaw(Ramdisks(SMALL)) + flaw()

    said = said_by_child(look)
    if said == "no filters":
        pytest.skip("the kernel has no system call filters")
    assert said == "whoever tries to make a file system is ended"


def refuse(_: int) -> int:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def hang(_: int) -> int:
    select.select([], [], [], 60)
    return 0


@pytest.mark.parametrize(
    ("make", "why"),
    [(refuse, "Operation not permitted"), (hang, "timed out")],
)
def test_where_the_kernel_gives_no_ramdisks_apps_print_into_memfds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[int], int], why: str
) -> None:
    monkeypatch.setattr("kegmaster.ramdisk._make", make)
    monkeypatch.setattr("kegmaster.ramdisk._PATIENCE_S", 0.5)
    monkeypatch.setattr("kegmaster.ramdisk._enter_namespaces", lambda *_: None)
    journal = Journal(str(tmp_path / "journal"), verbose=True)
    app = plain_app(tmp_path)
    with selectors.DefaultSelector() as selector:
        output = Output(selector, journal)
        fd = output.open(app, None, None)
        assert os.readlink(f"/proc/self/fd/{fd}") == "/memfd:kegmaster:app (deleted)"
        assert os.fstatvfs(fd).f_blocks == 0
        os.write(fd, b"printed\n")
        os.close(fd)
        output.close("app")
        output.close_all()
    assert (tmp_path / "app.log").read_bytes() == b"printed\n"
    said = (tmp_path / "journal").read_text()
    assert "no spools with a bound" in said
    assert why in said
    assert "directly" not in said


def test_one_that_cannot_be_made_later_is_a_memfd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disks: Ramdisks
) -> None:
    journal = Journal(str(tmp_path / "journal"), verbose=True)
    app = plain_app(tmp_path)
    with selectors.DefaultSelector() as selector:
        output = Output(selector, journal)
        assert output._disks is not None
        output._disks.close()
        monkeypatch.setattr("kegmaster.ramdisk._make", refuse)
        monkeypatch.setattr("kegmaster.ramdisk._enter_namespaces", lambda *_: None)
        fd = output.open(app, None, None)
        assert os.fstatvfs(fd).f_blocks == 0
        os.close(fd)
        output.close("app")
        output.close_all()
    assert "its spool has no bound" in (tmp_path / "journal").read_text()
