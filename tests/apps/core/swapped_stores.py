"""A core whose store is emptied, put back to a backup, and replaced, while a program reads its drinks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from kegapps.core.model import Drink
from kegapps.core.pending import Changes
from kegapps.core.store import Store
from kegapps.kegnet.events import FlowRequest, MeterUpdate
from tests.apps.core.programs import DEADLINE_S, App, CoreProgram, furnish

METER = "kegboard.flow1"
OLD = Drink(
    uuid="", flow_id=1, tap_name=METER, username=None, ticks=1000, ml_per_tick=0.25, volume_ml=250.0,
    start_unix_s=1_790_000_000.0, end_unix_s=1_790_000_020.0,
)  # fmt: skip


class SwappedStores:
    """One address, one core at a time, and the stores that it is begun with; the first one runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reading = 0
        furnish(folder / "first.sqlite")
        furnish(folder / "other.sqlite")
        other = Store(str(folder / "other.sqlite"), boot_id="")
        drinks = [replace(OLD, uuid=f"{number:032x}") for number in range(20)]
        other.commit(Changes(ended={drink.uuid: drink for drink in drinks}))
        other.close()
        self._core: CoreProgram | None = CoreProgram(folder / "first.sqlite").__enter__()
        self.port = self._core.port

    def __enter__(self) -> SwappedStores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._end()

    def run_through(self, *, told: Callable[[], int], wait_for: Callable[[str, int], object]) -> None:
        """Twelve drinks, each told once: `told` says how many were, `wait_for(text, times)` waits for the log."""
        first, backup = self._folder / "first.sqlite", self._folder / "backup.sqlite"
        self._pour(3)
        _until(told, 3)
        self._end()
        shutil.copy(first, backup)
        self._begin("empty.sqlite")
        wait_for("never seen before (last drink: 0)", 1)
        self._end()
        self._begin("first.sqlite")
        self._pour(3)
        _until(told, 6)
        self._end()
        shutil.copy(backup, first)
        self._begin("first.sqlite")
        self._reading -= 3000
        self._pour(5)
        _until(told, 11)
        wait_for("drink 3 is the last that both have", 1)
        self._end()
        self._reading = 0
        self._begin("other.sqlite")
        wait_for("never seen before (last drink: 20)", 1)
        self._pour(1)
        _until(told, 12)

    def _begin(self, name: str) -> None:
        self._core = CoreProgram(self._folder / name, address=f"localhost:{self.port}").__enter__()

    def _end(self) -> None:
        if self._core is not None:
            self._core.end()
            self._core.__exit__(None, None, None)
            self._core = None

    def _pour(self, count: int) -> None:
        app = App(self.port)
        for poured in range(count + 1):
            app.send(MeterUpdate(tap_name=METER, reading=self._reading + 1000 * poured))
            app.send(FlowRequest(tap_name=METER, request="stop_flow"))
            app.listen_until(
                lambda poured=poured: sum(line.startswith("drink") for line in app.lines()) == poured  # type: ignore[misc]
            )
        self._reading += 1000 * count
        app.close()


def _until(told: Callable[[], int], count: int) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while told() != count:
        assert time.monotonic() < end_s, f"{told()} told, not {count}"
