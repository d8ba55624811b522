"""The wall clock may jump by ten years: nothing is decided by it. Read from the source of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MASTER = Path(__file__).resolve().parent.parent.parent / "master" / "kegmaster"

# Where the time of day is read, or made readable, for people; nowhere else.
FOR_PEOPLE = {
    "actions.py": {"time.time", "time.localtime", "time.strftime"},
    "eventlog.py": {"time.time"},
    "forcing.py": {"time.localtime", "time.strftime"},
    "holder.py": {"time.time"},
    "events.py": {"time.gmtime", "time.localtime", "time.strftime"},
    "logs.py": {"time.time_ns"},  # held against the times of files, in the client
    "journal.py": {"time.time", "time.localtime", "time.strftime"},
    "register.py": {"time.time"},
    "crashes.py": {"time.time", "time.localtime", "time.strftime"},
    "succession.py": {"signal.alarm"},  # outlives exec; Linux counts it by the clock that does not jump
    "watchdog.py": {"time.time"},
}
WALL_CLOCK = {
    "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.asctime", "time.mktime",
    "time.strftime", "time.CLOCK_REALTIME", "time.CLOCK_TAI", "signal.setitimer", "signal.alarm",
}  # fmt: skip
STAMPS = {"started_unix", "time_unix"}
"""Times of day that are kept."""
READ_AS_A_CLAIM = {"events.py"}
"""A kept time that makes no sense is refused: the one comparison there is."""


def modules() -> list[Path]:
    return sorted(MASTER.rglob("*.py"))


def dotted(node: ast.AST) -> str:
    return (
        f"{node.value.id}.{node.attr}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        else ""
    )


def stamps(node: ast.AST) -> Iterator[ast.AST]:
    """Every place in `node` that is a time of day which was kept."""
    for part in ast.walk(node):
        if (isinstance(part, ast.Attribute) and part.attr in STAMPS) or (
            isinstance(part, ast.Name) and part.id in STAMPS
        ):
            yield part


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_the_time_of_day_is_read_for_people_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {name for node in ast.walk(tree) if (name := dotted(node)) in WALL_CLOCK}
    assert used <= FOR_PEOPLE.get(path.name, set()), f"{path.name} reads the wall clock, which may jump"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not any(name.split(".")[0] == "datetime" for name in names), f"{path.name}:{node.lineno}"
            assert not (isinstance(node, ast.ImportFrom) and node.module == "time"), (
                f"{path.name}:{node.lineno}"
            )


@pytest.mark.parametrize(
    "path", [path for path in modules() if path.name not in READ_AS_A_CLAIM], ids=lambda path: path.stem
)
def test_no_wait_and_no_choice_comes_from_a_time_of_day(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare | ast.BinOp | ast.If | ast.While):
            parts = [node.test] if isinstance(node, ast.If | ast.While) else [node]
            for part in parts:
                assert not list(stamps(part)), f"{path.name}:{node.lineno} reckons with a time of day"
