"""Emulated boards that pour all the time, and know to the tick what they have counted.

Knows the simulator and its verbs. Must not know the store, the core or the launcher.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

from kegapps.kegboard.control import connect
from tests.master.conftest import BIN, eventually

METERS: Final = ("flow0", "flow1")
TAGS: Final = ("0415ab96c3", "deadbeef00")
IBUTTONS: Final = ("0f07060504030201", "0f07060504030202")
ANSWER_S: Final = 60.0
TICKS_PER_SECOND: Final = (50.0, 190.0)
LONGEST_S: Final = 4.0


class Board:
    """One board on native USB (opening its port does not reset it), with two taps and a customer at each."""

    def __init__(self, directory: Path, name: str, chance: random.Random, *, known: float) -> None:
        """`known`: how many of its customers have a tag or an iButton, 0 to 1."""
        self.name = name
        self._known = known
        self.device = directory / name
        self.serial_number = f"KB-0000-0000-{name:0>8}"
        self._control = directory / f"{name}.control"
        self._log = (directory / f"{name}.log").open("wb")
        self._process = subprocess.Popen(
            [
                sys.executable, str(BIN / "kegboard_simulator.py"), f"--device_link={self.device}",
                "--fast_boot", "--noreset_on_open", f"--board_serial_number={self.serial_number}",
            ],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        eventually(self._control.exists, f"board {name}")
        self._seeds = [chance.randrange(1 << 30) for _ in METERS]
        self._customers: list[threading.Thread] = []
        self._tap_open = threading.Event()
        self._closing = threading.Event()
        self._idle = {meter: threading.Event() for meter in METERS}
        for idle in self._idle.values():
            idle.set()

    def begin(self) -> None:
        """Let the customers come."""
        self._tap_open.set()
        for meter, seed in zip(METERS, self._seeds, strict=True):
            customer = threading.Thread(target=self._serve, args=(meter, random.Random(seed)), daemon=True)
            customer.start()
            self._customers.append(customer)

    def hold(self) -> None:
        """No customer begins another glass; returns when the last one is full."""
        self._tap_open.clear()
        for idle in self._idle.values():
            assert idle.wait(ANSWER_S), f"board {self.name} pours on"

    def go_on(self) -> None:
        """After `hold`."""
        self._tap_open.set()

    def end(self) -> None:
        """Send the customers home; the board stays."""
        self._closing.set()
        self._tap_open.set()
        for customer in self._customers:
            customer.join(ANSWER_S)
            assert not customer.is_alive(), f"board {self.name} pours on"

    def close(self) -> None:
        """End the emulation."""
        self._closing.set()
        self._tap_open.set()
        self._process.kill()
        self._process.wait()
        self._log.close()

    def drop(self, meter: str) -> None:
        """One more tick."""
        self._pour(meter, 1, 0.0)

    def readings(self) -> dict[str, int]:
        """Where the odometers stand."""
        meters: dict[str, int] = self.verb("state")["state"]["meters"]
        return {meter: meters[meter] for meter in METERS}

    def emitted(self) -> dict[str, int]:
        """Ticks that the firmware has counted so far, over all its boots, and that no power cut took away untold."""
        ticks: dict[str, dict[str, int]] = self.verb("ticks")["ticks"]
        return {meter: ticks[meter]["counted"] - ticks[meter]["lost"] for meter in METERS}

    def open_valves(self) -> list[str]:
        """The relays that are on."""
        relays: dict[str, bool] = self.verb("state")["state"]["relays"]
        return [f"{self.name}.{name}" for name in ("relay0", "relay1") if relays[name]]

    def verb(self, *words: str) -> dict[str, Any]:
        """Do something to the board; returns the answer when it is done."""
        with connect(str(self._control)) as connection, connection.makefile() as lines:
            connection.settimeout(ANSWER_S)
            connection.sendall(json.dumps({"words": words}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(lines.readline())
        return answer

    def _pour(self, meter: str, ticks: int, seconds: float) -> None:
        self.verb("pour", meter, str(ticks), f"--seconds={seconds:.3f}")

    def _serve(self, meter: str, chance: random.Random) -> None:
        # When the emulation is closed under a customer's hands, the day is over.
        with contextlib.suppress(OSError, ValueError):
            while not self._closing.is_set():
                self._tap_open.wait()
                self._idle[meter].clear()
                if self._tap_open.is_set() and not self._closing.is_set():
                    self._glass(meter, chance)
                self._idle[meter].set()
                self._closing.wait(chance.choice((0.0, 0.1, 0.4, 2.2)))
        self._idle[meter].set()

    def _glass(self, meter: str, chance: random.Random) -> None:
        """A glass, a taste that is too little for a drink, or a mug; sometimes of somebody who is known."""
        who = chance.random()
        ticks = chance.choice((chance.randint(1, 20), chance.randint(30, 300), chance.randint(30, 300), 600))
        seconds = min(ticks / chance.uniform(*TICKS_PER_SECOND), LONGEST_S)
        if who < 0.6 * self._known:
            self.verb("token", "core.rfid", chance.choice(TAGS))
        if 0.6 * self._known < who < self._known:
            ibutton = chance.choice(IBUTTONS)
            self.verb("token_add", "onewire", ibutton)
            self._pour(meter, ticks, seconds)
            self.verb("token_remove", "onewire", ibutton)
        else:
            self._pour(meter, ticks, seconds)
