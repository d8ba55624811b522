"""Text in a row of a terminal: never wider, never narrower."""

from __future__ import annotations

import pytest

from kegapps.lcd.cells import fill


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice", "alice   "),
        ("", "        "),
        ("a long name", "a long n"),
        ("Grüße", "Grüße   "),
        ("e\u0301te\u0301", "été     "),  # put together
        ("x\u0332y", "x\u0332y      "),  # cannot be: the mark stands on its letter
        ("日本酒", "日本酒  "),
        ("a日本酒酒", "a日本酒 "),  # half a letter cannot be shown
        ("🍺!", "🍺!     "),
        ("a\tb\x1b[31m", "a?b?[31m"),
        ("\u202eabc", "abc     "),  # nothing that turns the row around
        ("\u0301a", "a       "),
        ("a\u0085b", "a?b     "),
    ],
)
def test_text_fills_the_row_exactly(text: str, expected: str) -> None:
    assert fill(text, 8) == expected
