"""rfid_daemon.py as a process, beside readers emulated at the byte level and a core."""

from __future__ import annotations

import array
import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import pytest

from kegapps.core.ledger import Ledger
from kegapps.kegnet.events import ALL_TAPS, MeterUpdate, TokenAuthEvent
from tests.apps.core.bar import FLOW0
from tests.apps.core.programs import App, CoreProgram, furnish
from tests.apps.kegboard.programs import SCRIPTS, Bar, Program, RecordingCore
from tests.apps.rfid.readers import ALICES, BOBS, id12, rdm6300, typed

FAKE = Path(__file__).with_name("fake")
DEADLINE_S = 20.0
SHORT = "--rfid_hold_off_s=0.1"


class Desk:
    """A folder, a core that writes down what it hears, and what of the tests has to end."""

    def __init__(self, folder: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.stack = stack
        self.monkeypatch = monkeypatch
        self.core = RecordingCore()
        stack.callback(lambda: self.core.close())  # the one that there is by then

    def daemon(self, *flags: str) -> Program:
        program = Program("rfid_daemon.py", f"--kb_core_addr={self.core.address}", *flags, cwd=self.folder)
        self.stack.callback(program.kill)
        program.line("ready: ")
        return program

    def core_comes_back(self) -> None:
        """Another core, in the place of the one that was closed."""
        self.core = RecordingCore(self.core.hub.address[1])

    def heard(self) -> list[str]:
        """Which tokens came (+) and went (-), as the core was told."""
        told = [event for event in self.core.events if isinstance(event, TokenAuthEvent)]
        return [f"{'+' if event.status == 'added' else '-'}{event.token_value}" for event in told]

    def until(self, *heard: str) -> None:
        self.core.until(lambda: len(self.heard()) >= len(heard))
        assert self.heard() == list(heard)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(tmp_path, stack, monkeypatch)


class SerialLine:
    """A serial reader at `path`: plugged, sending, unplugged."""

    flags = ("--rfid_device_type=serial", "--rfid_device_path=reader")

    def __init__(self, desk: Desk) -> None:
        self.path = desk.folder / "reader"
        self._fds: tuple[int, ...] = ()
        desk.stack.callback(self.unplug)

    def plug(self) -> None:
        master, slave = os.openpty()
        tty.setraw(slave)
        self._fds = (master, slave)
        self.path.symlink_to(os.ttyname(slave))

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fds[0], data) :]

    def unplug(self) -> None:
        self.path.unlink(missing_ok=True)
        for fd in self._fds:
            os.close(fd)
        self._fds = ()

    def show(self, token: str) -> None:
        self.send(id12(token))


class Typing:
    """A wedge at `path`."""

    flags = ("--rfid_device_type=wedge", "--rfid_device_path=reader")

    def __init__(self, desk: Desk) -> None:
        self.path = desk.folder / "reader"
        self._fd = -1
        desk.stack.callback(self.unplug)

    def plug(self) -> None:
        os.mkfifo(self.path)

    def send(self, data: bytes) -> None:
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_WRONLY)  # waits for somebody who reads
        while data:
            data = data[os.write(self._fd, data) :]

    def unplug(self) -> None:
        self.path.unlink(missing_ok=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def show(self, token: str) -> None:
        self.send(typed(token))


class Phidgets:
    """The fake library's bus, with one reader for it."""

    flags = ("--rfid_device_type=phidget", "--toggle_output")

    def __init__(self, desk: Desk) -> None:
        self.log = desk.folder / "phidgets.log"
        self.log.touch()
        bus = desk.folder / "phidgets"
        os.mkfifo(bus)
        self._fd = os.open(bus, os.O_RDWR)
        desk.stack.callback(os.close, self._fd)
        desk.monkeypatch.setenv("FAKE_PHIDGETS", str(bus))
        desk.monkeypatch.setenv("FAKE_PHIDGETS_LOG", str(self.log))
        desk.monkeypatch.setenv("PYTHONPATH", str(FAKE))

    def say(self, text: str) -> None:
        os.write(self._fd, f"{text}\n".encode())

    def plug(self) -> None:
        self.say("plug 4711")

    def unplug(self) -> None:
        self.say("unplug")

    def show(self, token: str) -> None:
        self.say(f"tag {token} 1")


Kind = type[SerialLine] | type[Typing] | type[Phidgets]
every_kind = pytest.mark.parametrize("kind", [SerialLine, Typing, Phidgets])


@every_kind
def test_a_reader_may_come_late_and_go_and_come_back(kind: Kind, desk: Desk) -> None:
    reader = kind(desk)
    daemon = desk.daemon(*reader.flags, "--rfid_hold_off_s=60")
    reader.plug()
    daemon.line("status: reading tags at")
    reader.show(ALICES)
    desk.until(f"+{ALICES}")
    reader.unplug()
    daemon.line("status: waiting for")
    desk.until(f"+{ALICES}", f"-{ALICES}")
    reader.plug()
    daemon.line("status: reading tags at")
    reader.show(BOBS)
    desk.until(f"+{ALICES}", f"-{ALICES}", f"+{BOBS}")
    assert daemon.end() == 0
    desk.until(f"+{ALICES}", f"-{ALICES}", f"+{BOBS}", f"-{BOBS}")


@pytest.mark.parametrize("kind", [SerialLine, Typing])
def test_one_swipe_is_one_added_and_one_removed_and_another_tag_may_follow_at_once(
    kind: type[SerialLine] | type[Typing], desk: Desk
) -> None:
    reader = kind(desk)
    reader.plug()
    desk.daemon(*reader.flags, SHORT)
    reader.show(ALICES)
    desk.until(f"+{ALICES}", f"-{ALICES}")
    reader.show(ALICES)
    reader.show(BOBS)
    desk.until(*[f"+{ALICES}", f"-{ALICES}"] * 2, f"+{BOBS}", f"-{BOBS}")


def test_a_token_is_told_as_kegbot_does(desk: Desk) -> None:
    reader = SerialLine(desk)
    reader.plug()
    desk.daemon(*reader.flags)
    reader.show(ALICES)
    desk.until(f"+{ALICES}")
    assert desk.core.events == [
        TokenAuthEvent(tap_name=ALL_TAPS, auth_device_name="core.rfid", token_value="0415ab96c3", status="added")
    ]  # fmt: skip


def test_a_tag_that_lies_there_and_is_repeated_is_told_once(desk: Desk) -> None:
    reader = SerialLine(desk)
    reader.plug()
    desk.daemon(*reader.flags, "--rfid_hold_off_s=0.5")
    for _ in range(100):
        reader.send(rdm6300(ALICES))
        desk.core.loop.run_once(0.01)
    desk.until(f"+{ALICES}", f"-{ALICES}")


def test_wrong_checksums_and_floods_of_garbage_are_ignored_said_and_cost_no_memory(desk: Desk) -> None:
    reader = SerialLine(desk)
    reader.plug()
    daemon = desk.daemon(*reader.flags, SHORT)
    reader.send(id12(ALICES).replace(b"EF", b"EE"))
    assert "1 wrong checksums, 0 broken frames, 0 bytes of garbage" in daemon.line("noise on the line")
    before_kb = rss_kb(daemon)
    for garbage in (b"\0", b"\x02", b"0", b"\xff"):
        reader.send(garbage * 50_000)
    reader.show(BOBS)
    desk.until(f"+{BOBS}", f"-{BOBS}")
    assert rss_kb(daemon) - before_kb < 1000


def rss_kb(program: Program) -> int:
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_a_wedge_that_types_decimal_numbers_is_understood_if_one_says_so(desk: Desk) -> None:
    reader = Typing(desk)
    reader.plug()
    daemon = desk.daemon(*reader.flags, SHORT, "--wedge_format=8h10d")
    reader.show(ALICES)
    assert "1 typed numbers were not --wedge_format=8h10d, such as 0415ab96c3" in daemon.line("typed")
    reader.show("0363566787")
    desk.until("+15ab96c3", "-15ab96c3")


def test_the_outputs_of_a_phidget_show_that_a_tag_lies_there(desk: Desk) -> None:
    reader = Phidgets(desk)
    reader.plug()
    daemon = desk.daemon(*reader.flags, SHORT)
    desk.core.until(lambda: reader.log.read_text().count("False") == 3)  # all are attached
    reader.show(ALICES)
    desk.until(f"+{ALICES}")
    reader.say(f"lost {ALICES} 1")
    desk.until(f"+{ALICES}", f"-{ALICES}")
    assert daemon.end() == 0
    did = reader.log.read_text().splitlines()
    assert did[0] == "antenna True"
    for output in range(3):
        states = [line.split()[-1] for line in did if line.startswith(f"output {output} of 4711 ")]
        assert states[:2] == ["False", "True"]
        assert set(states[2:]) == {"False"}


def test_a_phidgets_tag_at_the_edge_of_the_field_is_one_swipe_and_text_becomes_hexadecimal(
    desk: Desk,
) -> None:
    reader = Phidgets(desk)
    reader.plug()
    daemon = desk.daemon(*reader.flags, "--rfid_hold_off_s=0.5")
    for _ in range(20):
        reader.say(f"tag {ALICES} 1\nlost {ALICES} 1")
    desk.until(f"+{ALICES}", f"-{ALICES}")
    reader.say("tag Keg#1 3")
    desk.until(f"+{ALICES}", f"-{ALICES}", f"+{b'Keg#1'.hex()}")
    reader.say("error 4103 Sampling overrun")
    assert "Sampling overrun (code 0x1007)" in daemon.line("Sampling")


def test_a_phidget_that_does_not_come_in_time_is_an_error_if_that_is_wanted(desk: Desk) -> None:
    reader = Phidgets(desk)
    done = run(desk, *reader.flags, "--phidget_wait_seconds=1")
    assert done.returncode == 1
    assert "no PhidgetRFID reader within --phidget_wait_seconds=1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_phidget_that_is_not_found_may_be_one_that_the_user_may_not_open(desk: Desk) -> None:
    daemon = desk.daemon(*Phidgets(desk).flags)
    daemon.line("waiting for a PhidgetRFID reader: no such device, or no rule of udev lets this user open it")
    assert daemon.end() == 0


def run(desk: Desk, *flags: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "rfid_daemon.py"), f"--kb_core_addr={desk.core.address}", *flags]
    with subprocess.Popen(
        command, cwd=desk.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(text or "")
        process.stdin.close()
        process.stdin = None
        desk.core.until(lambda: process.poll() is not None)
        said, failed = process.communicate(timeout=DEADLINE_S)
    return subprocess.CompletedProcess(command, process.returncode, said, failed)


def test_a_script_may_be_the_reader(desk: Desk) -> None:
    text = f"# closing time\n{ALICES.upper()}\nadded {BOBS}\nnonsense\n{'x' * 1_000_000}\n\0\nremoved {BOBS}\n{ALICES}"
    done = run(desk, "--rfid_device_type=stdin", text=text)
    assert (done.returncode, done.stderr) == (0, "")
    assert desk.heard() == [f"+{ALICES}", f"-{ALICES}", f"+{BOBS}", f"-{BOBS}", f"+{ALICES}", f"-{ALICES}"]
    assert "'nonsense' is no token" in done.stdout
    assert len(done.stdout) < 5000


def test_a_flood_of_tags_without_a_core_fills_neither_log_nor_memory_and_what_is_lost_is_counted(
    desk: Desk,
) -> None:
    desk.core.close()
    address = desk.core.address
    with subprocess.Popen(
        [sys.executable, str(SCRIPTS / "rfid_daemon.py"), "--rfid_device_type=stdin", f"--kb_core_addr={address}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=desk.folder,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        for number in range(10_000):
            process.stdin.write(b"%x\n" % number)
        process.stdin.flush()
        wait(lambda: not unread(process.stdin))
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.terminate()
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert int(status.partition("VmHWM:")[2].split()[0]) < 35_000
    assert len(said.splitlines()) < 120
    told = re.findall(r"(\d+) comings and goings were given up so far", said.decode())
    assert 0 < len(told) <= 2
    assert 20_000 - 4096 <= int(told[-1]) < 20_000  # each of 10000 came, and went


def unread(pipe: IO[bytes] | None) -> int:
    assert pipe is not None
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def test_a_file_may_be_the_reader(desk: Desk) -> None:
    file = desk.folder / "tags"
    file.write_text(f"{ALICES}\n" * 3)
    with file.open() as stdin, subprocess.Popen(
        [sys.executable, str(SCRIPTS / "rfid_daemon.py"), "--rfid_device_type=stdin", f"--kb_core_addr={desk.core.address}"],
        stdin=stdin, stdout=subprocess.DEVNULL, cwd=desk.folder,
    ) as process:  # fmt: skip
        desk.core.until(lambda: process.poll() is not None)
    assert process.returncode == 0
    assert desk.heard() == [f"+{ALICES}", f"-{ALICES}"]


@pytest.mark.parametrize(
    ("flags", "status", "says"),
    [
        (
            ["--rfid_device_type=stdin", "--daemon"],
            2,
            "as an app of master.py, there is no standard input; pipe",
        ),
        (["--rfid_device_type=serial"], 2, "needs a --rfid_device_path"),
        (["--rfid_device_type=wedge", "--rfid_device_path=no/such"], 1, "no such directory"),
        (["--rfid_device_type=stdin", "--auth_device="], 2, "--auth_device=''"),
        (["--rfid_device_type=stdin", "--rfid_hold_off_s=0"], 2, "rfid_hold_off_s"),
        (["--rfid_device_type=wedge", "--wedge_format=8h11d"], 2, "wedge_format"),
    ],
)
def test_a_mistake_is_one_line(flags: list[str], status: int, says: str, desk: Desk) -> None:
    done = run(desk, *flags)
    assert (done.returncode, len(done.stderr.splitlines())) == (status, 1), done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("what", ["/dev/null", "file"])
def test_what_is_no_event_device_is_said_to_be_none(what: str, desk: Desk) -> None:
    (desk.folder / "file").touch()
    program = Program(
        "rfid_daemon.py", "--rfid_device_type=wedge", f"--rfid_device_path={what}", f"--kb_core_addr={desk.core.address}",
        cwd=desk.folder,
    )  # fmt: skip
    desk.stack.callback(program.kill)
    assert "not an event device, such as" in program.line("ready: waiting for")


def test_a_core_that_comes_back_is_told_again_of_the_tag_that_lies_there_and_of_no_other(desk: Desk) -> None:
    reader = Phidgets(desk)
    reader.plug()
    daemon = desk.daemon(*reader.flags, SHORT)
    reader.show(BOBS)
    reader.show(ALICES)
    desk.until(f"+{BOBS}", f"-{BOBS}", f"+{ALICES}")
    desk.core.close()
    daemon.line("core not reached")
    desk.core_comes_back()
    desk.until(f"+{ALICES}")


def test_what_happens_while_the_core_is_away_is_told_once_and_with_its_age(desk: Desk) -> None:
    reader = Phidgets(desk)
    reader.plug()
    desk.core.close()
    daemon = desk.daemon(*reader.flags, SHORT)
    reader.show(ALICES)
    daemon.line(f"{ALICES} added")
    time.sleep(0.15)  # so that there is an age to tell
    desk.core_comes_back()
    desk.until(f"+{ALICES}")
    reader.say(f"lost {ALICES} 1")
    desk.until(f"+{ALICES}", f"-{ALICES}")
    (added, removed) = [event for event in desk.core.events if isinstance(event, TokenAuthEvent)]
    assert 0.1 < added.age_s < DEADLINE_S
    assert removed.age_s == 0.0


# -- with the real core ----------------------------------------------------------------------------------------


class Pouring:
    """The core, and a meter of its first tap."""

    def __init__(self, store: Path, core: CoreProgram) -> None:
        self.store = store
        self.app = App(core.port)
        self.app.send(MeterUpdate(tap_name=FLOW0, reading=0))

    def until_owned_by(self, username: str, readings: Iterator[int]) -> None:
        """Pour until a flow update names the owner."""

        def owned() -> bool:
            return any(getattr(event, "username", None) == username for event in self.app.heard)

        end_s = time.monotonic() + DEADLINE_S
        while not owned():
            assert time.monotonic() < end_s, self.app.lines()
            self.app.send(MeterUpdate(tap_name=FLOW0, reading=next(readings)))
            self.app.sock.settimeout(0.5)
            with suppress(TimeoutError):
                self.app.listen_once()

    def drinks(self) -> list[tuple[str | None, int]]:
        ledger = Ledger(str(self.store))
        try:
            return [(drink.username, drink.ticks) for drink in ledger.drinks(limit=10)]
        finally:
            ledger.close()


def wait(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_one_swipe_of_a_known_token_opens_the_valve_and_the_pour_is_its_owners(desk: Desk) -> None:
    store = desk.folder / "core.sqlite"
    furnish(store)
    reader = SerialLine(desk)
    reader.plug()
    with CoreProgram(store, "--rfid_idle_timeout_s=3") as core:
        desk.core.address = f"localhost:{core.port}"
        bar = Bar(desk.folder, desk.stack)
        board = bar.simulator("--noreset_on_open")
        bar.daemon(desk.core.address).line("firmware 18")
        pouring = Pouring(store, core)
        daemon = desk.daemon(*reader.flags, SHORT)
        reader.show(ALICES)
        daemon.line(f"{ALICES} removed")
        wait(lambda: board.state()["relays"]["relay0"])
        board.verb("pour", "flow0", "300", "--seconds=0.2")
        wait(lambda: pouring.drinks() == [("alice", 300)])
        wait(lambda: not board.state()["relays"]["relay0"])
        pouring.app.close()


def test_a_core_that_is_killed_while_a_tag_lies_there_goes_on_with_its_owner(desk: Desk) -> None:
    store = desk.folder / "core.sqlite"
    furnish(store)
    reader = Phidgets(desk)
    reader.plug()
    readings = iter(range(10, 100_000, 10))
    with CoreProgram(store) as core:
        port = core.port
        desk.core.address = f"localhost:{port}"
        daemon = desk.daemon(*reader.flags)
        reader.show(ALICES)
        daemon.line(f"{ALICES} added")
        pouring = Pouring(store, core)
        pouring.until_owned_by("alice", readings)
        pouring.app.close()
        core.end(signal.SIGKILL)
    with CoreProgram(store, address=f"localhost:{port}") as core:
        daemon.line("status: reading tags at PhidgetRFID 4711")
        pouring = Pouring(store, core)
        pouring.until_owned_by("alice", readings)
        reader.say(f"lost {ALICES} 1")
        daemon.line(f"{ALICES} removed")
        pouring.app.close()
    assert daemon.end() == 0
