"""A short sample of the power losses; `python -m tests.apps.core.torn_copies` makes more."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from tests.apps.core import disk_log
from tests.apps.core.torn_copies import plain, record, torn
from tests.apps.core.torn_disk import TornDisk
from tests.master import tracer

pytestmark = pytest.mark.skipif(
    not (disk_log.supported() and tracer.permitted()), reason="no process may be traced here"
)


def test_after_a_power_loss_at_any_instant_all_that_was_announced_is_there(tmp_path: Path) -> None:
    chance = random.Random(20261121)
    recording = record(tmp_path, 2500, chance)
    folder = tmp_path / "torn"
    folder.mkdir()
    assert [found for found in torn(recording, 90, folder, chance) if found] == []
    # The same instants, had the core never told the disk to keep anything, must be found out.
    forgetful = [entry for entry in recording.entries if entry[0] != "sync"]
    negligent = dataclasses.replace(recording, entries=forgetful, seen={})
    assert [found for found in torn(negligent, 30, folder, chance) if found]


def test_a_copy_of_the_files_at_any_instant_holds_all_that_was_announced(tmp_path: Path) -> None:
    assert [found for found in plain(10, tmp_path, random.Random(20261121)) if found] == []


def outcomes(disk: TornDisk, path: str) -> set[bytes | None]:
    chance = random.Random(1)
    return {disk.after_power_loss(chance).get(path) for _ in range(300)}


def test_what_was_synced_is_there_whatever_happens() -> None:
    disk = TornDisk({"f": b"old"})
    disk.write("f", 0, b"new")
    disk.sync("f")
    assert outcomes(disk, "f") == {b"new"}


def test_what_was_not_synced_may_be_there_in_pieces_and_in_any_order() -> None:
    disk = TornDisk({"f": bytes(1024)})
    disk.write("f", 0, b"1" * 1024)
    disk.write("f", 512, b"2" * 512)
    halves = {(image[:1], image[512:513]) for image in outcomes(disk, "f") if image}
    assert halves == {(first, second) for first in (b"\0", b"1") for second in (b"\0", b"1", b"2")}


def test_a_file_may_be_cut_off_or_not_and_its_name_be_there_or_not() -> None:
    disk = TornDisk({"f": b"beer"})
    disk.truncate("f", 1)
    assert outcomes(disk, "f") == {b"beer", b"b", b"b\0\0\0"}
    disk.sync("f")
    disk.remove("f")
    assert outcomes(disk, "f") == {b"b", None}
    disk.sync_folder()
    assert outcomes(disk, "f") == {None}
    disk.write("f", 0, b"wine")
    disk.sync("f")
    assert outcomes(disk, "f") == {b"wine", None}
