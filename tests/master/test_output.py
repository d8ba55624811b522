"""What apps print: spooled in memory, written to logs line by line, rotated, and lost only visibly."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegmaster.applog import parts
from kegmaster.channel import LINE_BYTES, last_lines, ripe
from kegmaster.journal import Journal
from kegmaster.keys import size
from kegmaster.output import Output
from kegmaster.ramdisk import Ramdisks
from kegmaster.spool import Spool, flaw

from .conftest import Box, eventually, living, plain_app, proc_status, wait_for_end

COUNTER = f"""#!{sys.executable} -IS
import os, signal, sys, time
first, count = int(sys.argv[1]), int(sys.argv[2])
for start in range(first, count, 1000):
    os.write(1, b"".join(b"%d\\n" % n for n in range(start, min(start + 1000, count))))
while True:
    signal.pause()
"""

# Prints a number every 2 ms for as long as it lives.
TICKER = f"""#!{sys.executable} -IS
import os, time
n = 0
while True:
    os.write(1, b"%d\\n" % n)
    n += 1
    time.sleep(0.002)
"""

# Prints whatever comes through the FIFO it is given.
ECHO = f"""#!{sys.executable} -IS
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
while True:
    os.write(1, os.read(fd, 65536))
"""


class Speaker:
    """An app that prints what it is told to."""

    def __init__(self, box: Box, keys: str = "") -> None:
        self.fifo = box.directory / "say"
        os.mkfifo(self.fifo)
        box.write(f"[app]\n_enabled = True\n_command = {box.program('echo', ECHO)} {self.fifo}\n{keys}\n")
        self.log = box.log / "app.log"

    def say(self, text: bytes) -> None:
        fd = os.open(self.fifo, os.O_RDWR)
        while text:
            text = text[os.write(fd, text[:4096]) :]
        os.close(fd)


def logs_of(box: Box, name: str = "app") -> list[Path]:
    """The log and its backups, oldest first."""
    path = box.log / f"{name}.log"
    backups = sorted(box.log.glob(f"{name}.log.*"), key=lambda backup: int(backup.suffix[1:]), reverse=True)
    return [*backups, *([path] if path.exists() else [])]


def printed(box: Box) -> list[bytes]:
    while True:
        try:
            return b"".join(path.read_bytes() for path in logs_of(box)).splitlines()
        except FileNotFoundError:  # rotated since it was looked for
            continue


def last_number(path: Path) -> int:
    lines = path.read_bytes().splitlines() if path.exists() else []
    return int(lines[-1]) if lines else -1


# Deciding what goes where


@pytest.mark.parametrize(
    ("text", "size", "cap", "in_line", "expected"),
    [
        (b"a\nb\n", 0, 0, False, [b"a\nb\n"]),
        (b"a\nb\n", 0, 4, False, [b"a\nb\n"]),
        (b"a\nb\n", 0, 3, False, [b"a\n", b"b\n"]),
        (b"a\nb\n", 3, 4, False, [b"", b"a\nb\n"]),
        (b"a\nb\n", 9, 4, False, [b"", b"a\nb\n"]),
        (b"a\nb\n", 2, 4, False, [b"a\n", b"b\n"]),
        (b"long\nb\n", 0, 3, False, [b"long\n", b"b\n"]),
        (b"a\nlong\nb", 0, 3, False, [b"a\n", b"long\n", b"b"]),
        (b"est\nb\n", 9, 4, True, [b"est\n", b"b\n"]),
        (b"rest", 9, 4, True, [b"rest"]),
        (b"", 9, 4, False, []),
    ],
)
def test_logs_are_divided_between_lines(
    text: bytes, size: int, cap: int, in_line: bool, expected: list[bytes]
) -> None:
    assert parts(text, size, cap, in_line=in_line) == expected


def test_a_line_without_an_end_is_held_back_unless_it_is_asked_for_or_long() -> None:
    assert ripe(b"one\ntwo", all_of_it=False) == 4
    assert ripe(b"one\ntwo", all_of_it=True) == 7
    assert ripe(b"two", all_of_it=False) == 0
    assert ripe(b"x" * LINE_BYTES, all_of_it=False) == 0
    assert ripe(b"x" * (LINE_BYTES + 1), all_of_it=False) == LINE_BYTES + 1


def test_last_lines_are_few_short_and_harmless() -> None:
    assert last_lines(b"1\n2\n3\n\n4\n5\n6\n") == ("2", "3", "4", "5", "6")
    assert last_lines(b"\x1b[31mred\xff" + b"x" * 1000)[0].startswith(" [31mred")
    assert len(last_lines(b"x" * 1000)[0]) == 200


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("500k", 512000), ("1MB", 1 << 20), ("10M", 10 << 20)]
)
def test_sizes_may_have_units(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1.5M", "MB", "1T"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        size(text)


# Real apps


def test_no_line_is_lost_or_torn_by_rotation(box: Box) -> None:
    box.write(
        f"""
        [app]
        _enabled = True
        _command = {box.program("counter", COUNTER)} 0 200000
        _log_max_bytes = 100k
        _log_backups = 50
        """
    )
    box.master("start")
    eventually(lambda: last_number(box.log / "app.log") == 199999)
    assert printed(box) == [b"%d" % number for number in range(200000)]
    assert len(logs_of(box)) > 10
    assert all(path.stat().st_size <= 100 << 10 for path in logs_of(box))
    assert all(path.read_bytes().endswith(b"\n") for path in logs_of(box))
    assert box.app("app")["output_lost"] is None


def test_only_so_many_old_logs_are_kept(box: Box) -> None:
    box.write(
        f"""
        [app]
        _enabled = True
        _command = {box.program("counter", COUNTER)} 0 200000
        _log_max_bytes = 100k
        _log_backups = 2
        """
    )
    box.master("start")
    eventually(lambda: last_number(box.log / "app.log") == 199999)
    assert [path.name for path in logs_of(box)] == ["app.log.2", "app.log.1", "app.log"]
    lines = printed(box)
    assert lines == [b"%d" % number for number in range(200000 - len(lines), 200000)]


@pytest.mark.parametrize("how", ["rename", "delete", "truncate"])
def test_a_log_that_was_moved_deleted_or_emptied_is_begun_anew(box: Box, how: str) -> None:
    box.write(f"[app]\n_enabled = True\n_command = {box.program('ticker', TICKER)}\n")
    box.master("start")
    path, aside = box.log / "app.log", box.log / "aside"
    eventually(lambda: last_number(path) > 20)
    if how == "rename":
        path.rename(aside)
    elif how == "delete":
        path.unlink()
    else:
        os.truncate(path, 0)
    eventually(lambda: path.exists() and path.read_bytes().count(b"\n") > 20)
    pid = box.pid("app")
    numbers = [int(line) for line in path.read_bytes().splitlines()[:-1]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    if how == "rename":
        assert int(aside.read_bytes().splitlines()[-1]) == numbers[0] - 1
    assert living(pid)
    assert box.app("app")["restarts"] == 0


@pytest.fixture
def small_disk(box: Box) -> Iterator[Path]:
    """A file system of 64 KiB that becomes the apps' log directory."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    box.log.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", str(box.log)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("cannot mount here")
    try:
        yield box.log
    finally:
        subprocess.run(["umount", "-l", str(box.log)], check=True)


def test_a_full_disk_loses_output_visibly_blocks_nobody_and_heals(box: Box, small_disk: Path) -> None:
    speaker = Speaker(box, "_log_max_bytes = 0")
    (small_disk / "ballast").write_bytes(b"x" * (40 << 10))
    box.master("start")
    lines = [b"%d\n" % number for number in range(100000)]  # 575 KiB: more than is kept
    speaker.say(b"".join(lines))
    row = eventually(lambda: (row := box.app("app"))["output_lost"] and row)
    assert row["state"] == "running"
    assert row["output_lost"]["bytes"] > 0
    assert "lines of output lost: No space left on device" in row["reason"]
    assert "lines of output lost: No space left on device" in box.master("status").stdout
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    eventually(lambda: speaker.log.read_bytes().endswith(b"99999\n"))
    row = box.app("app")
    assert row["reason"] == ""
    found = speaker.log.read_bytes().splitlines(keepends=True)
    said = [line for line in found if line.startswith(b"kegmaster: ")]
    assert said[-1].endswith(b" lines of output lost: No space left on device\n")
    assert sum(int(line.split()[1]) for line in said) == row["output_lost"]["lines"]
    known = set(lines)
    kept = [line for line in found if line in known]
    assert len(kept) + row["output_lost"]["lines"] >= len(lines)
    # What was kept while nothing could be written: the newest lines, whole and in order.
    newest = kept[-20000:]
    assert newest == lines[-20000:]
    speaker.say(b"well again\n")
    eventually(lambda: speaker.log.read_bytes().endswith(b"well again\n"))


def test_a_log_directory_that_is_gone_loses_nothing_that_fits(box: Box) -> None:
    speaker = Speaker(box)
    box.master("start")
    aside = box.directory / "aside"
    box.log.rename(aside)
    speaker.say(b"while it is gone\n")
    eventually(lambda: "output waits: No such file or directory" in box.app("app")["reason"])
    aside.rename(box.log)
    eventually(lambda: b"while it is gone\n" in speaker.log.read_bytes())
    assert box.app("app")["output_lost"] is None
    assert box.app("app")["reason"] == ""


def test_no_line_is_missing_after_kill_9_of_watchdog_and_keeper(box: Box) -> None:
    box.write(f"[app]\n_enabled = True\n_command = {box.program('ticker', TICKER)}\n_log_max_bytes = 0\n")
    box.master("start")
    path, app = box.log / "app.log", box.pid("app")
    eventually(lambda: last_number(path) > 50)
    watchdog = box.master_pid()
    keeper = int(proc_status(watchdog)["PPid"])
    for pid in (keeper, watchdog):
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    box.master("start")
    assert box.pid("app") == app
    before = last_number(path)
    eventually(lambda: last_number(path) > before + 100)
    numbers = [int(line) for line in path.read_bytes().splitlines()]
    assert set(numbers) >= set(range(max(numbers) + 1)), "some may be there twice, none may be missing"


def test_a_watchdog_that_comes_back_goes_on_with_the_output(box: Box) -> None:
    box.write(f"[app]\n_enabled = True\n_command = {box.program('ticker', TICKER)}\n_log_max_bytes = 0\n")
    box.master("start")
    path = box.log / "app.log"
    for _ in range(5):
        watchdog, before = box.master_pid(), last_number(path)
        os.kill(watchdog, signal.SIGKILL)
        wait_for_end(watchdog)
        eventually(lambda before=before: last_number(path) > before + 100)  # type: ignore[misc]
    numbers = [int(line) for line in path.read_bytes().splitlines()]
    assert set(numbers) >= set(range(max(numbers) + 1))


def test_no_line_is_missing_after_a_reexec(box: Box) -> None:
    box.write(f"[app]\n_enabled = True\n_command = {box.program('ticker', TICKER)}\n_log_max_bytes = 0\n")
    box.master("start")
    path, app = box.log / "app.log", box.pid("app")
    for _ in range(3):
        before = last_number(path)
        box.master("reexec")
        eventually(lambda before=before: last_number(path) > before + 100)  # type: ignore[misc]
    assert box.pid("app") == app
    numbers = [int(line) for line in path.read_bytes().splitlines()]
    assert set(numbers) >= set(range(max(numbers) + 1))


def test_output_without_a_newline_and_of_any_bytes_gets_into_the_log_as_it_is(box: Box) -> None:
    speaker = Speaker(box)
    box.master("start")
    speaker.say(b"Password: ")
    eventually(lambda: speaker.log.read_bytes() == b"Password: ")
    everything = bytes(range(256)) * 40
    speaker.say(everything)
    eventually(lambda: speaker.log.read_bytes() == b"Password: " + everything)
    long = b"x" * (LINE_BYTES * 2)
    speaker.say(long)
    eventually(lambda: speaker.log.read_bytes() == b"Password: " + everything + long)


def test_the_last_words_of_a_dead_app_are_in_its_log_and_in_status(box: Box) -> None:
    box.write(
        """
        [app]
        _enabled = True
        _restart = no
        _command = sh -c 'seq 10; sleep 0.5; echo no paper; printf "no \\033ink"; exit 3'
        """
    )
    box.master("start")
    row = eventually(lambda: (row := box.app("app"))["last_exit"] and row)
    assert row["reason"].endswith(": no  ink")
    assert row["last_output"] == ["8", "9", "10", "no paper", "no  ink"]
    assert (box.log / "app.log").read_bytes().endswith(b"10\nno paper\nno \x1bink")


def test_a_silent_app_wakes_nobody(box: Box) -> None:
    speaker = Speaker(box)
    box.master("start")
    watchdog = box.master_pid()
    speaker.say(b"one\n")
    eventually(lambda: speaker.log.exists() and speaker.log.read_bytes() == b"one\n")

    def switches() -> str:
        return proc_status(watchdog)["voluntary_ctxt_switches"]

    # Once it has gone to sleep, as `status` shows, it stays asleep: for as long as another process needs to live.
    before = eventually(
        lambda: (
            (seen := switches())
            and not subprocess.run(["sleep", "0.3"], check=True).returncode
            and seen == switches()
            and seen
        )
    )
    subprocess.run(["sleep", "2"], check=True)
    assert switches() == before
    speaker.say(b"two\n")
    eventually(lambda: speaker.log.read_bytes() == b"one\ntwo\n")
    assert switches() != before


@pytest.mark.parametrize("what", ["symlink", "fifo", "hard link"])
def test_a_log_that_is_not_our_own_plain_file_is_refused(box: Box, what: str) -> None:
    speaker = Speaker(box)
    box.master("start")
    precious = box.directory / "precious"
    precious.write_bytes(b"")
    speaker.log.unlink()
    if what == "symlink":
        speaker.log.symlink_to(precious)
    elif what == "fifo":
        os.mkfifo(speaker.log)
    else:
        os.link(precious, speaker.log)
    speaker.say(b"secret\n")
    wrong = {"symlink": "it is a symlink", "fifo": "it is no plain file", "hard link": "it is a hard link"}[
        what
    ]
    eventually(lambda: f"output waits: {wrong}" in box.app("app")["reason"])
    assert precious.read_bytes() == b""
    refused = box.master("restart", expect=None)
    assert refused.returncode != 0
    assert "log" in refused.stdout + refused.stderr
    speaker.log.unlink()
    box.master("start")
    eventually(lambda: speaker.log.exists() and speaker.log.read_bytes() == b"secret\n")


def test_logs_follows_through_rotation_without_loss(box: Box) -> None:
    speaker = Speaker(box, "_log_max_bytes = 2k\n_log_backups = 50")
    box.master("start")
    speaker.say(b"begin\n")
    eventually(lambda: speaker.log.read_bytes() == b"begin\n")
    following = subprocess.Popen(box.command("logs", "app", "-f", "-n", "1"), stdout=subprocess.PIPE)
    assert following.stdout is not None
    try:
        assert following.stdout.readline() == b"begin\n"
        for start in range(0, 5000, 500):
            speaker.say(b"".join(b"%d\n" % number for number in range(start, start + 500)))
            last = b"%d" % (start + 499)
            eventually(lambda last=last: printed(box)[-1:] == [last])  # type: ignore[misc]
        found = [following.stdout.readline() for _ in range(5000)]
    finally:
        following.kill()
        following.communicate()
    assert found == [b"%d\n" % number for number in range(5000)]
    assert len(logs_of(box)) > 10


def test_a_flood_delays_no_other_app_and_its_memory_is_bounded(box: Box) -> None:
    box.write(
        """
        [flood]
        _enabled = True
        _command = sh -c 'while :; do yes the same line again and again; done'
        [quiet]
        _enabled = True
        _command = sh -c 'echo here; exec sleep 1000'
        """
    )
    box.master("start")
    eventually(lambda: (box.log / "quiet.log").read_bytes() == b"here\n")
    eventually(lambda: (box.log / "flood.log.5").exists())
    spool = os.stat(f"/proc/{box.pid('flood')}/fd/1")
    eventually(lambda: os.stat(f"/proc/{box.pid('flood')}/fd/1").st_size > spool.st_size + (16 << 20))
    assert box.app("flood")["state"] == box.app("quiet")["state"] == "running"
    assert box.master("stop", "quiet").stdout == "quiet: stopped\n"
    for path in logs_of(box, "flood")[:-1]:
        assert path.stat().st_size <= 1 << 20
        assert path.read_bytes().endswith(b"\n")


def test_another_cap_is_heeded_after_a_reload_and_restarts_nothing(box: Box) -> None:
    speaker = Speaker(box, "_log_max_bytes = 0")
    box.master("start")
    pid = box.pid("app")
    box.config.write_text(box.config.read_text().replace("_log_max_bytes = 0", "_log_max_bytes = 20"))
    assert "app: no restart needed" in box.master("reload").stdout
    speaker.say(b"".join(b"line %d\n" % number for number in range(10)))
    eventually(lambda: (box.log / "app.log.3").exists())
    assert box.pid("app") == pid


def test_what_a_dead_app_printed_last_is_saved_while_a_child_of_it_holds_it(box: Box) -> None:
    gate = box.directory / "gate"
    os.mkfifo(gate)
    box.write(
        f"[app]\n_enabled = True\n_command = sh -c 'sleep 1000 & read x <{gate}; echo farewell; exit 3'\n_restart = no\n"
    )
    box.master("start")
    app, watchdog = box.pid("app"), box.master_pid()
    keeper = int(proc_status(watchdog)["PPid"])
    for pid in (keeper, watchdog):
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    gate.write_text("\n")
    wait_for_end(app)
    box.master("start", expect=None)
    eventually(lambda: (box.log / "app.log").read_bytes() == b"farewell\n")


def test_a_program_may_open_dev_stdout_and_even_truncate_it(box: Box) -> None:
    box.write(
        """
        [app]
        _enabled = True
        _command = sh -c 'echo one; sleep 0.5; echo two >>/dev/stdout; sleep 0.5; echo three >/dev/stdout; exec sleep 1000'
        """
    )
    box.master("start")
    eventually(lambda: (box.log / "app.log").read_bytes() == b"one\ntwo\nthree\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an app as another user")
def test_an_app_of_another_user_may_open_dev_stdout_and_its_log_is_its_own(box: Box) -> None:
    box.write(
        """
        [app]
        _enabled = True
        _user = nobody
        _command = sh -c 'echo one; echo two >>/dev/stdout; exec sleep 1000'
        """
    )
    box.master("start")
    path = box.log / "app.log"
    eventually(lambda: path.read_bytes() == b"one\ntwo\n")
    assert path.owner() == "nobody"
    assert os.stat(f"/proc/{box.pid('app')}/fd/1").st_mode & 0o777 == 0o600


def test_without_spools_apps_print_to_their_logs_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kegmaster.output.flaw", lambda *_: "refused")
    journal = Journal(str(tmp_path / "journal"), verbose=True)
    app = plain_app(tmp_path)
    with selectors.DefaultSelector() as selector:
        output = Output(selector, journal)
        fd = output.open(app, None, None)
        assert os.readlink(f"/proc/self/fd/{fd}") == app.logfile
        assert os.get_blocking(fd)
        os.close(fd)
        assert output.drain("app") == ()
        output.close("app")
        assert output.due_s is None
    assert "directly" in (tmp_path / "journal").read_text()


def test_the_masters_own_log_is_begun_anew_when_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kegmaster.journal.CAP_BYTES", 100)
    journal = Journal(str(tmp_path / "log"))
    for number in range(20):
        journal.info(f"line {number}")
    lines = ((tmp_path / "log.1").read_text() + (tmp_path / "log").read_text()).splitlines()
    assert [line.split()[-1] for line in lines] == [str(number) for number in range(20 - len(lines), 20)]
    assert all(path.stat().st_size < 200 for path in tmp_path.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1"]


@pytest.mark.parametrize("bounded", [True, False])
def test_a_spool_gives_back_the_memory_of_what_was_consumed_and_is_found_where_it_was_left(
    bounded: bool,
) -> None:
    disks = Ramdisks(1 << 20)
    if bounded and (why := flaw(disks)):
        pytest.skip(f"no ramdisks here: {why}")
    spool = Spool.make("app", None, disks if bounded else None)
    disks.close()
    fd = spool.open()
    try:
        for number in range(100):
            os.write(fd, b"%d" % number * 50_000)
            spool.look()
            spool.consume(spool.waiting - 5)
            spool.release()
        assert os.fstat(fd).st_blocks * 512 <= 2 * os.sysconf("SC_PAGESIZE")
        with_stdout = subprocess.Popen(["sleep", "1000"], stdout=fd)
        found = Spool.find("app", with_stdout.pid)
        with_stdout.kill()
        with_stdout.wait()
        assert found is not None
        assert (found.position, found.look(), found.read(100)) == (spool.position, 5, b"99999")
        found.close()
    finally:
        os.close(fd)
        spool.close()


def test_a_file_of_any_size_in_place_of_output_holds_nobody_up(box: Box) -> None:
    box.write(
        f"""
        [app]
        _enabled = True
        _command = {sys.executable} -ISc 'import os; os.truncate("/dev/stdout", 1 << 50); os.write(2, b"end"); __import__("signal").pause()'
        """
    )
    box.master("start", expect=None)
    row = eventually(lambda: (row := box.app("app"))["output_lost"] and row)
    assert row["output_lost"]["bytes"] > 1 << 49


def test_a_log_that_the_app_writes_itself_is_never_moved_away(box: Box) -> None:
    program = box.program(
        "own.py",
        f"#!{sys.executable} -IS\n"
        "import os, signal, sys\n"
        "flags = dict(word[2:].split('=', 1) for word in sys.argv[1:] if '=' in word)\n"
        "log = os.open(flags['logfile'], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
        "os.write(log, b'x' * 5000 + b'\\n')\n"
        "print('from the starter', flush=True)\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "open(flags['pidfile'] + '.new', 'w').write(f'{os.getpid()}\\n')\n"
        "os.rename(flags['pidfile'] + '.new', flags['pidfile'])\n"
        "while True: signal.pause()\n",
    )
    box.write(f"[app]\n_enabled = True\n_program_name = {program}\n_log_max_bytes = 1k\n")
    box.master("start")
    eventually(lambda: b"from the starter\n" in (box.log / "app.log").read_bytes())
    assert [path.name for path in logs_of(box)] == ["app.log"]
