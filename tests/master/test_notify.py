"""What apps report of themselves."""

from __future__ import annotations

import pytest

from kegmaster.notify import MAX_STATUS_CHARS, Report


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("12 taps open", "12 taps open"),
        ("a\x1b[2Jb\tc", "a [2Jb c"),
        ("x" * MAX_STATUS_CHARS, "x" * MAX_STATUS_CHARS),
        ("x" * (MAX_STATUS_CHARS + 1), "x" * (MAX_STATUS_CHARS - 3) + "..."),
    ],
)
def test_a_status_is_one_printable_line_and_ends_in_dots_if_it_is_cut(told: str, shown: str) -> None:
    assert Report(pid=2, uid=0, fields={"STATUS": told}).status == shown
