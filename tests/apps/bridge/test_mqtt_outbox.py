"""What a machine with boards keeps for the core, by way of its file: nothing is lost, renumbered or told out of order."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from kegapps.bridge.mqtt_outbox import WINDOW, Outbox
from kegapps.bridge.mqtt_spool import Spool, SpoolError
from kegapps.daemon.errors import StartError
from kegapps.kegnet.backlog import BacklogLimits
from kegapps.kegnet.events import MeterUpdate, TokenAuthEvent


def reading(ticks: int, meter: str = "a.flow0") -> MeterUpdate:
    return MeterUpdate(tap_name=meter, reading=ticks)


def token(value: str) -> TokenAuthEvent:
    return TokenAuthEvent(tap_name="a.flow0", auth_device_name="core.rfid", token_value=value, status="added")


class Disk:
    """An outbox and its file, as the bridge uses them; `crash` loses all that is not on the disk."""

    def __init__(self, path: Path, limits: BacklogLimits | None = None) -> None:
        self.path = path
        self.limits = limits or BacklogLimits(max_events=4096, readings_per_meter=1024)
        self.open()

    def open(self) -> None:
        self.spool = Spool(str(self.path))
        self.outbox = Outbox(
            self.spool.kept(), next_number=int(self.spool.note("next_number") or 0), limits=self.limits
        )

    def commit(self, now_s: float = 0.0) -> None:
        self.outbox.fill(now_s)
        self.spool.commit(self.outbox.changes(), {}, next_number=self.outbox.next_number)

    def crash(self) -> None:
        self.spool.close()
        self.open()

    def told(self, since: int = 0) -> list[tuple[int, int]]:
        return [
            (number, event.reading)
            for number, event in self.outbox.numbered(since, 0.0)
            if isinstance(event, MeterUpdate)
        ]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "spool.sqlite")


def test_numbers_outlive_a_crash_and_are_never_given_twice(disk: Disk) -> None:
    for ticks in (10, 20, 30):
        disk.outbox.add(reading(ticks), 0.0)
    disk.commit()
    assert disk.told() == [(0, 10), (1, 20), (2, 30)]
    disk.crash()
    assert disk.told() == [(0, 10), (1, 20), (2, 30)]
    disk.outbox.confirm(3)
    disk.commit()
    disk.crash()
    assert not len(disk.outbox)
    disk.outbox.add(reading(40), 0.0)
    disk.commit()
    assert disk.told() == [(3, 40)]


def test_what_was_not_committed_was_never_there(disk: Disk) -> None:
    disk.outbox.add(reading(10), 0.0)
    disk.commit()
    disk.outbox.add(reading(20), 0.0)
    disk.crash()
    assert disk.told() == [(0, 10)]


def test_no_more_than_a_window_is_under_way_and_the_rest_follows_in_order(disk: Disk) -> None:
    total = 2 * WINDOW + 7
    for ticks in range(total):
        disk.outbox.add(reading(ticks), 0.0)
    disk.commit()
    assert len(disk.told()) == WINDOW
    heard: list[tuple[int, int]] = []
    while len(disk.outbox):
        batch = disk.told()
        heard += batch
        assert disk.outbox.confirm(batch[-1][0] + 1)
        disk.commit()
    assert heard == [(number, number) for number in range(total)]


def test_what_waits_is_thinned_and_what_is_numbered_is_not(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "spool.sqlite", BacklogLimits(max_events=100, readings_per_meter=16))
    for ticks in range(1000):
        disk.outbox.add(reading(ticks), float(ticks))
        if ticks % 100 == 0:
            disk.commit()
    disk.commit()
    assert len(disk.outbox) <= WINDOW + 16
    told = disk.told()
    assert told[0] == (0, 0)
    disk.outbox.confirm(WINDOW)
    disk.commit()
    assert (told + disk.told())[-1][1] == 999  # the last reading holds all the ticks
    rows = [kept.event for kept in disk.spool.kept()]
    assert len(rows) == len(disk.outbox)


def test_a_token_stays_between_the_readings_of_before_and_after_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "spool.sqlite", BacklogLimits(max_events=100, readings_per_meter=4))
    for ticks in range(WINDOW):  # the window is full
        disk.outbox.add(reading(ticks, "b.flow1"), 0.0)
        if ticks % 4 == 3:
            disk.commit()
    for ticks in range(50):
        disk.outbox.add(reading(ticks), 0.0)
    disk.outbox.add(token("01"), 0.0)
    for ticks in range(50, 100):
        disk.outbox.add(reading(ticks), 0.0)
    disk.commit()
    disk.crash()
    disk.outbox.confirm(WINDOW)
    disk.commit()
    events = [event for _, event in disk.outbox.numbered(0, 0.0)]
    at = events.index(token("01"))
    before = [event.reading for event in events[:at] if isinstance(event, MeterUpdate)]
    after = [event.reading for event in events[at:] if isinstance(event, MeterUpdate)]
    assert before[-1] == 49
    assert after[-1] == 99
    assert before == sorted(before)
    assert after == sorted(after)


def test_a_file_that_takes_nothing_costs_nothing(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.outbox.add(reading(10), 0.0)
    disk.outbox.fill(0.0)
    changes = disk.outbox.changes()
    disk.spool._db.execute("pragma max_page_count = 1")
    monkeypatch.setattr("kegapps.bridge.mqtt_spool.encode", lambda _event: b"x" * 100_000)
    with pytest.raises(SpoolError, match="no room left"):
        disk.spool.commit(changes, {"s": 1}, next_number=1)
    monkeypatch.undo()
    disk.spool._db.execute("pragma max_page_count = 100000")
    disk.outbox.not_stored(changes)
    disk.outbox.add(reading(20), 0.0)
    disk.commit()
    disk.crash()
    assert disk.told() == [(0, 10), (1, 20)]


def test_a_confirmation_of_whatever_number_does_no_harm(disk: Disk) -> None:
    disk.outbox.add(reading(10), 0.0)
    disk.commit()
    assert not disk.outbox.confirm(0)
    assert disk.outbox.confirm(2**62)
    disk.outbox.add(reading(20), 0.0)
    disk.commit()
    assert disk.told() == [(1, 20)]


def test_age_goes_on_over_a_restart(disk: Disk) -> None:
    begin_s = time.monotonic()
    disk.outbox.add(reading(10), begin_s - 60.0)
    disk.commit(begin_s)
    disk.crash()
    ((_, event),) = disk.outbox.numbered(0, begin_s)
    assert event.age_s == pytest.approx(60.0, abs=0.1)


def test_age_goes_on_over_a_reboot_by_the_wall_clock(disk: Disk) -> None:
    begin_s = time.monotonic()
    disk.outbox.add(reading(10), begin_s - 60.0)
    disk.commit(begin_s)
    disk.spool._db.execute("update events set boot_id = 'another', mono_s = 1e9")
    disk.crash()
    ((_, event),) = disk.outbox.numbered(0, begin_s)
    assert event.age_s == pytest.approx(60.0, abs=1.0)


def test_two_bridges_do_not_share_a_file(disk: Disk) -> None:
    with pytest.raises(StartError, match="another bridge uses it"):
        Spool(str(disk.path))


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    other = sqlite3.connect(path)
    other.execute("create table mine (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StartError, match="of another program"):
        Spool(str(path))
    assert path.read_bytes()[100:] == before[100:]
    (tmp_path / "text").write_text("not a database at all, but long enough to be one " * 20)
    with pytest.raises(StartError, match="no file of ours"):
        Spool(str(tmp_path / "text"))


def test_only_the_owner_can_read_the_file(disk: Disk) -> None:
    assert disk.path.stat().st_mode & 0o077 == 0


def test_a_file_of_another_program_is_told_whose_it_is_also_while_that_runs(tmp_path: Path) -> None:
    for number, whose in ((0x4B65_6773, "kegbot_core.py's store"), (7, "of another program")):
        path = tmp_path / f"{number}.sqlite"
        db = sqlite3.connect(path, isolation_level=None)
        db.execute(f"pragma application_id = {number}")
        db.execute("create table drinks (id)")
        db.execute("begin exclusive")
        with pytest.raises(StartError, match=rf"--mqtt_state: {path} is {whose}; name another file"):
            Spool(str(path))
        db.close()
