"""The store's file and what the core keeps in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from kegapps.core.database import APPLICATION_ID, CACHE_KIB, StoreError, connect, default_path, explain
from kegapps.core.flows import resumed_mono_s
from kegapps.core.ledger import Ledger
from kegapps.core.model import Drink, Flow, Meter, Now, OnTap, Presence, Tap, Temperature
from kegapps.core.outbox import Counts
from kegapps.core.pending import Changes
from kegapps.core.schema import MIGRATIONS, SCHEMA_VERSION
from kegapps.core.store import Store
from kegapps.kegnet.events import DrinksRequest

NOW = Now(mono_s=5000.0, unix_s=1_795_216_330.0)
TAP = Tap(name="kegboard.flow0", ml_per_tick=0.25)
METER = Meter(
    name="kegboard.flow0", last_reading=2**32 - 1, read_unix_s=NOW.unix_s, read_mono_s=NOW.mono_s, counted_ticks=77, small_ticks=3,
    dropped_ticks=2**40, dropped_steps=2, dropped_reason="step too large",
)  # fmt: skip
FLOW = Flow(
    uuid="f-1", flow_id=1_795_216_000, tap_name="kegboard.flow0", username="alice", idle_limit_s=120.0,
    start_unix_s=NOW.unix_s - 9.5, last_unix_s=NOW.unix_s - 1.25, last_mono_s=NOW.mono_s - 1.25, ticks=70,
)  # fmt: skip
PRESENCE = Presence(tap_name="kegboard.flow0", device="core.onewire", token="01", accepted=True)
DRINK = Drink(
    uuid="f-1", flow_id=FLOW.flow_id, tap_name=FLOW.tap_name, username="alice", ticks=1000, ml_per_tick=0.25,
    volume_ml=250.0, start_unix_s=NOW.unix_s - 9.5, end_unix_s=NOW.unix_s - 1.25,
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "new folder" / "kegbot.sqlite")


def all_of_it() -> Changes:
    return Changes(
        taps={TAP.name: TAP}, meters={METER.name: METER}, flows={FLOW.uuid: FLOW},
        presences={TAP.name: PRESENCE}, last_flow_id=FLOW.flow_id,
        temperatures={("a.thermo-1", 29_920_272): Temperature(sensor_name="a.thermo-1", unix_minute=29_920_272, celsius=4.25)},
    )  # fmt: skip


def test_a_store_of_the_first_version_keeps_its_readings(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(MIGRATIONS[0])
    db.execute("insert into meters values ('a.flow0', 5000, ?, 70, 1, 2, 3, '')", (NOW.unix_s - 60.0,))
    db.execute(f"pragma application_id = {APPLICATION_ID}")
    db.execute("pragma user_version = 1")
    db.close()
    store = Store(path, boot_id="this boot")
    (meter,) = store.load_memory(NOW).meters
    store.close()
    assert (meter.last_reading, meter.counted_ticks) == (5000, 70)
    assert meter.read_mono_s == NOW.mono_s - 60.0  # by the wall clock, the only one that it told


def test_of_a_large_store_little_is_kept_in_memory(path: str) -> None:
    db = connect(path, create=True, busy_timeout_s=1.0)
    assert db.execute("pragma cache_size").fetchone() == (-CACHE_KIB,)
    db.close()


def test_what_was_committed_is_there_after_a_restart(path: str) -> None:
    store = Store(path, boot_id="this boot")
    assert store.commit(all_of_it()) == {}
    store.close()
    store = Store(path, boot_id="this boot")
    assert store.load_setup().taps == {TAP.name: TAP}
    memory = store.load_memory(NOW)
    assert memory.meters == (METER,)
    assert memory.flows == (FLOW,)
    assert memory.presences == (PRESENCE,)
    assert memory.last_flow_id == FLOW.flow_id
    assert memory.temperatures == (
        Temperature(sensor_name="a.thermo-1", unix_minute=29_920_272, celsius=4.25),
    )
    store.close()


def test_a_flow_that_ended_becomes_its_drink_in_the_same_commit_and_only_once(path: str) -> None:
    store = Store(path, boot_id="")
    store.commit(all_of_it())
    ended = Changes(ended={DRINK.uuid: DRINK}, presences={TAP.name: None})
    assert store.commit(ended) == {"f-1": 1}
    assert store.commit(ended) == {"f-1": 1}, "a commit that is repeated finds the drink there"
    assert store.load_memory(NOW).flows == ()
    assert store.load_memory(NOW).presences == ()
    other = Changes(ended={"f-2": None, "f-3": replace(DRINK, uuid="f-3")})
    assert store.commit(other) == {"f-3": 2}
    assert store.count_drinks() == 2
    store.close()


def test_a_commit_that_fails_leaves_nothing_of_itself(path: str) -> None:
    store = Store(path, boot_id="")
    bad = all_of_it()
    bad.taps["x"] = Tap(name="x", ml_per_tick=-1.0)
    with pytest.raises(StoreError, match="CHECK"):
        store.commit(bad)
    assert store.load_setup().taps == {}
    assert store.commit(all_of_it()) == {}
    store.close()


def test_what_people_set_is_not_overwritten_by_a_meter_heard_again(path: str) -> None:
    store = Store(path, boot_id="")
    store.commit(Changes(taps={TAP.name: TAP}))
    ledger = Ledger(path)
    ledger.set_tap(TAP.name, ml_per_tick=0.5)
    store.commit(Changes(taps={TAP.name: TAP}))
    assert store.load_setup().taps[TAP.name].ml_per_tick == 0.5
    ledger.close()
    store.close()


def test_only_the_edits_of_others_are_noticed(path: str) -> None:
    store = Store(path, boot_id="")
    store.commit(all_of_it())
    assert not store.changed_elsewhere()
    ledger = Ledger(path)
    assert not store.changed_elsewhere()
    ledger.add_user("alice", NOW.unix_s)
    assert store.changed_elsewhere()
    assert not store.changed_elsewhere()
    ledger.close()
    store.close()


def test_the_file_is_private_in_wal_mode_fully_synchronous_and_says_what_it_is(path: str) -> None:
    store = Store(path, boot_id="")
    store.commit(all_of_it())
    for suffix in ("", "-wal", "-shm", ".lock"):
        assert stat.S_IMODE(os.stat(path + suffix).st_mode) == 0o600, suffix
    pragmas = {name: store._db.execute(f"pragma {name}").fetchone()[0] for name in (
        "journal_mode", "synchronous", "foreign_keys", "user_version", "application_id")}  # fmt: skip
    assert pragmas == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "user_version": SCHEMA_VERSION,
        "application_id": 0x4B656773,
    }  # fmt: skip
    store.close()


def test_a_file_that_others_could_read_is_made_private(path: str) -> None:
    Store(path, boot_id="").close()
    os.chmod(path, 0o644)
    Store(path, boot_id="").close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_second_core_on_the_same_store_is_told_who_has_it(path: str) -> None:
    store = Store(path, boot_id="")
    with pytest.raises(
        StoreError, match=rf"another kegbot_core \(pid {os.getpid()}\) uses it; stop that one"
    ):
        Store(path, boot_id="")
    store.close()
    Store(path, boot_id="").close()


def test_a_link_is_no_way_around_the_lock(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.symlink_to(Path(path).parent)
    link = tmp_path / "link.sqlite"
    link.symlink_to(path)
    store = Store(str(link), boot_id="")
    for name in (path, str(folder / Path(path).name), str(link)):
        with pytest.raises(StoreError, match=rf"store {path}: another kegbot_core"):
            Store(name, boot_id="")
    store.close()


def test_a_store_with_a_second_name_is_refused(path: str, tmp_path: Path) -> None:
    Store(path, boot_id="").close()
    other = str(tmp_path / "other store.sqlite")
    os.link(path, other)
    for name in (path, other):
        with pytest.raises(
            StoreError, match=rf"has another name.* find / -xdev -samefile '{name}', and remove"
        ):
            Store(name, boot_id="")
        with pytest.raises(StoreError, match="has another name"):
            Ledger(name)
    os.unlink(other)
    Store(path, boot_id="").close()


# Files that cannot be used: one line each, and they stay as they are


def _garbage(path: Path) -> None:
    path.write_bytes(b"beer " * 5000)


def _truncated(path: Path) -> None:
    store = Store(str(path), boot_id="")
    store.commit(all_of_it())
    store.close()
    os.truncate(path, os.path.getsize(path) - 3 * 4096)


def _damaged_inside(path: Path) -> None:
    store = Store(str(path), boot_id="")
    store.commit(all_of_it())
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 2048)


def _another_program(path: Path) -> None:
    db = sqlite3.connect(path)
    db.executescript("create table notes (text); insert into notes values ('mine')")
    db.close()


def _newer(path: Path) -> None:
    Store(str(path), boot_id="").close()
    db = sqlite3.connect(path)
    db.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    db.close()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_garbage, "damaged, or no store at all; it is left as it is: restore a backup, or name another"),
        (_truncated, "damaged, or no store at all"),
        (_damaged_inside, "damaged, or no store at all"),
        (_another_program, "a database of another program; name another file with --store"),
        (
            _newer,
            f"written by a newer kegmaster .schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION}",
        ),
    ],
)
def test_a_file_that_is_no_store_of_ours_is_refused_and_not_touched(
    make: object, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "kegbot.sqlite"
    make(path)  # type: ignore[operator]
    before = path.read_bytes()
    with pytest.raises(StoreError, match=reason) as error:
        Store(str(path), boot_id="")
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/proc/kegbot/x.sqlite", "No such file"), ("/dev/null", "not a file"), ("/", "not a file")],
)
def test_a_path_that_cannot_be_a_store_is_refused_in_one_line(path: str, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        Store(path, boot_id="")


def test_a_store_that_is_missing_is_not_made_by_a_reader(path: str) -> None:
    with pytest.raises(StoreError, match=r"no store at .*: start kegbot_core once, or name another file"):
        Ledger(path)
    assert not os.path.exists(path)


def test_an_empty_file_becomes_a_store_but_not_for_a_reader(tmp_path: Path) -> None:
    path = str(tmp_path / "empty")
    Path(path).touch()
    with pytest.raises(StoreError, match="not set up yet"):
        Ledger(path)
    Store(path, boot_id="").close()
    Ledger(path).close()


def test_a_store_without_room_says_so_and_works_again_when_there_is(path: str) -> None:
    store = Store(path, boot_id="")
    store.commit(all_of_it())
    pages = store._db.execute("pragma page_count").fetchone()[0]
    store._db.execute(f"pragma max_page_count = {pages}")
    many = Changes(taps={f"x.flow{n}": Tap(name=f"x.flow{n}", ml_per_tick=1.0) for n in range(1000)})
    with pytest.raises(StoreError, match=r"no room left; make room on the disk of .*new folder") as error:
        store.commit(many)
    assert not error.value.locked
    store.reopen()
    store.commit(many)
    assert len(store.load_setup().taps) == 1001
    store.close()


def test_a_store_that_somebody_holds_locked_says_so(path: str) -> None:
    store = Store(path, boot_id="")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StoreError, match="another program holds it locked") as error:
        store.commit(all_of_it())
    assert error.value.locked
    other.execute("rollback")
    store.commit(all_of_it())
    other.close()
    store.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_READONLY, "cannot be written; check owner and rights"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "cannot be written"),
        (sqlite3.SQLITE_IOERR_FSYNC, "the disk fails .SQLITE_IOERR_FSYNC.; look at what the kernel says"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "damaged"),
        (sqlite3.SQLITE_NOTADB, "damaged"),
        (sqlite3.SQLITE_FULL, "no room left"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked"),
        (sqlite3.SQLITE_ERROR, "odd"),
    ],
)
def test_every_kind_of_error_has_its_words(code: int, words: str) -> None:
    error = sqlite3.OperationalError("odd")
    error.sqlite_errorcode = code
    error.sqlite_errorname = next(
        n for n in vars(sqlite3) if n.startswith("SQLITE_") and getattr(sqlite3, n) == code
    )
    with pytest.raises(StoreError, match=words):
        raise explain(error, "/x/kegbot.sqlite")


# Where it is


@pytest.mark.parametrize(
    ("uid", "environment", "expected"),
    [
        (0, {}, "/var/lib/kegbot/kegbot.sqlite"),
        (1000, {"HOME": "/home/ann"}, "/home/ann/.local/state/kegbot/kegbot.sqlite"),
        (1000, {"HOME": "/home/ann", "XDG_STATE_HOME": "/s"}, "/s/kegbot/kegbot.sqlite"),
        (
            1000,
            {"HOME": "/home/ann", "XDG_STATE_HOME": "relative"},
            "/home/ann/.local/state/kegbot/kegbot.sqlite",
        ),
    ],
)
def test_the_default_place(
    uid: int, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_path() == expected


# A flow that was open when the core ended


@pytest.mark.parametrize(
    ("last_unix_s", "last_mono_s", "same_boot", "expected_idle_s"),
    [
        (NOW.unix_s - 3, NOW.mono_s - 3, True, 3.0),
        (NOW.unix_s + 9e8, NOW.mono_s - 3, True, 3.0),  # the clock was set, but it is the same boot
        (NOW.unix_s - 9e8, NOW.mono_s - 3, True, 3.0),
        (NOW.unix_s - 30, NOW.mono_s - 3, False, 30.0),
        (NOW.unix_s + 9e8, NOW.mono_s - 3, False, 0.0),  # rebooted, and the clock is behind
        (NOW.unix_s - 30, NOW.mono_s + 3, True, 30.0),  # another machine's store, or another time namespace
    ],
)
def test_how_long_a_flow_has_idled_is_known_in_spite_of_clocks(
    last_unix_s: float, last_mono_s: float, same_boot: bool, expected_idle_s: float
) -> None:
    resumed = resumed_mono_s(last_unix_s=last_unix_s, last_mono_s=last_mono_s, same_boot=same_boot, now=NOW)
    assert NOW.mono_s - resumed == pytest.approx(expected_idle_s)


def test_a_store_copied_while_it_is_written_opens_with_all_that_was_committed(
    path: str, tmp_path: Path
) -> None:
    store = Store(path, boot_id="")
    for number in range(20):
        drink = replace(DRINK, uuid=f"d-{number}")
        store.commit(Changes(ended={drink.uuid: drink}))
        copy = tmp_path / f"copy{number}"
        copy.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(path + suffix, copy / f"kegbot.sqlite{suffix}")
        db = connect(str(copy / "kegbot.sqlite"), create=True, busy_timeout_s=1.0)
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        assert db.execute("select count(*) from drinks").fetchone() == (number + 1,)
        db.close()
    store.close()


def test_a_store_of_the_second_version_becomes_one_with_an_outbox_and_keeps_its_drinks(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(MIGRATIONS[0] + MIGRATIONS[1])
    db.execute(
        "insert into drinks values (7, 'f-0', 1, 'kegboard.flow0', 'alice', 1000, 0.25, 250.0, 1.0, 2.0, null)"
    )
    db.execute(f"pragma application_id = {APPLICATION_ID}")
    db.execute("pragma user_version = 2")
    db.close()
    store = Store(path, boot_id="", server_url="http://bar")
    assert store.server_store().counts() == Counts()  # what was poured before is not sent unasked
    assert store.commit(Changes(ended={DRINK.uuid: DRINK})) == {"f-1": 8}
    assert store.server_store().counts().total == 1
    store.close()


def test_a_store_of_the_fifth_version_knows_what_is_left_in_its_kegs(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("".join(MIGRATIONS[:5]))
    db.execute("insert into taps values ('kegboard.flow0', 0.25, 'kegboard.relay0', 'left one')")
    db.execute("insert into kegs values (4, 'kegboard.flow0', 'Alt', 30000.0, 1.0, null)")
    db.execute("insert into kegs values (5, 'kegboard.flow1', 'Pils', 50000.0, 1.0, null)")
    db.execute("insert into server_taps values ('http://bar', 'kegboard.flow1', 'Right', 0.25, '', '7', 5.0)")
    for drink_id, keg_id in ((7, 4), (8, 4), (9, None)):
        db.execute(
            "insert into drinks values (?, ?, 1, 'kegboard.flow0', null, 1000, 0.25, 250.0, 1.0, 2.0, ?)",
            (drink_id, f"u-{drink_id}", keg_id),
        )
    db.execute(f"pragma application_id = {APPLICATION_ID}")
    db.execute("pragma user_version = 5")
    db.close()
    store = Store(path, boot_id="", server_url="http://bar")
    room = store.tap_room()
    expected = OnTap(description="left one", beverage="Alt", keg_volume_ml=30_000.0, keg_left_ml=29_500.0)
    assert room.on_taps() == {"kegboard.flow0": expected}
    store.commit(Changes(ended={DRINK.uuid: replace(DRINK, keg_id=4)}))
    assert room.on_taps()["kegboard.flow0"].keg_left_ml == 29_250.0
    assert [drink.beverage for drink in room.drinks(DrinksRequest(after=0)).drinks] == [
        "Alt",
        "Alt",
        "",
        "Alt",
    ]
    assert [tap.meter_name for tap in store.server_store().taps()] == ["kegboard.flow1"]
    store.close()


def name_of(store_path: str) -> str:
    store = Store(store_path, boot_id="")
    try:
        return store.tap_room().drinks(DrinksRequest(after=0)).store_id
    finally:
        store.close()


def test_a_store_has_a_name_for_life_and_so_has_its_backup_but_no_other_store(
    path: str, tmp_path: Path
) -> None:
    name = name_of(path)
    assert len(name) == 32
    shutil.copy(path, tmp_path / "backup.sqlite")
    assert name_of(str(tmp_path / "backup.sqlite")) == name_of(path) == name
    assert name_of(str(tmp_path / "other.sqlite")) != name


def test_a_store_of_the_sixth_version_and_its_backup_of_then_get_the_same_name(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "old.sqlite", isolation_level=None)
    db.executescript("".join(MIGRATIONS[:6]))
    db.execute(
        "insert into drinks values (7, 'f-0', 1, 'kegboard.flow0', 'alice', 1000, 0.25, 250.0, 1.0, 2.0, null, '')"
    )
    db.execute(f"pragma application_id = {APPLICATION_ID}")
    db.execute("pragma user_version = 6")
    db.close()
    shutil.copy(tmp_path / "old.sqlite", tmp_path / "backup.sqlite")
    assert name_of(str(tmp_path / "old.sqlite")) == name_of(str(tmp_path / "backup.sqlite")) == "f-0"


def test_a_drink_is_in_the_outbox_in_the_same_commit_that_stores_it(path: str) -> None:
    store = Store(path, boot_id="", server_url="http://bar")
    server = store.server_store()
    store.commit(Changes(ended={DRINK.uuid: DRINK}))
    entry, _ = server.next_entry(NOW.unix_s)
    assert entry is not None
    assert (entry.drink_id, entry.state, entry.pour.uuid, entry.pour.username) == (
        1,
        "waiting",
        "f-1",
        "alice",
    )
    assert entry.pour.end_unix_s == DRINK.end_unix_s
    with pytest.raises(StoreError):  # a drink that cannot be stored is not in the outbox either
        store.commit(
            Changes(ended={"f-2": replace(DRINK, uuid="f-2", ticks=2**63 - 1, volume_ml=float("nan"))})
        )
    assert server.counts() == Counts(waiting=1, oldest_unix_s=DRINK.end_unix_s)
    store.close()


def test_without_a_server_nothing_is_in_the_outbox(path: str) -> None:
    store = Store(path, boot_id="")
    store.commit(Changes(ended={DRINK.uuid: DRINK}))
    assert (store.server_store().counts().total, store.server_store().count_elsewhere()) == (0, 0)
    store.close()
