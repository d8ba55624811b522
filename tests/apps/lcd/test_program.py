"""lcd_daemon.py as a process: with the core, test_flow.py and LCDd, and with displays on serial lines."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kegapps.kegnet.address import shown_address
from kegapps.kegnet.events import StatusRequest
from kegapps.lcd.daemon import ASK_S
from kegapps.lcd.i2c_address import parse_i2c_address
from tests.apps.core.programs import CoreProgram, furnish
from tests.apps.kegboard.programs import free_port
from tests.apps.kegnet.support import Core, running_core
from tests.apps.lcd.emulators import CfaGlass, Glass, MatrixGlass, Plug
from tests.apps.lcd.test_daemon import drink, flow
from tests.apps.lcd.tmux import MISSING, CursesLcdd
from tests.master.conftest import Box

SCRIPTS = Path(__file__).parents[3] / "scripts"
PATIENCE_S = 30.0
RSS_LIMIT_KB = 25_000_000 // 1024


class Daemon:
    """lcd_daemon.py in the foreground, its log in a file."""

    def __init__(self, folder: Path, *flags: str, core: str) -> None:
        self._log = folder / "lcd.log"
        command = [sys.executable, str(SCRIPTS / "lcd_daemon.py"), f"--kb_core_addr={core}", *flags]
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def status(self) -> str:
        """The last that it told."""
        told = re.findall(r"\(daemon\) (?:ready|status): (.*)", self.log)
        return told[-1] if told else ""

    def rss_kb(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def end(self) -> float:
        """Stop it; how long that took."""
        start_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0, self.log
        return time.monotonic() - start_s

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running(folder: Path, *flags: str, core: str) -> Iterator[Daemon]:
    daemon = Daemon(folder, *flags, core=core)
    try:
        yield daemon
    finally:
        daemon.close()


def eventually(condition: Callable[[], object], what: Callable[[], str]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, what()
        time.sleep(0.02)  # a terminal tells nobody that it has changed


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_a_pour_is_seen_on_the_screen_of_a_real_lcdd_also_after_that_was_killed(tmp_path: Path) -> None:
    store = tmp_path / "core.sqlite"
    furnish(store)
    lcdd = CursesLcdd(tmp_path)
    with contextlib.ExitStack() as stack:
        stack.callback(lcdd.close)
        core = stack.enter_context(CoreProgram(store))
        address = f"localhost:{core.port}"
        flags = ("--lcd_device_type=lcdproc", f"--lcdproc_address=localhost:{lcdd.port}", "--rotation_time=2")
        daemon = stack.enter_context(running(tmp_path, *flags, core=address))

        def until_seen(*words: str) -> None:
            eventually(
                lambda: all(word in lcdd.seen() for word in words), lambda: f"{lcdd.seen()}\n{daemon.log}"
            )

        eventually(lambda: daemon.status.startswith("waiting for LCDd"), lambda: daemon.log)
        lcdd.start()
        until_seen("kegmaster", "2 taps")
        pour = [
            sys.executable, str(SCRIPTS / "test_flow.py"), f"--kb_core_addr={address}",
            "--auth_token=core.rfid:0415ab96c3", "--steps=4",
        ]  # fmt: skip
        subprocess.run(pour, cwd=tmp_path, capture_output=True, timeout=PATIENCE_S, check=True)
        until_seen("kegboard.flow0", "user: alice", "15.37 oz")
        lcdd.kill()
        eventually(lambda: "it closed the connection" in daemon.log, lambda: daemon.log)
        lcdd.start("16x2")
        until_seen("alice", "15.37 oz kegboar")
        stop = [
            *pour[:3],
            "--auth_token=core.rfid:0415ab96c3",
            "--steps=1",
            "--ticks=1",
            "--explicit_start_stop",
        ]
        subprocess.run(stop, cwd=tmp_path, capture_output=True, timeout=PATIENCE_S, check=False)
        until_seen("Last: alice")
        print(f"lcd_daemon.py with LCDd: {daemon.rss_kb()} kB RSS")
        assert daemon.rss_kb() < RSS_LIMIT_KB
        assert daemon.end() < 1.0


class Line:
    """A core's hub, a serial line with a display or none, and the daemon between them."""

    def __init__(self, core: Core, folder: Path, kind: str) -> None:
        self.core = core
        self.plug = Plug(core.loop, folder / "lcd")
        self.kind = kind
        address = shown_address(*core.hub.address)
        self.daemon = Daemon(
            folder, f"--lcd_device_type={kind}", f"--lcd_device_path={self.plug.path}", core=address
        )

    def until(self, condition: Callable[[], object]) -> None:
        self.core.turn_until(condition, f"\n{self.daemon.log}")

    def close(self) -> None:
        self.daemon.close()
        self.plug.unplug()


@pytest.fixture(params=["cfa635", "mtxorb20x4"])
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    with running_core() as core:
        line = Line(core, tmp_path, request.param)
        line.until(lambda: core.hub.clients == 1)
        yield line
        line.close()


def glass_for(kind: str) -> Glass:
    return CfaGlass() if kind == "cfa635" else MatrixGlass()


def shows(glass: Glass, *rows: str) -> bool:
    assert isinstance(glass, CfaGlass | MatrixGlass)
    return [row.strip() for row in glass.text] == list(rows)


def test_a_serial_display_shows_the_pour_and_is_drawn_again_when_it_is_back(line: Line) -> None:
    line.until(lambda: f"waiting for {line.plug.path}: no such device" in line.daemon.status)
    first, second = glass_for(line.kind), glass_for(line.kind)
    line.plug.plug(first)
    line.core.hub.broadcast(flow("initial", 0.0))
    line.until(lambda: shows(first, "kegboard.flow0", "user: alice", "0.00 oz", ""))
    line.core.hub.broadcast(flow())
    line.until(lambda: shows(first, "kegboard.flow0", "user: alice", "15.37 oz", ""))
    line.plug.unplug()
    line.until(lambda: line.daemon.status.startswith("waiting for"))
    line.core.hub.broadcast(flow(ml=295.735))
    line.plug.plug(second)
    line.until(lambda: shows(second, "kegboard.flow0", "user: alice", "10.00 oz", ""))
    line.until(lambda: line.daemon.status.startswith(f"{line.kind} at "))
    print(f"lcd_daemon.py with {line.kind}: {line.daemon.rss_kb()} kB RSS")
    assert line.daemon.rss_kb() < RSS_LIMIT_KB
    assert line.daemon.end() < 1.0


def test_a_display_that_never_answers_nor_reads_holds_up_no_pour(line: Line) -> None:
    def asked() -> int:
        return sum(isinstance(event, StatusRequest) for event in line.core.got)

    line.plug.plug(glass_for(line.kind))
    line.plug.mute = True
    line.plug.deaf()
    line.until(lambda: asked() == 1)
    end_s = time.monotonic() + ASK_S
    number = 0
    while time.monotonic() < end_s:
        number += 1
        line.core.hub.broadcast(flow(ml=float(number)))
        line.core.loop.run_once(0.001)
    # Behind all of these there is something that it answers.
    start_s = time.monotonic()
    line.core.hub.broadcast(drink())
    line.until(lambda: asked() == 2)
    assert time.monotonic() - start_s < 0.5
    assert line.core.hub.clients == 1
    if line.kind == "cfa635":
        line.until(lambda: "no answer" in line.daemon.status)
    assert line.daemon.end() < 1.0


@pytest.mark.parametrize(("text", "address"), [("0x27", 0x27), ("0X3F", 0x3F), ("0x3", 3), ("0x77", 0x77)])
def test_an_i2c_address_is_hexadecimal(text: str, address: int) -> None:
    assert parse_i2c_address(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("27", "27: hexadecimal? Then it is 0x27"),
        ("27h", "27h: hexadecimal? Then it is 0x27"),
        ("3F", "3F: hexadecimal? Then it is 0x3f"),
        ("0x02", "0x02: expected 0x03 to 0x77"),
        ("0x78", "0x78: expected 0x03 to 0x77"),
        ("99", "99: expected 0x03 to 0x77"),
        ("0o47", "0o47: expected 0x03 to 0x77"),
        ("0x２７", "0x２７: expected 0x03 to 0x77"),
        ("２７", "２７: expected 0x03 to 0x77"),
        ("-0x27", "-0x27: expected 0x03 to 0x77"),
        ("", ": expected 0x03 to 0x77"),
    ],
)
def test_what_could_be_another_address_than_was_meant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}"):
        parse_i2c_address(text)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (
            ["--lcd_device_type=hd44780_i2c", "--lcd_i2c_address=27"],
            "--lcd_i2c_address=27: hexadecimal? Then",
        ),
        (["--lcd_device_path="], "--lcd_device_path= is empty: which serial port is the display on?"),
    ],
)
def test_a_mistake_names_its_flag(flags: list[str], reason: str, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "lcd_daemon.py"), *flags]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"lcd_daemon.py: {reason}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "waiting"),
    [
        ("lcd_device_path = {folder}/lcd", "waiting for {folder}/lcd: no such device"),
        ("lcd_device_type = lcdproc\nlcdproc_address = localhost:{port}", "waiting for LCDd at localhost:{port}"),
        ("lcd_device_type = hd44780_i2c\nlcd_i2c_bus = 250", "waiting for 0x27 on /dev/i2c-250: no such bus"),
    ],
)  # fmt: skip
def test_master_shows_which_display_is_waited_for(flags: str, waiting: str, tmp_path: Path) -> None:
    facts = {"folder": str(tmp_path), "port": str(free_port())}
    box = Box(tmp_path)
    box.write(
        f"[lcd_daemon]\n_enabled = True\nkb_core_addr = localhost:{free_port()}\n{flags.format(**facts)}\n"
    )
    try:
        box.master("start")
        eventually(
            lambda: waiting.format(**facts) in box.master("status", expect=None).stdout,
            lambda: box.master("status", expect=None).stdout,
        )
        box.master("stop")
    finally:
        box.close()
