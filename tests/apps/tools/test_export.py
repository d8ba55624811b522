"""What is taken out of the store: every row once, in order, safe to open, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import sqlite3
import stat
import subprocess
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kegapps.core import archive
from kegapps.core.ledger import Ledger
from kegapps.core.model import Drink, Temperature
from kegapps.core.pending import Changes
from kegapps.core.rows import DrinkRow
from kegapps.core.store import Store
from kegapps.tools.export_formats import csv_lines, json_lines
from tests.apps.core.bar import added, reading, removed
from tests.apps.core.programs import App, CoreProgram
from tests.apps.tools.test_admin import ADMIN, run, told

NOON_UNIX_S = 1_795_262_400.0  # 2026-11-21T12:00:00Z


def drink(number: int, *, username: str | None = "alice", end_unix_s: float = NOON_UNIX_S) -> Drink:
    return Drink(
        uuid=f"uuid-{number}", flow_id=number, tap_name="kegboard.flow0", username=username, ticks=1000,
        ml_per_tick=0.5, volume_ml=500.0, start_unix_s=end_unix_s - 7.5, end_unix_s=end_unix_s,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Five drinks, an hour between each and the next, the last two at the same time; temperatures of two sensors."""
    path = tmp_path / "kegbot.sqlite"
    made = Store(str(path), boot_id="")
    drinks = [drink(n, end_unix_s=NOON_UNIX_S + 3600 * min(n, 3)) for n in range(5)]
    temperatures = [
        Temperature(sensor_name=sensor, unix_minute=int(NOON_UNIX_S // 60) + minute, celsius=celsius)
        for minute in range(3)
        for sensor, celsius in (("kegboard.thermo-1", 4.25), ("kegboard.thermo-2", -3.5))
    ]
    made.commit(
        Changes(
            ended={drink.uuid: drink for drink in reversed(drinks)},
            temperatures={(t.sensor_name, t.unix_minute): t for t in temperatures},
        )
    )
    made.close()
    return path


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_drinks_leave_as_csv_with_utc_times_and_units_in_the_names(store: Path) -> None:
    first = cells(told(store, "export", "drinks"))[0]
    assert first == {
        "drink_id": "5", "uuid": "uuid-0", "start_time_utc": "2026-11-21T11:59:52.500Z",
        "end_time_utc": "2026-11-21T12:00:00.000Z", "duration_s": "7.5", "tap": "kegboard.flow0", "username": "alice",
        "ticks": "1000", "ml_per_tick": "0.5", "volume_ml": "500.0", "keg_id": "", "beverage": "",
    }  # fmt: skip


def test_drinks_leave_as_json_lines_with_what_is_not_known_as_null(store: Path) -> None:
    first = objects(told(store, "export", "drinks", "--format=jsonl"))[0]
    assert (first["drink_id"], first["volume_ml"], first["beverage"]) == (5, 500.0, None)


def test_temperatures_leave_in_the_order_of_time(store: Path) -> None:
    rows = cells(told(store, "export", "temperatures", "-"))
    assert [row["time_utc"][11:16] for row in rows] == ["12:00", "12:00", "12:01", "12:01", "12:02", "12:02"]
    assert {(row["sensor"], row["temperature_c"]) for row in rows} == {
        ("kegboard.thermo-1", "4.25"),
        ("kegboard.thermo-2", "-3.5"),
    }


def test_since_is_included_and_until_is_not(store: Path) -> None:
    words = ("--since=2026-11-21T13:00:00Z", "--until=2026-11-21T15:00:00Z", "--format=jsonl")
    assert [row["uuid"] for row in objects(told(store, "export", "drinks", *words))] == ["uuid-1", "uuid-2"]
    words = ("--since=2026-11-21T12:01:00Z", "--until=2026-11-21T12:02:00Z", "--format=jsonl")
    assert len(objects(told(store, "export", "temperatures", *words))) == 2


@pytest.mark.parametrize("page_rows", [2, 3, 4, 1000])
def test_no_row_is_lost_or_doubled_between_two_pages(
    store: Path, page_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PAGE_ROWS", page_rows)
    ledger = Ledger(str(store))
    uuids = [row.uuid for row in ledger.archive.drinks()]
    assert uuids[:3] == ["uuid-0", "uuid-1", "uuid-2"]
    assert sorted(uuids[3:]) == ["uuid-3", "uuid-4"]
    assert len({(row.sensor_name, row.unix_s) for row in ledger.archive.temperatures()}) == 6
    ledger.close()


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1"])
def test_no_name_becomes_a_formula_in_a_spreadsheet(name: str) -> None:
    row = DrinkRow(
        id=1, uuid="u", tap_name="kegboard.flow0", username=name, ticks=1, ml_per_tick=0.5, volume_ml=0.5,
        start_unix_s=0.0, end_unix_s=0.0, beverage=name,
    )  # fmt: skip
    (cell,) = cells("".join(csv_lines("drinks", [row])))
    assert (cell["username"], cell["beverage"]) == (f"'{name}", f"'{name}")
    (line,) = objects("".join(json_lines("drinks", [row])))
    assert line["username"] == name


def test_a_name_with_commas_quotes_and_line_ends_stays_in_its_cell() -> None:
    name = 'a,"b"\nc'
    row = DrinkRow(
        id=1, uuid="u", tap_name="t", username=name, ticks=1, ml_per_tick=0.5, volume_ml=0.5, start_unix_s=0.0,
        end_unix_s=0.0, beverage=None,
    )  # fmt: skip
    (cell,) = cells("".join(csv_lines("drinks", [row])))
    assert cell["username"] == name


def test_a_file_is_made_for_its_owner_only_and_never_replaced_unasked(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "drinks.csv"
    assert told(store, "export", "drinks", str(target)) == f"5 drinks written to {target}\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.write_text("mine")
    refused = run(f"--store={store}", "export", "drinks", str(target))
    assert (refused.returncode, target.read_text()) == (1, "mine")
    assert refused.stderr == (
        f"kegbot_admin.py: {target}: exists already; name another file, or replace it with --force\n"
    )
    told(store, "export", "drinks", str(target), "--force")
    assert len(cells(target.read_text())) == 5


def test_what_is_no_file_is_not_replaced_even_by_force(store: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused = run(f"--store={store}", "export", "drinks", str(tmp_path / "pipe"), "--force")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "exists and is no file" in refused.stderr


@pytest.mark.parametrize("verb", ["export drinks", "outbox export", "backup"])
def test_the_store_itself_is_never_replaced_by_whatever_name(verb: str, store: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(store)
    Path(f"{store}.lock").unlink()
    before = store.read_bytes()
    for name in (f"{store}", "folder/kegbot.sqlite", f"{store}-wal", f"{store}-shm", f"{store}.lock", "link"):
        refused = run(f"--store={store}", *verb.split(), str(tmp_path / name), "--force")
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert f"{store}" in refused.stderr
        assert "; name another file\n" in refused.stderr
    assert (store.read_bytes(), Path(f"{store}.lock").exists()) == (before, False)


def test_the_outbox_is_exported_as_carefully_as_drinks(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "outbox.jsonl"
    assert told(store, "outbox", "export", str(target)) == f"0 drinks written to {target}\n"
    assert told(store, "outbox", "export", "-") == ""
    refused = run(f"--store={store}", "outbox", "export", str(target))
    assert (refused.returncode, "exists already" in refused.stderr) == (1, True)
    os.mkfifo(tmp_path / "pipe")
    refused = run(f"--store={store}", "outbox", "export", str(tmp_path / "pipe"), "--force")
    assert (refused.returncode, "exists and is no file" in refused.stderr) == (1, True)


def test_an_export_that_cannot_be_finished_leaves_nothing(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    fill(store, 5000)
    command = f'ulimit -f 100; exec "$0" "$@" {folder}/drinks.csv'
    done = subprocess.run(
        ["sh", "-c", command, *ADMIN, f"--store={store}", "export", "drinks"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, f"kegbot_admin.py: {folder}/drinks.csv: File too large\n")
    assert list(folder.iterdir()) == []


def test_words_that_make_no_sense_are_one_line_and_status_2(store: Path) -> None:
    for words in (
        ("export",),
        ("export", "kegs"),
        ("export", "drinks", "a", "b"),
        ("backup",),
        ("backup", "-"),
    ):
        refused = run(f"--store={store}", *words)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1), words
    assert run(f"--store={store}", "export", "drinks", "--until=soon").returncode == 2
    assert "expected drinks or temperatures" in run(f"--store={store}", "export", "kegs").stderr


def fill(store: Path, drinks: int) -> None:
    with closing(sqlite3.connect(store)) as db, db:
        db.executemany(
            "insert into drinks (uuid, flow_id, tap_name, ticks, ml_per_tick, volume_ml, start_unix_s, end_unix_s) "
            "values (?, 1, 't', 100, 0.5, 50.0, ?, ?)",
            ((f"many-{number}", float(number), float(number)) for number in range(drinks)),
        )


def test_progress_is_shown_on_a_terminal_and_an_interrupted_export_leaves_nothing(
    store: Path, tmp_path: Path
) -> None:
    fill(store, 200_000)
    folder = tmp_path / "out"
    folder.mkdir()
    controller, terminal = pty.openpty()
    command = [*ADMIN, f"--store={store}", "export", "drinks", str(folder / "drinks.csv")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    shown = os.read(controller, 4096)
    assert b" drinks" in shown
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out, list(folder.iterdir())) == (1, b"", [])
    assert b"interrupted; nothing was written" in shown + os.read(controller, 4096)
    os.close(controller)


# Backups


def _has_heard(app: App, ticks: int) -> bool:
    return getattr(app.heard[-1], "ticks", 0) == ticks if app.heard else False


def test_a_backup_is_whole_and_its_owners_while_the_core_pours(store: Path, tmp_path: Path) -> None:
    fill(store, 5000)
    target = tmp_path / "backup.sqlite"
    with CoreProgram(store, "--idle_timeout_s=0.1") as core:
        app = App(core.port)
        app.send(reading(0), added(("core.onewire", "01")), removed(("core.onewire", "01")))
        process = subprocess.Popen(
            [*ADMIN, f"--store={store}", "backup", str(target)], stdout=subprocess.PIPE, text=True
        )
        ticks, end_s = 0, time.monotonic() + 30
        while process.poll() is None:
            ticks += 1
            app.send(reading(ticks))
            app.listen_until(partial(_has_heard, app, ticks))
            assert time.monotonic() < end_s
        out, _ = process.communicate()
        app.close()
    assert (process.returncode, out) == (0, f"{store} is copied to {target}, and the copy checked\n")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if "backup" in path.name) == ["backup.sqlite"]
    assert json.loads(told(target, "drinks", "--limit=1", "--json"))[0]["uuid"] in ("uuid-3", "uuid-4")
    with CoreProgram(target) as core:  # what is restored is a store like any other
        App(core.port).close()


def test_a_damaged_store_gives_no_backup(store: Path, tmp_path: Path) -> None:
    fill(store, 5000)
    with closing(sqlite3.connect(store)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    size = store.stat().st_size
    with store.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(os.urandom(8192))
    target = tmp_path / "backup.sqlite"
    refused = run(f"--store={store}", "backup", str(target))
    assert (refused.returncode, refused.stderr.count("\n"), target.exists()) == (1, 1, False)
    assert "damaged" in refused.stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
