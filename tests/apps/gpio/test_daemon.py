"""gpio_meter.py as a process, with gpiozero's mock for a header: beside a hub that notes all, and beside the real core."""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.gpio.counts_file import CountsFile
from kegapps.kegnet.events import BoardStatus, MeterUpdate, SetRelayOutputEvent, ThermoEvent
from tests.apps.gpio import kill_rounds
from tests.apps.gpio.programs import ROOT, Header
from tests.apps.kegboard.programs import DEADLINE_S, Bar, RecordingCore, bar_in
from tests.contract.test_every_program import command

pytest.importorskip("gpiozero", reason="gpiozero (kegmaster[gpio]) is not installed")
# Not by importing it: that leaves a named pipe in the current directory.
if importlib.util.find_spec("lgpio") is None:
    pytest.skip("lgpio (kegmaster[gpio]) is not installed", allow_module_level=True)

FLOW0 = "gpio.flow0"


@pytest.fixture
def bar(tmp_path: Path) -> Iterator[Bar]:
    yield from bar_in(tmp_path)


def header(bar: Bar, core: RecordingCore, *flags: str) -> Header:
    program = Header(bar.cwd, f"--kb_core_addr={core.address}", *flags)
    bar.enter(_killed(program))
    return program


class _killed:  # noqa: N801 - a context, read as a participle
    def __init__(self, program: Header) -> None:
        self.program = program

    def __enter__(self) -> Header:
        return self.program

    def __exit__(self, *_: object) -> None:
        self.program.kill()


def relay(name: str, *, on: bool) -> SetRelayOutputEvent:
    return SetRelayOutputEvent(output_name=name, output_mode="enabled" if on else "disabled")


def test_ticks_are_told_as_a_board_tells_them_and_kept(bar: Bar) -> None:
    core = bar.core()
    program = header(bar, core, "--meters=flow0=GPIO17,flow1=GPIO2")
    core.until_read(0, FLOW0)
    start_s = core.loop.now_s()
    program.begin_pulses(300, apart_s=0.002)
    core.until_read(300, FLOW0)
    readings = core.readings(FLOW0)
    assert readings == sorted(readings)
    assert len(readings) <= 3 + 10 * (core.loop.now_s() - start_s), "ten a second at most"
    program.pulse(7, pin=2)
    core.until_read(7, "gpio.flow1")
    statuses = [event for event in core.events if isinstance(event, BoardStatus)]
    assert {(status.board_name, status.state) for status in statuses} == {("gpio", "online")}
    assert statuses[0].detail == "flow0 on GPIO17, flow1 on GPIO2"
    assert program.end() == 0
    program = header(bar, core, "--meters=flow0=GPIO17")
    core.until(lambda: len(core.readings(FLOW0)) > len(readings))
    program.pulse(1)
    core.until_read(301, FLOW0)
    boots = [event for event in core.events if isinstance(event, MeterUpdate) and event.board_uptime_s]
    assert {(event.tap_name, event.reading) for event in boots} == {(FLOW0, 0), ("gpio.flow1", 0)}


def test_what_was_told_is_on_the_disk(bar: Bar) -> None:
    core = bar.core()
    program = header(bar, core)
    core.until_read(0, FLOW0)
    program.begin_pulses(10_000, apart_s=0.001)
    for _ in range(3):
        heard = len(core.readings(FLOW0))
        core.until(lambda heard=heard: len(core.readings(FLOW0)) > heard)  # type: ignore[misc]
    program.process.kill()
    program.wait()
    core.until(lambda: core.hub.clients == 0)
    kept = CountsFile(str(bar.cwd / "counts"))
    assert kept.counts[FLOW0] >= core.readings(FLOW0)[-1] > 0
    kept.close()


def test_the_last_ticks_before_the_end_are_told(bar: Bar) -> None:
    core = bar.core()
    program = header(bar, core)
    core.until_read(0, FLOW0)
    program.pulse(5)
    program.pulse(6)
    assert program.end() == 0
    core.until_read(11, FLOW0)


def test_a_core_that_is_away_hears_all_when_it_comes(bar: Bar) -> None:
    first = bar.core()
    port = first.hub.address[1]
    program = header(bar, first)
    first.until_read(0, FLOW0)
    first.close()
    program.line("core not reached")
    program.pulse(500)
    second = bar.core(port)
    second.until_read(500, FLOW0)


def test_relays_obey_the_core_and_nobody_else_and_go_off_when_it_is_lost(bar: Bar) -> None:
    core = bar.core()
    program = header(bar, core, "--relays=relay0=GPIO5,relay1=GPIO6", "--kegboard_name=cellar")
    core.until_read(0, "cellar.flow0")
    assert program.level(5) == 0
    core.hub.broadcast(
        relay("gpio.relay0", on=True), relay("relay0", on=True), relay("cellar.relay1", on=True)
    )
    core.until(lambda: "cellar.relay1 is on" in "".join(program.said()))
    assert [program.level(pin) for pin in (5, 6)] == [0, 1]
    core.hub.broadcast(relay("cellar.relay0", on=True), relay("cellar.relay1", on=False))
    core.until(lambda: "cellar.relay1 is off" in "".join(program.said()))
    assert [program.level(pin) for pin in (5, 6)] == [1, 0]
    core.hub.close()
    program.line("cellar.relay0 is off")
    assert program.level(5) == 0


def test_relays_that_are_on_while_low_begin_off(bar: Bar) -> None:
    core = bar.core()
    program = header(bar, core, "--relays=relay0=GPIO5", "--relays_active_low")
    core.until_read(0, FLOW0)
    assert program.level(5) == 1
    core.hub.broadcast(relay("gpio.relay0", on=True))
    core.until(lambda: "gpio.relay0 is on" in "".join(program.said()))
    assert program.level(5) == 0


def test_temperatures_are_told_by_the_names_of_a_kegboard(bar: Bar) -> None:
    sensor = bar.cwd / "w1" / "28-080012345610"
    sensor.mkdir(parents=True)
    scratchpad = "72 01 4b 46 7f ff 0e 10 57"
    (sensor / "w1_slave").write_text(f"{scratchpad} : crc=57 YES\n{scratchpad} t=23125\n")
    core = bar.core()
    header(bar, core, f"--w1_folder={bar.cwd / 'w1'}")
    core.until(lambda: any(isinstance(event, ThermoEvent) for event in core.events))
    (event,) = (event for event in core.events if isinstance(event, ThermoEvent))
    assert (event.sensor_name, event.sensor_value) == ("gpio.thermo-cd08001234561028", 23.125)


def test_without_a_header_it_waits_for_one_and_tells_no_readings(bar: Bar) -> None:
    core = bar.core()
    program = bar.run(
        "gpio_meter.py", f"--kb_core_addr={core.address}", f"--counts={bar.cwd / 'counts'}", "--w1_folder="
    )
    assert "is this a Raspberry Pi, and its user in the group gpio?" in program.line("waiting for the pins: ")
    core.until(lambda: any(isinstance(event, BoardStatus) for event in core.events))
    (status,) = (event for event in core.events if isinstance(event, BoardStatus))
    assert (status.board_name, status.state) == ("gpio", "absent")
    assert not core.readings(FLOW0)
    assert program.end() == 0
    assert sorted(path.name for path in bar.cwd.iterdir()) == ["counts", "counts.live"], (
        "lgpio's pipe is gone"
    )


@pytest.mark.parametrize("most", [10, 12])
def test_where_descriptors_are_few_that_is_said_and_nothing_is_left_behind(bar: Bar, most: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'ulimit -n {most}; exec "$@"', "sh", *command("gpio_meter.py", "--counts=c", "--w1_folder=")],
        cwd=bar.cwd, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "oo few file descriptors" in done.stderr
    assert not list(bar.cwd.glob(".lgpio-*"))


def test_a_disk_that_takes_nothing_is_said_and_nothing_is_told_until_it_does(bar: Bar) -> None:
    core = bar.core()
    program = header(bar, core)
    core.until_read(0, FLOW0)
    # A limit on the size of files is a disk that is full: the kernel refuses what lies beyond.
    resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    program.begin_pulses(100)
    program.line("nothing is told, for it cannot be kept in")
    assert core.readings(FLOW0)[-1] == 0
    resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    core.until_read(100, FLOW0)


def test_memory_stays_below_25_mb(bar: Bar) -> None:
    core = bar.core()
    program = header(bar, core)
    core.until_read(0, FLOW0)
    program.pulse(1000)
    core.until_read(1000, FLOW0)
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    assert int(status.partition("VmRSS:")[2].split()[0]) < 25 * 1024


@pytest.mark.parametrize(
    ("flag", "status", "said"),
    [
        (
            "--meters=flow0=GPIO99",
            2,
            "--meters: 'flow0=GPIO99': expected a pin from GPIO2 to GPIO27, such as GPIO17",
        ),
        ("--relays=relay0=GPIO17", 2, "flow0 and relay0 are both on GPIO17"),
        ("--kegboard_name=a b", 2, "--kegboard_name='a b': expected a short name such as gpio"),
        ("--pull=sideways", 2, "--pull"),
        ("--counts=/proc/counts", 1, "--counts=/proc/counts: "),
    ],
)
def test_a_start_that_cannot_work_fails_with_the_reason(
    flag: str, status: int, said: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "gpio_meter.py", f"--counts={tmp_path / 'counts'}", flag],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert said in done.stderr


def test_without_gpiozero_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "gpiozero.py").write_text("raise ModuleNotFoundError(name='gpiozero')")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "gpio_meter.py", f"--counts={tmp_path / 'counts'}"],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    said = (
        "gpio_meter.py: gpio_meter.py needs an extra, for gpiozero is not installed: "
        f"{sys.executable} -m pip install 'kegmaster[gpio]'\n"
    )
    assert (done.returncode, done.stderr) == (1, said)


def test_killed_at_any_time_it_loses_no_tick_and_tells_none_twice(tmp_path: Path) -> None:
    kill_rounds.run(6, 5, tmp_path)
