"""Real programs for tests: start them, read what they print, pull their cables, and be their core."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from kegapps.daemon.loop import Loop
from kegapps.kegboard.control import connect
from kegapps.kegnet.events import Event, MeterUpdate
from kegapps.kegnet.hub import Hub
from tests.ports import free_port as free_port

Entered = TypeVar("Entered")

SCRIPTS: Final = Path(__file__).resolve().parents[3] / "scripts"
DEADLINE_S: Final = 20.0


class Program:
    """A script of ours in the foreground, its output line by line."""

    def __init__(self, script: str, *arguments: str, cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPTS / script), *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.lines: list[str] = []
        self._rest = b""

    def line(self, part: str) -> str:
        """The next line with `part` in it, waiting for it."""
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            while self.lines:
                line = self.lines.pop(0)
                if part in line:
                    return line
            assert self._read(deadline_s), f"{self.process.args!r} never printed {part!r}"

    def said(self) -> list[str]:
        """The lines so far that nobody waited for."""
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], 0.0)[0] and self._read(time.monotonic() + 1.0):
            continue
        return self.lines

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """The exit status; what is printed until then is in `lines`."""
        deadline_s = time.monotonic() + DEADLINE_S
        while self._read(deadline_s):
            continue
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self, deadline_s: float) -> bool:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        assert select.select([fd], [], [], max(0.0, deadline_s - time.monotonic()))[0], "deadline"
        data = os.read(fd, 65536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines += [line.decode() for line in lines]
        return bool(data)


class Simulator:
    """The emulated board as a program, and its verbs without the cost of a program each."""

    def __init__(self, link: Path, program: Program) -> None:
        self.link = link
        self.control = link.with_name(f"{link.name}.control")
        self.program = program

    @classmethod
    def start(cls, cwd: Path, name: str, *flags: str) -> Self:
        """A program that is one board."""
        program = Program("kegboard_simulator.py", f"--device_link={name}", *flags, cwd=cwd)
        program.line("ready: board at")
        return cls(cwd / name, program)

    @classmethod
    def start_several(cls, cwd: Path, name: str, boards: int, *flags: str) -> list[Self]:
        """A program that is so many boards, NAME1, NAME2 and so on."""
        program = Program(
            "kegboard_simulator.py", f"--device_link={name}", f"--boards={boards}", *flags, cwd=cwd
        )
        program.line("ready: board at")
        return [cls(cwd / f"{name}{number}", program) for number in range(1, boards + 1)]

    def verb(self, *words: str) -> dict[str, Any]:
        """Do it, wait until it is done; the answer."""
        return self.begin(*words)()

    def begin(self, *words: str) -> Callable[[], dict[str, Any]]:
        """Do it; what is returned waits for the answer."""
        connection = connect(str(self.control))
        connection.settimeout(DEADLINE_S)
        connection.sendall(json.dumps({"words": words}).encode() + b"\n")

        def answer() -> dict[str, Any]:
            with connection, connection.makefile() as lines:
                result: dict[str, Any] = json.loads(lines.readline())
                return result

        return answer

    def ticks(self, meter: str = "flow0") -> dict[str, int]:
        """What became of the ticks of a meter."""
        ticks: dict[str, int] = self.verb("ticks")["ticks"][meter]
        return ticks

    def state(self) -> dict[str, Any]:
        """What the board knows."""
        state: dict[str, Any] = self.verb("state")["state"]
        return state


class RecordingCore:
    """A real hub in the test's own loop: it works while the test waits for something."""

    def __init__(self, port: int = 0) -> None:
        self.loop = Loop()
        self.hub = Hub(self.loop, ("127.0.0.1", port), on_event=lambda event, _: self.events.append(event))
        self.events: list[Event] = []
        self.address = f"127.0.0.1:{self.hub.address[1]}"

    def until(self, happened: Callable[[], object]) -> None:
        """Serve until it happened."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not happened():
            assert time.monotonic() < deadline_s, f"never happened; the core heard {self.events[-20:]}"
            # Not every condition is a matter of this loop, so look again soon.
            self.loop.run_once(0.02)

    def until_read(self, ticks: int, meter: str = "kegboard.flow0") -> None:
        """Serve until the meter stands at `ticks`."""
        self.until(lambda: self.readings(meter)[-1:] == [ticks])

    def readings(self, meter: str = "kegboard.flow0") -> list[int]:
        """What was read on a meter."""
        return [e.reading for e in self.events if isinstance(e, MeterUpdate) and e.tap_name == meter]

    def ticks(self, meter: str = "kegboard.flow0") -> int:
        """What a core counts of it: steps forward; after a step backward, from 0. The first reading is the base."""
        readings = self.readings(meter)
        steps = itertools.pairwise(readings)
        return sum(later - earlier if later >= earlier else later for earlier, later in steps)

    def close(self) -> None:
        """Hang up."""
        self.hub.close()
        self.loop.close()


class Bar:
    """Everything one test starts, in one directory, ended with it."""

    def __init__(self, cwd: Path, stack: contextlib.ExitStack) -> None:
        self.cwd = cwd
        self._stack = stack

    def simulator(self, *flags: str, name: str = "board", boot: bool = False) -> Simulator:
        """An emulated board, without the two seconds of boot unless wanted."""
        simulator = Simulator.start(self.cwd, name, *([] if boot else ["--fast_boot"]), *flags)
        self._stack.callback(simulator.program.kill)
        return simulator

    def simulators(self, boards: int, *flags: str, name: str = "board") -> list[Simulator]:
        """So many emulated boards in one program, without the two seconds of boot."""
        simulators = Simulator.start_several(self.cwd, name, boards, "--fast_boot", *flags)
        self._stack.callback(simulators[0].program.kill)
        return simulators

    def core(self, port: int = 0) -> RecordingCore:
        """A core that writes down what it hears."""
        core = RecordingCore(port)
        self._stack.callback(core.close)
        return core

    def enter(self, context: contextlib.AbstractContextManager[Entered]) -> Entered:
        """Anything else that ends with the test."""
        return self._stack.enter_context(context)

    def run(self, script: str, *arguments: str) -> Program:
        """Any program of ours."""
        program = Program(script, *arguments, cwd=self.cwd)
        self._stack.callback(program.kill)
        return program

    def daemon(self, core: RecordingCore | str, *flags: str, device: str = "board") -> Program:
        """A board daemon."""
        address = core if isinstance(core, str) else core.address
        return self.run(
            "kegboard_daemon.py", f"--kegboard_device={device}", f"--kb_core_addr={address}", *flags
        )


def bar_in(cwd: Path) -> Iterator[Bar]:
    """For a fixture."""
    with contextlib.ExitStack() as stack:
        yield Bar(cwd, stack)
