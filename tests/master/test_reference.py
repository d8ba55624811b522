"""The reference in docs/ is what the parser takes, to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from kegmaster import reference
from kegmaster.keys import KEYS, Key

PAGE = Path(__file__).parents[2] / "docs" / "configuration.rst"


def test_the_page_in_docs_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert reference.refreshed(page) == page, "run: python -m kegmaster.reference docs/configuration.rst"


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.name)
def test_every_key_says_what_it_means_and_what_it_takes(key: Key) -> None:
    text = reference.entry(key)
    assert key.name in text
    assert "Value: " in text
    assert "Value: ." not in text, "its parser needs a docstring"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        reference.refreshed("Configuration\n")
