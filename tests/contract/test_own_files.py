"""What a program keeps for itself is a file of its own: whatever else is at that path stays as it is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.test_every_program import run, serving_flags

FLAGS = {
    "gpio_meter.py": "--counts",
    "kegboard_gateway.py": "--gateway_store",
    "kegbot_core.py": "--store",
    "mqtt_bridge.py": "--mqtt_state",
    "publisher.py": "--queue",
    "redis_bridge.py": "--redis_state",
}
"""Of each program that keeps something: the flag that names the file."""


def text(path: Path) -> None:
    path.write_text("what somebody wrote\n" * 1000)


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table mine (x)")


def linked(path: Path) -> None:
    text(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


FOREIGN: tuple[Callable[[Path], None], ...] = (text, binary, database, linked, Path.mkdir, os.mkfifo)
BESIDE = (
    ("gpio_meter.py", ".live"),
    ("kegboard_gateway.py", ".lock"),
    ("kegbot_core.py", ".lock"),
    ("publisher.py", ".lock"),
    ("publisher.py", ".sending"),
    ("redis_bridge.py", ".new"),
)
"""What a program writes beside that file."""


def look(path: Path) -> tuple[int, int, bytes]:
    found = path.lstat()
    return found.st_mode, found.st_size, path.read_bytes() if path.is_file() else b""


def refuses(name: str, path: Path, cwd: Path, shown: Path) -> None:
    before = look(shown)
    done = run(name, *serving_flags(name, cwd), f"{FLAGS[name]}={path}", cwd=cwd)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done
    assert str(shown) in done.stderr or str(shown.resolve()) in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert look(shown) == before


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("make", FOREIGN)
def test_what_is_there_and_not_its_own_is_refused_and_left_as_it_is(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    make(path)
    refuses(name, path, tmp_path, path)


@pytest.mark.parametrize("name", FLAGS)
def test_the_name_of_its_file_is_any_bytes(name: str, tmp_path: Path) -> None:
    """A folder is refused in words, and a file is not refused for its name."""
    path = tmp_path / "\udcff"
    path.mkdir()
    done = run(name, *serving_flags(name, tmp_path), f"{FLAGS[name]}={path}", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done
    assert "\\xff" in done.stderr
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(("name", "suffix"), BESIDE)
@pytest.mark.parametrize("make", [text, os.mkfifo])
def test_so_is_what_is_beside_it(
    name: str, suffix: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / f"kept{suffix}"
    make(path)
    refuses(name, tmp_path / "kept", tmp_path, path)
