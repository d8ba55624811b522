"""The flags in docs/ are what the programs take, to the letter."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from kegapps.daemon import reference

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    page for page in sorted((ROOT / "docs").glob("*.rst")) if ".. flags: " in page.read_text(encoding="utf-8")
]
HELP = "What it is for.\n\nUsage: x.py [flags]\n\nFlags of this program:\n  --one=TEXT\n      First.\n\n--help shows more.\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_flags_of_a_page_are_those_of_the_program(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert reference.refreshed(text, partial(reference.help_of, str(ROOT / "scripts"))) == text, (
        "run: python -m kegapps.daemon.reference scripts docs/*.rst"
    )


def test_what_stands_around_the_marks_stays_and_doing_it_twice_changes_nothing() -> None:
    page = "Before\n\n.. flags: x.py begin\nold\n.. flags: x.py end\n\nAfter\n"
    once = reference.refreshed(page, lambda _: HELP)
    assert once == (
        "Before\n\n.. flags: x.py begin\n\n::\n\n    --one=TEXT\n        First.\n\n.. flags: x.py end\n\nAfter\n"
    )
    assert reference.refreshed(once, lambda _: HELP) == once


@pytest.mark.parametrize(
    "page",
    [".. flags: x.py begin\n", ".. flags: x.py end\n", ".. flags: x.py begin\n.. flags: y.py end\n"],
)
def test_a_mark_without_its_other_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="needs a line"):
        reference.refreshed(page, lambda _: HELP)
