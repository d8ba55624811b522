"""Which text may be shown as the name of a thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.daemon.labels import as_label, is_label


@pytest.mark.parametrize(
    "text",
    [
        "", "Pale Ale", "Größe 4°C", "日本", "\N{BEER MUG}", "e\u0301", "\N{HEAVY BLACK HEART}\ufe0f",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 brew",  # a family
        "می\u200cخواهم",  # Persian
        "क्\u200dष",  # Devanagari
    ],
)  # fmt: skip
def test_letters_of_every_script_are_a_label_with_what_joins_them(text: str) -> None:
    assert is_label(text)
    assert as_label(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2J", "a?[2J"),
        ("two\nlines", "two?lines"),
        ("a\u202etxt", "a?txt"),  # from right to left, whatever it is
        ("a\u2066b", "a?b"),
        ("a\u200fb", "a?b"),
        ("a\ufeffb", "a?b"),
        ("a\u00adb", "a?b"),
        ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4??"),  # text that nobody sees
        ("a\udc80b", "a?b"),
        ("\u200d", "?"),
        ("\u200cab", "?ab"),
        ("ab\u200d", "ab?"),
        ("a\u200d\u200db", "a??b"),
        ("a\u200c\u200db", "a??b"),
        ("a\u200d\nb", "a??b"),
    ],
)
def test_what_hides_turns_or_drives_is_none(text: str, shown: str) -> None:
    assert not is_label(text)
    assert as_label(text) == shown


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\u200c\u200da"))))
def test_what_is_shown_of_any_text_is_a_label_as_long_as_it(text: str) -> None:
    assert is_label(as_label(text))
    assert len(as_label(text)) == len(text)
