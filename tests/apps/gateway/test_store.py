"""A file that is not the gateway's is left as it is, and its owner is told what to do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kegapps.gateway.store import Store, StoreError


def _database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript("create table notes (text text); insert into notes values ('mine');")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_database, "of another program; name another file with --gateway_store"),
        (lambda path: path.write_text("milk, eggs\n" * 100), "no SQLite file.*--gateway_store"),
        (os.mkfifo, "not a file; name a file with --gateway_store"),
        (os.mkdir, "not a file; name a file with --gateway_store"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_a_file_of_somebody_else_keeps_its_mode_and_every_byte(
    tmp_path: Path, make: Callable[[Path], object], why: str, create: bool
) -> None:
    path = tmp_path / "theirs"
    make(path)
    path.chmod(0o755)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreError, match=why):
        Store(str(path), create=create)
    assert path.stat().st_mode & 0o777 == 0o755
    assert before == (path.read_bytes() if path.is_file() else b"")
    assert [entry.name for entry in tmp_path.iterdir()] == ["theirs"]
