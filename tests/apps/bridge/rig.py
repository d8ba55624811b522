"""Two machines on one: a core with its bridge and a broker, and an emulated board with its daemon and a bridge."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from kegapps.core.ledger import Ledger
from tests.apps.bridge.mosquitto import Mosquitto, until
from tests.apps.core.programs import CoreProgram, furnish
from tests.apps.kegboard.programs import Bar, Program, Simulator, bar_in

CELLAR = "cellar"
SECRET = "a-secret-of-both-machines"


def secret_file(folder: Path) -> str:
    """A file with the secret of all bridges in `folder`."""
    path = folder / "secret"
    path.touch(0o600)
    path.write_text(f"{SECRET}\n")
    return str(path)


class Counts:
    """What the store says of the first meter."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def reading(self) -> int | None:
        """What the store knows of kegboard.flow0: its last reading."""
        return self._one("select last_reading from meters where name = 'kegboard.flow0'")

    def until_read(self, reading: int) -> None:
        """Wait until the last reading is this one."""
        until(lambda: self.reading() == reading, f"for the reading {reading}")

    def until_counted(self, more_than: int) -> None:
        """Wait until more than so many ticks are counted."""
        until(lambda: self.counted() > more_than, f"for more than {more_than} ticks")

    def counted(self) -> int:
        """All ticks that were counted on kegboard.flow0."""
        return self._one("select counted_ticks from meters where name = 'kegboard.flow0'") or 0

    def dropped(self) -> int:
        """All ticks that were not believed."""
        return self._one("select dropped_ticks from meters where name = 'kegboard.flow0'") or 0

    def drinks(self) -> list[int]:
        """The ticks of each drink."""
        ledger = Ledger(str(self.store))
        try:
            return [drink.ticks for drink in ledger.drinks(limit=100)]
        finally:
            ledger.close()

    def _one(self, query: str) -> int | None:
        db = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=5.0)
        try:
            row = db.execute(query).fetchone()
            return None if row is None else int(row[0])
        finally:
            db.close()


class Rig(Counts):
    """Everything starts in order; each part can be killed and started again."""

    def __init__(
        self,
        bar: Bar,
        folder: Path,
        *broker_lines: str,
        core_flags: tuple[str, ...] = (),
        secret: bool = True,
    ) -> None:
        self.bar = bar
        self._both = (f"--mqtt_secret_file={secret_file(folder)}",) if secret else ()
        self.folder = folder
        self.broker = bar.enter(Mosquitto(folder, *broker_lines))
        super().__init__(folder / "kegbot.sqlite")
        furnish(self.store)
        self.core_port = 0  # any, at first
        self.core = self.start_core()
        self.core_bridge = self.start_core_bridge(*core_flags, waiting=False)  # others start meanwhile
        self.hub_port = 0
        self.boards_bridge: Program | None = None
        self.board: Simulator | None = None
        self.daemon: Program | None = None

    def start_core(self) -> CoreProgram:
        self.core = self.bar.enter(CoreProgram(self.store, address=f"localhost:{self.core_port}"))
        self.core_port = self.core.port
        return self.core

    def start_core_bridge(self, *flags: str, waiting: bool = True) -> Program:
        self.core_bridge = self.bar.run(
            "mqtt_bridge.py", "--mqtt_role=core", f"--mqtt_address=127.0.0.1:{self.broker.port}",
            f"--kb_core_addr=localhost:{self.core_port}", "--mqtt_state=core-bridge.sqlite", *self._both, *flags,
        )  # fmt: skip
        if waiting:
            self.core_bridge.line("(daemon) ready")
        return self.core_bridge

    def start_boards_bridge(self, *flags: str) -> Program:
        self.boards_bridge = self.bar.run(
            "mqtt_bridge.py", "--mqtt_role=boards", f"--mqtt_name={CELLAR}",
            f"--mqtt_address=127.0.0.1:{self.broker.port}", f"--kb_core_bind_addr=localhost:{self.hub_port}",
            "--mqtt_state=boards-bridge.sqlite", *self._both, *flags,
        )  # fmt: skip
        said = self.boards_bridge.line("(daemon) ready")
        self.hub_port = int(said.partition("apps at localhost:")[2].partition(";")[0])
        return self.boards_bridge

    def start_board(self) -> Simulator:
        """The board and its daemon, whose first reading, 10 ticks, is what the core counts from."""
        self.board = self.bar.simulator("--noreset_on_open", "--thermo=")
        self.daemon = self.bar.daemon(f"localhost:{self.hub_port}")
        self.daemon.line("status: board kegboard: firmware 18")
        self.board.verb("pour", "flow0", "10", "--ticks_per_second=1000")
        until(lambda: self.reading() == 10, "for the first reading")
        return self.board

    def kill(self, program: Program) -> None:
        """kill -9."""
        program.end(signal.SIGKILL)


@contextlib.contextmanager
def rig(
    folder: Path, *broker_lines: str, core_flags: tuple[str, ...] = (), secret: bool = True
) -> Iterator[Rig]:
    """All of it, ended with the test. With `secret` the bridges know each other."""
    bars = bar_in(folder)
    yield Rig(next(bars), folder, *broker_lines, core_flags=core_flags, secret=secret)
    for _ in bars:
        pass
