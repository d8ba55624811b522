"""The meter program on a mock header, for tests: start it, turn its meters, look at its relays."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

from tests.apps.kegboard.programs import Program

ROOT = Path(__file__).resolve().parents[3]


class Header(Program):
    """A gpio_meter.py whose pins can be driven."""

    def __init__(self, cwd: Path, *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.apps.gpio.mocked", f"--counts={cwd / 'counts'}", "--w1_folder=", *flags],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "GPIOZERO_PIN_FACTORY": "mock", "PASSED": str(cwd / "passed")},
        )  # fmt: skip
        self.lines = []
        self._rest = b""

    def begin_pulses(self, number: int, *, pin: int = 17, apart_s: float = 0.0) -> None:
        """The meter ticks."""
        self._say(f"pulse {pin} {number} {apart_s}")

    def pulse(self, number: int, *, pin: int = 17, apart_s: float = 0.0) -> None:
        """The meter ticks; returns when it has."""
        self.begin_pulses(number, pin=pin, apart_s=apart_s)
        self.line("pulsed")

    def level(self, pin: int) -> int:
        """Of a pin."""
        self._say(f"level {pin}")
        return int(self.line(f"level {pin} ")[-1])

    @staticmethod
    def passed(cwd: Path) -> int:
        """Ticks that went through the meters of all programs in this folder."""
        ticks: int = struct.unpack("q", (cwd / "passed").read_bytes())[0]
        return ticks

    def kill(self) -> None:
        """End it, whatever it does."""
        super().kill()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def _say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())
        self.process.stdin.flush()
