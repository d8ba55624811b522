"""Power losses during pours: `python -m tests.apps.core.torn_copies --copies=1000`.

A real core is under pours of four meters: owned and anonymous, small ones too; now and then it is killed, or ended, and
started again. All that it does to its store, and all that it announces, is written down in order (`disk_log`). From
that, for random instants, a disk is made as a power loss may leave it (`torn_disk`). Each such store must open, be
sound, and hold every drink and every tick announced before that instant. Every tenth copy is a plain one: of the files
of a core that stands still for a moment.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kegapps.core.database import StoreError
from kegapps.core.ledger import Ledger
from kegapps.core.store import Store
from kegapps.kegnet.codec import Decoder
from kegapps.kegnet.events import DrinkCreatedEvent, Event, FlowUpdate
from tests.apps.core import disk_log
from tests.apps.core.bar import (
    ALICE,
    ALICE_RFID,
    BOB_RFID,
    FLOW0,
    FLOW1,
    ML_PER_TICK,
    added,
    reading,
    removed,
    request,
)
from tests.apps.core.programs import App, CoreProgram, furnish
from tests.apps.core.torn_disk import TornDisk

ROOT: Final = Path(__file__).resolve().parents[3]
METERS: Final = (FLOW0, FLOW1, "second.flow0", "second.flow1")
FLAGS: Final = (
    "--idle_timeout_s=0.2", "--rfid_idle_timeout_s=0.2", "--onewire_idle_timeout_s=0.2",
    "--api_url=http://127.0.0.1:9/api/v1/", "--api_key=0",  # nobody is there: every drink has to wait in the outbox
)  # fmt: skip
SMALL_TICKS: Final = int(10.0 / ML_PER_TICK)
"""A flow of no more is no drink."""
RUN_S: Final = (0.3, 1.5)
PLAIN_EVERY: Final = 10
MOVES_EVERY: Final = 4
ENTRIES_PER_COPY: Final = 20


@dataclass(slots=True)
class Announced:
    """What subscribers were told so far."""

    drinks: dict[int, int] = field(default_factory=dict)
    """Flow by the drink's number."""
    flows: dict[int, FlowUpdate] = field(default_factory=dict)
    """The update with the most ticks, by flow."""

    def hear(self, event: Event) -> None:
        if isinstance(event, DrinkCreatedEvent):
            self.drinks[event.drink_id] = event.flow_id
        elif isinstance(event, FlowUpdate):
            known = self.flows.get(event.flow_id)
            if known is None or known.ticks < event.ticks:
                self.flows[event.flow_id] = event


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a core did. `seen`: the files as they were when a core had ended, by the number of entries before."""

    initial: dict[str, bytes]
    entries: list[disk_log.Entry]
    seen: dict[int, dict[str, bytes]]


class Crowd:
    """Four meters that are poured from, tags and requests; it goes on where it was when a core comes back."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._ticks = dict.fromkeys(METERS, 2**32 - 500)
        self._pouring = dict.fromkeys(METERS, 0)

    def turn(self, app: App) -> None:
        """What happens within a few milliseconds."""
        chance = self._chance
        for meter in METERS:
            if not self._pouring[meter] and chance.random() < 0.05:
                self._pouring[meter] = chance.choice((3, 15, 60, 200))
            ticks = min(self._pouring[meter], chance.choice((0, 1, 5, 20)))
            self._pouring[meter] -= ticks
            self._ticks[meter] += ticks
        app.send(*(reading(ticks % 2**32, tap=meter) for meter, ticks in self._ticks.items()))
        what = chance.random()
        if what < 0.03:
            app.send(request("stop_flow", tap=chance.choice(METERS)))
        elif what < 0.08:
            app.send(added(chance.choice((ALICE, ALICE_RFID, BOB_RFID)), tap=chance.choice(METERS)))
        elif what < 0.1:
            app.send(removed(ALICE, tap=chance.choice(METERS)))


def record(folder: Path, entries: int, chance: random.Random) -> Recording:
    """So many entries of a core's life below `folder`, at least."""
    store, log = folder / "kegbot.sqlite", folder / "log"
    _furnish(store)
    initial = _files(store)
    recorder = (sys.executable, "-m", disk_log.__name__, str(log), str(folder), store.name)
    launcher = ("env", f"PYTHONPATH={ROOT}", *recorder)
    crowd = Crowd(chance)
    seen: dict[int, dict[str, bytes]] = {}
    while not seen or max(seen) < entries:
        with CoreProgram(store, *FLAGS, launcher=launcher) as core:
            app = App(core.port)
            _pour(app, crowd, chance.uniform(*RUN_S))
            core.end(chance.choice((signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM)))
            app.close()
        seen[sum(1 for _ in disk_log.read(str(log)))] = _files(store)
    return Recording(initial=initial, entries=list(disk_log.read(str(log))), seen=seen)


def torn(recording: Recording, copies: int, folder: Path, chance: random.Random) -> Iterator[list[str]]:
    """For each of so many power losses, what is wrong with the store afterwards. Uses `folder`.

    Raises AssertionError if the recording does not tell all that was done to the files.
    """
    everywhere = range(len(recording.entries) + 1)
    # Instants when SQLite moves pages from the log into the file are rare, and the ones that matter most.
    moves = [
        number for number, (kind, path, _, _) in enumerate(recording.entries)
        if (kind != "say" and not path.endswith("-wal")) or kind in ("remove", "truncate")
    ]  # fmt: skip
    cuts = Counter(
        chance.choice(moves if moves and copy % MOVES_EVERY == 0 else everywhere) for copy in range(copies)
    )
    disk, announced, decoders = TornDisk(recording.initial), Announced(), dict[str, Decoder]()
    for number, entry in enumerate((*recording.entries, None)):
        if number in recording.seen:
            assert disk.newest() == recording.seen[number], "the recording is not the whole truth"
        for _ in range(cuts[number]):
            paths = [_write(folder, path, data) for path, data in disk.after_power_loss(chance).items()]
            yield [f"at entry {number}: {problem}" for problem in problems(folder, announced)]
            for path in (*paths, *folder.glob("kegbot.sqlite*")):
                path.unlink(missing_ok=True)
        if entry is not None:
            _perform(disk, entry, announced, decoders)


def plain(copies: int, folder: Path, chance: random.Random) -> Iterator[list[str]]:
    """The same for copies of the files of a core that stands still meanwhile. Uses `folder`."""
    store, copy = folder / "plain" / "kegbot.sqlite", folder / "copy"
    store.parent.mkdir()
    _furnish(store)
    crowd, announced = Crowd(chance), Announced()
    with CoreProgram(store, *FLAGS) as core:
        app = App(core.port)
        for _ in range(copies):
            _pour(app, crowd, chance.uniform(0.0, 0.1))
            core.process.send_signal(signal.SIGSTOP)
            _wait_until_stopped(core.process.pid)
            copy.mkdir()
            for path, data in _files(store).items():
                _write(copy, path, data)
            core.process.send_signal(signal.SIGCONT)
            # What had been announced by then is in our kernel at least.
            for event in app.heard:
                announced.hear(event)
            app.heard.clear()
            yield problems(copy, announced)
            shutil.rmtree(copy)
        app.close()


def problems(folder: Path, announced: Announced) -> list[str]:
    """What is wrong with the store in `folder`, opened as a core does it after the power is back."""
    path = str(folder / "kegbot.sqlite")
    try:
        Store(path, boot_id="").close()
        with closing(sqlite3.connect(path)) as db:
            return _compare(db, announced)
    except (StoreError, sqlite3.DatabaseError) as error:
        return [str(error)]


def _compare(db: sqlite3.Connection, announced: Announced) -> list[str]:
    found = [verdict for (verdict,) in db.execute("pragma integrity_check") if verdict != "ok"]
    found += [f"a foreign key of {row[0]} leads nowhere" for row in db.execute("pragma foreign_key_check")]
    drinks = dict(db.execute("select id, flow_id from drinks"))
    flows = dict(
        db.execute("select flow_id, ticks from open_flows union all select flow_id, ticks from drinks")
    )
    accounts = {
        name: (counted, small)
        for name, counted, small in db.execute("select name, counted_ticks, small_ticks from meters")
    }
    parts = Counter[str]()
    for table in ("drinks", "open_flows"):
        parts.update(dict(db.execute(f"select tap_name, sum(ticks) from {table} group by 1")))
    found += [
        f"drink {number} was announced and is not there"
        for number, flow_id in announced.drinks.items()
        if drinks.get(number) != flow_id
    ]
    found += [
        f"drink {number} is not in the outbox"
        for (number,) in db.execute("select id from drinks where id not in (select drink_id from outbox)")
    ]
    found += [
        f"keg {number} gave {served_ml} mL by its own account and {drunk_ml} mL by its drinks"
        for number, served_ml, drunk_ml in db.execute(
            "select k.id, k.served_ml, total(d.volume_ml) from kegs k left join drinks d on d.keg_id = k.id group by 1"
        )
        if abs(served_ml - drunk_ml) > 0.001
    ]
    told = Counter[str]()
    for update in announced.flows.values():
        told[update.tap_name] += update.ticks
        ended_small = update.flow_id not in flows and update.ticks <= SMALL_TICKS
        if update.ticks and not ended_small and flows.get(update.flow_id, -1) < update.ticks:
            found.append(f"{update.ticks} ticks of flow {update.flow_id} were announced and are not there")
    for name, (counted, small) in accounts.items():
        if parts[name] + small != counted:
            found.append(f"{name}: {counted} ticks counted, {parts[name] + small} in drinks and flows")
    found += [
        f"{name}: {ticks} ticks were announced, {accounts.get(name, (0, 0))[0]} are there"
        for name, ticks in told.items()
        if accounts.get(name, (0, 0))[0] < ticks
    ]
    return found


def run(copies: int, seed: int, folder: Path) -> Iterator[list[str]]:
    """The problems of each of so many copies; none: []."""
    chance = random.Random(seed)
    plain_copies = copies // PLAIN_EVERY
    replay, torn_folder = folder / "replay", folder / "torn"
    replay.mkdir()
    torn_folder.mkdir()
    recording = record(replay, (copies - plain_copies) * ENTRIES_PER_COPY, chance)
    yield from torn(recording, copies - plain_copies, torn_folder, chance)
    yield from plain(plain_copies, folder, chance)


def _pour(app: App, crowd: Crowd, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        crowd.turn(app)
        app.sock.settimeout(0.004)
        try:
            assert app.listen_once(), "the core hung up"
        except TimeoutError:
            continue


def _perform(
    disk: TornDisk, entry: disk_log.Entry, announced: Announced, decoders: dict[str, Decoder]
) -> None:
    kind, path, number, data = entry
    match kind:
        case "write":
            disk.write(path, number, data)
        case "truncate":
            disk.truncate(path, number)
        case "remove":
            disk.remove(path)
        case "sync" if "kegbot.sqlite" in Path(path).name:
            disk.sync(path)
        case "sync":
            disk.sync_folder()
        case "say":
            for event in decoders.setdefault(path, Decoder()).feed(data):
                if isinstance(event, (DrinkCreatedEvent, FlowUpdate)):
                    announced.hear(event)


def _furnish(store: Path) -> None:
    furnish(store)
    ledger = Ledger(str(store))
    ledger.tap_keg(FLOW0, beverage="Alt", volume_ml=50_000.0, now_unix_s=0.0)
    ledger.close()


def _files(store: Path) -> dict[str, bytes]:
    """The store's files, without -shm, which is made anew, and the lock."""
    paths = (store, store.with_name(f"{store.name}-wal"))
    return {str(path): path.read_bytes() for path in paths if path.exists()}


def _write(folder: Path, path: str, data: bytes) -> Path:
    copy = folder / Path(path).name
    copy.write_bytes(data)
    return copy


def _wait_until_stopped(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began_s, bad, number = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for number, found in enumerate(run(options.copies, options.seed, Path(folder)), start=1):
            bad += bool(found)
            for problem in found:
                print(f"copy {number}: {problem}", flush=True)
    print(f"{number} copies, {bad} of them wrong, {time.monotonic() - began_s:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
