"""What a store costs that has grown: `python -m tests.benchmarks.million_drinks`.

The same is done with a store of 1,000 drinks and with one of 1,000,000, both with as many temperatures and with --waiting
drinks in the outbox: a drink is recorded (the commit, to the disk), the outbox looks for what is due,
kegbot_admin lists, and a core starts. Printed are medians and how many times longer it takes with the larger one.
Exit status 1 if anything but the export takes more than twice as long and 20 ms more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from tests.apps.core.programs import SCRIPTS, CoreProgram, furnish

from kegapps.core.model import Drink
from kegapps.core.pending import Changes
from kegapps.core.server_store import ServerStore
from kegapps.core.store import Store
from kegapps.core.tap_room_store import TapRoomStore
from kegapps.kegnet.codec import encode
from kegapps.kegnet.events import MAX_DRINKS, DrinksRequest

SERVER: Final = "http://localhost:1/api/v1/"
DRINKS_A_KEG: Final = 150
USERS: Final = 200
SENSORS: Final = 8
TAPS: Final = ("kegboard.flow0", "kegboard.flow1")
BEGAN_UNIX_S: Final = 1_500_000_000
EVERY_S: Final = 200.0
LISTS: Final = {
    "drinks --limit=20": ("drinks", "--limit=20"),
    "drinks of a user": ("drinks", "--limit=20", "--user=drinker7"),
    "drinks of a tap": ("drinks", "--limit=20", "--tap=kegboard.flow1"),
    "kegs": ("kegs", "--limit=20"),
    "users": ("users",),
    "taps": ("taps",),
    "temperatures": ("temperatures", "--limit=20"),
    "outbox": ("outbox", "--limit=20"),
}


def fill(path: Path, drinks: int, waiting: int) -> None:
    """A store with so many drinks, as many temperatures, and the last `waiting` drinks in the outbox."""
    furnish(path)
    chance = random.Random(1)
    names = [None, *(f"drinker{number}" for number in range(USERS))]

    def poured() -> Iterator[tuple[object, ...]]:
        for number in range(drinks):
            ticks, end_s = chance.randint(23, 1000), BEGAN_UNIX_S + number * EVERY_S
            yield (
                str(uuid.UUID(int=chance.getrandbits(128))), number, TAPS[number % 2], chance.choice(names), ticks,
                0.4545, ticks * 0.4545, end_s - 9.0, end_s, 1 + number // DRINKS_A_KEG,
            )  # fmt: skip

    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("pragma synchronous = off")
        db.execute("begin")
        db.executemany("insert or ignore into users values (?, 1, 0)", [(name,) for name in names if name])
        kegs = range(1, drinks // DRINKS_A_KEG + 2)
        db.executemany(
            "insert into kegs (id, tap_name, beverage, volume_ml, tapped_unix_s, ended_unix_s) "
            "values (?, 'kegboard.flow0', 'Alt', 50000, ?, ?)",
            [(keg, BEGAN_UNIX_S, None if keg == kegs[-1] else BEGAN_UNIX_S) for keg in kegs],
        )
        db.executemany(
            "insert into drinks (uuid, flow_id, tap_name, username, ticks, ml_per_tick, volume_ml, start_unix_s, "
            "end_unix_s, keg_id) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            poured(),
        )
        db.executemany(
            "insert into temperatures values (?, ?, 4.25)",
            ((f"kegboard.thermo-{number % SENSORS}", number // SENSORS) for number in range(drinks)),
        )
        db.execute(
            "insert into outbox (drink_id, server_url, state, next_unix_s, username, meter_name) "
            "select id, ?, case when id % 20 then 'held' else 'waiting' end, end_unix_s, username, tap_name "
            "from drinks order by id desc limit ?",
            (SERVER, waiting),
        )
        db.execute("commit")
        db.execute("pragma wal_checkpoint(truncate)")


def measure(path: Path, times: int) -> dict[str, float]:
    """Medians in ms."""
    found = {}
    for name, words in LISTS.items():
        found[f"admin {name}"] = _median_ms(partial(_admin, path, *words), 5)
    found["core starts"] = _median_ms(lambda: _start_core(path), 3)
    store = Store(str(path), boot_id="", server_url=SERVER)
    found["a drink is recorded"] = _median_ms(lambda: _record(store), times)
    found["what is due next"] = _median_ms(lambda: _look(store.server_store()), times)
    found["the outbox is counted"] = _median_ms(lambda: _count(store.server_store()), 20)
    room = store.tap_room()
    found["what is on tap is told"] = _median_ms(lambda: _tell(room), times)
    newest, oldest = DrinksRequest(after=-1, limit=MAX_DRINKS), DrinksRequest(after=0, limit=MAX_DRINKS)
    found["two hundred drinks are told"] = _median_ms(lambda: _encode(room, newest, oldest), 50)
    store.close()
    return found


def _tell(room: TapRoomStore) -> None:
    room.on_taps()
    room.last_drink()


def _encode(room: TapRoomStore, *requests: DrinksRequest) -> None:
    for request in requests:
        encode(room.drinks(request))


def _record(store: Store) -> None:
    drink = Drink(
        uuid=str(uuid.uuid4()), flow_id=1, tap_name=TAPS[0], username="drinker3", ticks=500, ml_per_tick=0.4545,
        volume_ml=227.0, start_unix_s=time.time() - 9, end_unix_s=time.time(), keg_id=1,
    )  # fmt: skip
    store.commit(Changes(ended={drink.uuid: drink}))


def _look(server: ServerStore) -> None:
    server.next_entry(time.time())


def _count(server: ServerStore) -> None:
    server.counts()
    server.held_meters()


def _start_core(path: Path) -> None:
    with CoreProgram(path, f"--api_url={SERVER}", "--api_key=0"):
        pass


def _admin(path: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, str(SCRIPTS / "kegbot_admin.py"), f"--store={path}", *words],
        stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip


def _median_ms(action: Callable[[], None], times: int) -> float:
    action()
    durations = []
    for _ in range(times):
        began_s = time.perf_counter()
        action()
        durations.append(1000 * (time.perf_counter() - began_s))
    return statistics.median(durations)


def export_of(path: Path) -> tuple[float, float]:
    """Seconds, and the most memory that kegbot_admin had, MiB."""
    began_s = time.perf_counter()
    _admin(path, "export", "drinks", "-")
    return time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drinks", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=100, help="drinks in the outbox of either store")
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--dir", help="a folder on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    small, large = 1000, options.drinks
    found: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        for drinks in (small, large):
            path = Path(folder) / f"{drinks}.sqlite"
            fill(path, drinks, options.waiting)
            found[drinks] = measure(path, options.times)
            found[drinks]["MiB on disk"] = os.path.getsize(path) / (1 << 20)
        exports = {drinks: export_of(Path(folder) / f"{drinks}.sqlite") for drinks in (small, large)}
    grown = [
        name for name, ms in found[small].items()
        if name != "MiB on disk" and found[large][name] > max(2 * ms, ms + 20)
    ]  # fmt: skip
    if options.json:
        print(json.dumps({"ms": found, "exports": exports, "grown": grown}, indent=2))
        return 1 if grown else 0
    print(f"{'milliseconds, with so many drinks':35} {small:>10,} {large:>10,}  ratio")
    for name, ms in found[small].items():
        print(f"{name:35} {ms:10.2f} {found[large][name]:10.2f} {found[large][name] / ms:6.2f}")
    for drinks, (seconds, mib) in exports.items():
        print(f"export of {drinks:,} drinks: {seconds:.1f} s, {mib:.0f} MiB of memory")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
