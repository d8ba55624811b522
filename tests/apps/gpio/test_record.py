"""The record of the counts: what was told is in one good slot, wherever the power fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.daemon.errors import StartError
from kegapps.gpio.counts_file import CountsFile
from kegapps.gpio.live import LiveCounts
from kegapps.gpio.record import COUNTER_SPAN, MAX_METERS, SLOT_BYTES, SLOTS, Record, decode, encode, newest

COUNTS = {"gpio.flow0": 4711, "gpio.flow1": COUNTER_SPAN - 1}


def test_a_record_is_read_as_it_was_written_and_a_person_can_read_it() -> None:
    data = encode(Record(sequence=7, counts=COUNTS))
    assert len(data) == SLOT_BYTES
    assert data.rstrip().startswith(b"gpio_meter 1 ")
    assert data.rstrip().endswith(b' 7 {"gpio.flow0": 4711, "gpio.flow1": 4294967295}')
    assert decode(data) == Record(sequence=7, counts=COUNTS)


def test_all_the_meters_that_may_be_fit() -> None:
    encode(Record(sequence=2**62, counts={f"{'n' * 56}{at}": COUNTER_SPAN - 1 for at in range(MAX_METERS)}))
    with pytest.raises(ValueError, match="do not fit"):
        encode(Record(sequence=1, counts={f"{'n' * 56}{at}": 1 for at in range(100)}))


@pytest.mark.parametrize("counts", [{"a": -1}, {"a": COUNTER_SPAN}, {"a": 1.5}, {"a": True}, {"a": None}])
def test_what_no_meter_shows_is_no_record(counts: dict[str, int]) -> None:
    assert decode(encode(Record(sequence=1, counts=counts))) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_none(junk: bytes) -> None:
    assert decode(junk) is None
    assert newest(junk) is None


@given(st.integers(0, SLOT_BYTES), st.sampled_from([b"\0", b"\xff", b"old", b" "]))
def test_a_write_that_was_torn_anywhere_leaves_the_record_before(torn_at: int, rest: bytes) -> None:
    slots = [b"\0" * SLOT_BYTES] * SLOTS
    for sequence in (1, 2):
        record = Record(sequence=sequence, counts={"gpio.flow0": sequence * 100})
        slots[record.slot] = encode(record)
    new = Record(sequence=3, counts={"gpio.flow0": 300})
    filler = (rest * SLOT_BYTES)[:SLOT_BYTES] if rest != b"old" else slots[new.slot]
    slots[new.slot] = encode(new)[:torn_at] + filler[torn_at:]
    found = newest(b"".join(slots))
    assert found is not None
    assert found.counts["gpio.flow0"] in (200, 300)
    assert found.sequence == found.counts["gpio.flow0"] // 100


def test_the_file_keeps_the_last_that_was_written_and_is_for_one(tmp_path: Path) -> None:
    path = str(tmp_path / "new folder" / "counts")
    file = CountsFile(path)
    assert (file.counts, file.damaged) == ({}, False)
    for count in range(1, 6):
        file.write({"gpio.flow0": count})
    with pytest.raises(StartError, match=rf"another gpio_meter\.py \(pid {os.getpid()}\) uses it"):
        CountsFile(path)
    file.close()
    again = CountsFile(path)
    assert (again.counts, again.damaged) == ({"gpio.flow0": 5}, False)
    again.write({"gpio.flow0": 6})
    again.close()
    assert CountsFile(path).counts == {"gpio.flow0": 6}


@pytest.mark.parametrize("content", [b"my shopping list\n", b"x" * 9999, b"SQLite format 3\0" * 999])
@pytest.mark.parametrize("suffix", ["", ".live"])
def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"counts{suffix}"
    path.write_bytes(content)
    with pytest.raises(StartError, match="a file of something else is there, and is left as it is"):
        LiveCounts(str(path), "boot") if suffix else CountsFile(str(path))
    assert path.read_bytes() == content


def test_by_whatever_link_the_file_is_named_it_is_for_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("counts")
    file = CountsFile(str(tmp_path / "link"))
    assert file.path == str(tmp_path / "counts")
    with pytest.raises(StartError, match=rf"another gpio_meter\.py \(pid {os.getpid()}\) uses it"):
        CountsFile(str(tmp_path / "counts"))
    file.close()


def test_a_link_that_another_user_made_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to("counts")
    monkeypatch.setattr("kegapps.daemon.own_file.is_trusted", lambda _: False)
    with pytest.raises(StartError, match="a link that another user made"):
        CountsFile(str(tmp_path / "link"))
    assert not (tmp_path / "counts").exists()


def test_a_file_of_ours_that_cannot_be_read_any_more_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "counts"
    path.write_bytes(encode(Record(sequence=1, counts={"gpio.flow0": 9})).replace(b"9", b"8"))
    file = CountsFile(str(path))
    assert (file.counts, file.damaged) == ({}, True)
    file.write({"gpio.flow0": 1})
    file.close()
    assert CountsFile(str(path)).counts == {"gpio.flow0": 1}


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "counts"
    path.touch()
    file = CountsFile(str(path))
    assert (file.counts, file.damaged, path.stat().st_size) == ({}, False, SLOT_BYTES * SLOTS)
    file.close()


@pytest.mark.parametrize("path", ["/dev/null/counts", "/proc/counts", "/"])
def test_a_place_where_nothing_can_be_kept_is_refused(path: str) -> None:
    with pytest.raises(StartError, match="name a file that can be written"):
        CountsFile(path)


def test_what_a_killed_process_had_counted_is_taken_over_within_one_boot(tmp_path: Path) -> None:
    path = str(tmp_path / "counts")
    file, live = CountsFile(path), LiveCounts(f"{path}.live", "boot 1".replace(" ", "-"))
    assert live.read() == {}
    file.write({"gpio.flow0": 100, "gpio.flow1": COUNTER_SPAN - 2})
    live.begin({"gpio.flow0": 100, "gpio.flow1": COUNTER_SPAN - 2})
    for pulses in (1, 2, 3):
        live.put(0, 100, pulses)
        live.put(1, COUNTER_SPAN - 2, pulses)
    for each in (file, live):
        each.close()
    assert LiveCounts(f"{path}.live", "boot-2").read() == {}, "after a power cut it may be of any age"
    counted = LiveCounts(f"{path}.live", "boot-1").read()
    assert counted == {"gpio.flow0": 103, "gpio.flow1": 1}
    again = CountsFile(path)
    again.take_over(counted)
    assert again.counts == counted
    again.close()
    assert CountsFile(path).counts == counted


@pytest.mark.parametrize("size", [0, 10, 4095, 4096, 4100, 4104, 4111])
def test_of_a_live_file_that_is_not_whole_only_what_is_there_is_taken(tmp_path: Path, size: int) -> None:
    path = tmp_path / "live"
    live = LiveCounts(str(path), "boot")
    live.begin({"a": 1, "b": 2})
    os.truncate(path, size)
    assert live.read() == ({"a": 1} if size >= 4104 else {})
    path.write_bytes(b"\xff" * 5000)
    assert live.read() == {}
    live.begin({"n" * 60 + str(at): at for at in range(MAX_METERS)})
    assert len(live.read()) == MAX_METERS
    live.begin({"n" * 200 + str(at): at for at in range(MAX_METERS)})
    assert live.read() == {}, "no room for the names"
    live.close()
