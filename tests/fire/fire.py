"""The faults of a fire test, one a second, and its course from the first pour to the balance."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fire.boards import Board
from tests.fire.books import Books, accounts, close_books, emitted_by
from tests.fire.kegerator import DAEMONS, IDLE_S, Kegerator
from tests.master.conftest import eventually

POWER_OFF_S: Final = (3.0, 6.0)
"""A board's clock tells a boot from a wrap only if the board was away for clearly longer than clocks differ."""
UNPLUGGED_S: Final = (0.2, 4.0)
SERVER_AWAY_S: Final = (0.0, 4.0)
WEIGHTS: Final = {"core killed": 4, "board daemon killed": 4, "watchdog killed": 2, "board unplugged": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How long, how often and how hard."""

    seconds: float
    seed: int
    boards: int = 4
    server: str | None = None
    """The interface of the Kegbot Server, `form` or `event`; None: there is none."""
    every_s: float = 1.0
    full_disk_s: float = 5.0


class Fire:
    """One run over one kegerator; `done` counts the faults by kind."""

    def __init__(self, kegerator: Kegerator, course: Course) -> None:
        self.done: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self._kegerator = kegerator
        self._course = course
        self._chance = random.Random(course.seed)
        self._under_way: list[threading.Thread] = []
        self._busy: set[str] = set()
        self._tried: set[str] = set()
        self._failures: list[str] = []

    def run(self, say: Callable[[str], None]) -> Books:
        """Pour, break, let it go quiet, balance."""
        kegerator = self._kegerator
        kegerator.start()
        if not kegerator.mounted:
            self.left_out["disk full: no file system may be mounted here"] += 1
        begin, before = accounts(kegerator), emitted_by(kegerator.boards)
        for board in kegerator.boards:
            board.begin()
        began_s = time.monotonic()
        number = 0
        while (now_s := time.monotonic()) < began_s + self._course.seconds:
            number += 1
            self._fault()
            say(
                f"{now_s - began_s:4.0f} s of {self._course.seconds:.0f}: {sum(self.done.values())} faults, "
                f"{sum(emitted_by(kegerator.boards).values()) - sum(before.values())} ticks"
            )
            time.sleep(max(0.0, began_s + number * self._course.every_s - time.monotonic()))
        say("letting it go quiet")
        self._settle()
        after = emitted_by(kegerator.boards)
        books = close_books(kegerator, begin, {name: ticks - before[name] for name, ticks in after.items()})
        books.differences += self._failures
        books.differences += [
            f"{valve} is open" for board in kegerator.boards for valve in board.open_valves()
        ]
        if left := kegerator.stop():
            books.differences.append(f"processes left after stop: {left}")
        return books

    # Faults

    def _fault(self) -> None:
        """Each kind once, those that take longest first; then what chance brings."""
        kinds = self._kinds()
        name = next((kind for kind in kinds if kind not in self._tried), None)
        if name is None:
            name = self._chance.choices(list(kinds), [WEIGHTS.get(kind, 1) for kind in kinds])[0]
        self._tried.add(name)
        if kinds[name]():
            self.done[name] += 1
        else:
            self.left_out[name] += 1

    def _kinds(self) -> dict[str, Callable[[], bool]]:
        kegerator = self._kegerator
        kinds: dict[str, Callable[[], bool]] = {
            "disk full": self._fill_disk,
            "board without power": lambda: self._with_a_board(self._cut_power),
            "board unplugged": lambda: self._with_a_board(self._unplug),
            "server killed": self._kill_server,
            "watchdog killed": lambda: kegerator.kill("kegbot_master"),
            "core killed": lambda: kegerator.kill("kegbot_core"),
            "board daemon killed": lambda: kegerator.kill(self._chance.choice(DAEMONS)),
        }
        missing = {"disk full": not kegerator.mounted, "server killed": kegerator.server is None}
        return {name: action for name, action in kinds.items() if not missing.get(name)}

    def _with_a_board(self, action: Callable[[Board, float], None]) -> bool:
        free = [board for board in self._kegerator.boards if board.name not in self._busy]
        if not free:
            return False
        board, fraction = self._chance.choice(free), self._chance.random()
        self._meanwhile(board.name, lambda: action(board, fraction))
        return True

    def _unplug(self, board: Board, fraction: float) -> None:
        """The cable comes out in the middle of whatever happens; the board has power of its own and counts on."""
        board.verb("unplug", "--keep_power")
        time.sleep(_between(UNPLUGGED_S, fraction))
        board.verb("plug")

    def _cut_power(self, board: Board, fraction: float) -> None:
        """What a board has counted and not told yet is gone with its power: no program can know of it."""
        board.hold()
        self._kegerator.wait_for_board(board)
        board.verb("unplug")
        time.sleep(_between(POWER_OFF_S, fraction))
        board.verb("plug")
        board.go_on()

    def _fill_disk(self) -> bool:
        if "disk" in self._busy:
            return False

        def fill() -> None:
            self._kegerator.fill_disk()
            time.sleep(self._course.full_disk_s)
            self._kegerator.empty_disk()

        self._meanwhile("disk", fill)
        return True

    def _kill_server(self) -> bool:
        server, seconds = self._kegerator.server, _between(SERVER_AWAY_S, self._chance.random())
        if server is None or "server" in self._busy:
            return False
        self._meanwhile("server", lambda: server.kill_for(seconds))
        return True

    def _meanwhile(self, what: str, action: Callable[[], object]) -> None:
        """Do what takes a while beside everything else; nothing else is done to `what` until it is over."""
        self._busy.add(what)

        def perform() -> None:
            try:
                action()
            except (AssertionError, OSError) as error:
                self._failures.append(f"{what}: {error}")
            finally:
                self._busy.discard(what)

        thread = threading.Thread(target=perform, daemon=True)
        thread.start()
        self._under_way.append(thread)

    # The end

    def _settle(self) -> None:
        kegerator = self._kegerator
        for thread in self._under_way:
            thread.join(120)
        for board in kegerator.boards:
            board.end()
        kegerator.wait_until_whole()
        with contextlib.suppress(AssertionError):  # the books tell more than that it took too long
            kegerator.wait_until_told()
            eventually(lambda: not kegerator.rows("select 1 from open_flows"), "flows end", 30 * IDLE_S)
            kegerator.wait_until_delivered()


def _between(limits: tuple[float, float], fraction: float) -> float:
    low, high = limits
    return low + fraction * (high - low)


def run(directory: Path, course: Course, say: Callable[[str], None] = lambda _: None) -> tuple[Books, Fire]:
    """One fire test below `directory`; on differences, what the small disk held is kept in `directory`/kept."""
    kegerator = Kegerator(
        directory, boards=course.boards, interface=course.server, chance=random.Random(course.seed)
    )
    keep: Path | None = directory / "kept"
    try:
        fire = Fire(kegerator, course)
        books = fire.run(say)
        if not books.differences:
            keep = None
    finally:
        kegerator.close(keep)
    return books, fire
