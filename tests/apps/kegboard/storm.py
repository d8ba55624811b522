"""Four boards that pour all the time, in a storm: `python -m tests.apps.kegboard.storm --seconds=60`.

Cables are pulled and put back, with the power and without, into other sockets; the daemon and the core are killed with
-9. At the end every tick that the boards told, or still could tell, is in exactly one drink.

What nobody can keep is left out: a board that loses its power while what it told is only in the memory of a daemon
that is killed with the core away, and one that is without power so briefly, while a new daemon starts, that no clock
can tell its second life from its first.
"""

from __future__ import annotations

import collections
import random
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kegapps.core.ledger import Ledger
from kegapps.core.store import Store
from tests.apps import proving
from tests.apps.core.programs import CoreProgram
from tests.apps.kegboard.programs import DEADLINE_S, Bar, Program, Simulator, bar_in, free_port

METERS: Final = ("flow0", "flow1")
CORE_FLAGS: Final = ("--min_drink_ml=0", "--idle_timeout_s=0.6")
SETTLED_S: Final = 0.5  # so long after it has met the core a daemon has told it everything
DARK_S: Final = 4.0  # without power for so long a board is known to have booted since, by whom ever


@dataclass(slots=True)
class Socket:
    """A port of the machine, and what is in it."""

    path: Path
    board: Simulator | None = None
    back_s: float = 0.0
    dark: bool = False


class Storm:
    """The machine, and what is done to it."""

    def __init__(self, bar: Bar, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.counts = collections.Counter[str]()
        self._bar = bar
        self._first: dict[str, int] = {}
        self._folder = folder
        self.store = folder / "kegbot.sqlite"
        Store(str(self.store), boot_id="").close()
        self._port = free_port()
        self._serials = [f"KB-0000-0000-0000000{number}" for number in range(1, 5)]
        native = bar.simulators(
            2, "--noreset_on_open", f"--board_serial_number={','.join(self._serials[:2])}"
        )
        unos = bar.simulators(2, f"--board_serial_number={','.join(self._serials[2:])}", name="uno")
        self.boards = native + unos
        (folder / "by-id").mkdir()
        self.sockets = [Socket(folder / "by-id" / f"usb-{number}") for number in range(4)]
        for socket, board in zip(self.sockets, self.boards, strict=True):
            self._plug(socket, board)
        self.core = self._new_core()
        self.daemon = self._new_daemon()
        self._met_s: float | None = None
        self.core_back_s = self.daemon_back_s = 0.0
        self.until_all_online()
        self._first = self._first_readings()
        for board in self.boards:
            for meter in METERS:
                board.verb("flow", meter, str(chance.randint(5, 60)))

    # What can happen

    def step(self) -> None:
        """Something happens, or what is due comes back."""
        now_s = time.monotonic()
        self._bring_back(now_s)
        calm = self._connected_s() + SETTLED_S < now_s and not (self.core_back_s or self.daemon_back_s)
        dark = any(socket.dark for socket in self.sockets)
        what = self.chance.random()
        if what < 0.35:
            self._unplug(now_s, may_cut_power=calm)
        elif what < 0.5 and not self.core_back_s and not self.daemon_back_s:
            self.core.process.kill()
            self.core_back_s = now_s + self.chance.uniform(0.0, 1.5)
            self.counts["core killed"] += 1
        elif what < 0.65 and calm and not dark:
            self.daemon.process.kill()
            self.daemon_back_s = now_s + self.chance.uniform(0.0, 1.5)
            self.counts["daemon killed"] += 1
        elif what < 0.75:
            self._swap()
        elif what < 0.8:
            self.chance.choice(self.boards).verb("noise", "200")
            self.counts["noise"] += 1

    def _connected_s(self) -> float:
        """Since when daemon and core are connected, monotonic; infinite if they are not, as far as they have said."""
        talk = [line for line in self.daemon.said() if "the core at" in line]
        if not talk or "connected to the core at" not in talk[-1]:
            self._met_s = None
            return float("inf")
        if self._met_s is None:
            self._met_s = time.monotonic()
        return self._met_s

    def _unplug(self, now_s: float, *, may_cut_power: bool) -> None:
        socket = self.chance.choice(self.sockets)
        if socket.board is None or socket.back_s:
            return
        cut = may_cut_power and self.chance.random() < 0.5
        socket.board.verb("unplug", *([] if cut else ["--keep_power"]))
        socket.dark = cut
        socket.back_s = now_s + (DARK_S if cut else self.chance.uniform(0.0, 2.0))
        self.counts["power cut" if cut else "unplugged"] += 1

    def _swap(self) -> None:
        """Two boards whose cables are out change places."""
        out = [socket for socket in self.sockets if socket.back_s]
        if len(out) < 2:
            return
        one, other = self.chance.sample(out, 2)
        one.board, other.board = other.board, one.board
        one.dark, other.dark = other.dark, one.dark
        one.back_s = other.back_s = max(one.back_s, other.back_s)
        self.counts["swapped"] += 1

    def _bring_back(self, now_s: float) -> None:
        for socket in self.sockets:
            if socket.back_s and socket.back_s <= now_s and socket.board is not None:
                self._plug(socket, socket.board)
                socket.back_s, socket.dark = 0.0, False
        if self.core_back_s and self.core_back_s <= now_s:
            self.core.process.wait(DEADLINE_S)
            self.core = self._new_core()
            self.core_back_s = 0.0
        if self.daemon_back_s and self.daemon_back_s <= now_s:
            self.daemon, self._met_s = self._new_daemon(), None
            self.daemon_back_s = 0.0

    def _plug(self, socket: Socket, board: Simulator) -> None:
        socket.board = board
        socket.path.unlink(missing_ok=True)
        socket.path.symlink_to(board.link)
        board.verb("plug")

    def _new_core(self) -> CoreProgram:
        return self._bar.enter(CoreProgram(self.store, *CORE_FLAGS, address=f"localhost:{self._port}"))

    def _new_daemon(self) -> Program:
        return self._bar.daemon(f"localhost:{self._port}", device="by-id/*")

    # The end

    def calm_down(self) -> None:
        """Everything comes back, the taps are closed, and each meter shows itself once more."""
        end_s = time.monotonic() + DEADLINE_S
        while self.core_back_s or self.daemon_back_s or any(socket.back_s for socket in self.sockets):
            self._bring_back(time.monotonic())
            assert time.monotonic() < end_s
            time.sleep(0.05)
        self.until_all_online()
        for board in self.boards:
            for meter in METERS:
                board.verb("flow", meter, "0")
        for board in self.boards:
            for meter in METERS:
                assert board.verb("pour", meter, "1", "--seconds=0")["ok"]

    def until_all_online(self) -> None:
        """Wait until the daemon has found all boards."""
        names = ", ".join(f"kegboard-{serial[-8:]}" for serial in sorted(self._serials))
        self.daemon.line(f"boards online: {names}")

    def _first_readings(self) -> dict[str, int]:
        """Let the core meet all meters: what it reads first of one that ran before counts nothing."""
        for board in self.boards:
            for meter in METERS:
                assert board.verb("pour", meter, "3", "--seconds=0")["ok"]
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            ledger = Ledger(str(self.store))
            taps = ledger.taps()
            ledger.close()
            # A tap is there before its meter is read, and the three ticks may come in two readings.
            if [tap.last_reading for tap in taps] == [3] * len(self.boards) * len(METERS):
                return {tap.name: 3 - tap.counted_ticks for tap in taps}
            assert time.monotonic() < deadline_s, taps
            time.sleep(0.05)

    def told(self) -> dict[str, int]:
        """What a store should hold, by tap."""
        return {
            (name := f"kegboard-{serial[-8:]}.{meter}"): board.ticks(meter)["told"] - self._first.get(name, 0)
            for serial, board in zip(self._serials, self.boards, strict=True)
            for meter in METERS
        }

    def stored(self) -> dict[str, int]:
        """What it holds: ticks of drinks, by tap."""
        ledger = Ledger(str(self.store))
        sums = collections.Counter[str]()
        for drink in ledger.drinks(limit=1_000_000):
            sums[drink.tap_name] += drink.ticks
        ledger.close()
        return dict(sums)

    def untold(self) -> list[tuple[Simulator, str]]:
        """The meters whose last ticks nobody has heard of."""
        return [(board, meter) for board in self.boards for meter in METERS if board.ticks(meter)["untold"]]

    def open_flows(self) -> int:
        """How many flows are under way."""
        db = sqlite3.connect(self.store)
        try:
            return int(db.execute("select count(*) from open_flows").fetchone()[0])
        finally:
            db.close()


def run(seconds: float, seed: int, folder: Path) -> dict[str, int]:
    """Counts of what happened. Raises AssertionError when a tick is lost or doubled."""
    bars = bar_in(folder)
    storm = Storm(next(bars), folder, random.Random(seed))
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        storm.step()
        time.sleep(storm.chance.uniform(0.05, 0.3))
    storm.calm_down()
    deadline_s = time.monotonic() + DEADLINE_S
    drop_s = time.monotonic() + 1.0
    while True:
        # In this order: what a board has yet to tell can be in neither sum.
        untold = storm.untold()
        stored, told = storm.stored(), storm.told()
        if not untold and stored == told and not storm.open_flows():
            break
        wrong = {tap: (told[tap], stored.get(tap)) for tap in told if told[tap] != stored.get(tap)}
        assert time.monotonic() < deadline_s, (
            f"told, stored: {wrong}; untold: {len(untold)} meters; {dict(storm.counts)}"
        )
        if time.monotonic() > drop_s:
            # What a board tells while nobody listens it tells again with its next tick only.
            drop_s = time.monotonic() + 1.0
            for board, meter in untold:
                assert board.verb("pour", meter, "1", "--seconds=0")["ok"]
        time.sleep(0.1)
    lost = sum(board.ticks(meter)["lost"] for board in storm.boards for meter in METERS)
    for _ in bars:
        pass
    return {**storm.counts, "ticks": sum(told.values()), "ticks lost with the power": lost}


if __name__ == "__main__":
    proving.main(run, __doc__, proved="every tick told is in one drink", wanted=60.0, unit="seconds")
