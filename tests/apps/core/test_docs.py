"""docs/core.rst tells the flags and defaults that the program has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kegapps.core.rules import Rules

DOCS = Path(__file__).resolve().parents[3] / "docs" / "core.rst"
TOLD = dict(re.findall(r"^--(\w+) +(\S+) ", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
FLAG_OF = {"not_captive_devices": "noncaptive_devices"}


@pytest.mark.parametrize("name", sorted(Rules.__dataclass_fields__))
def test_every_rule_is_a_flag_in_the_docs_with_its_default(name: str) -> None:
    default = getattr(Rules(), name)
    told = TOLD[FLAG_OF.get(name, name)]
    if isinstance(default, float):
        numerator, _, denominator = told.partition("/")
        assert float(numerator) / float(denominator or 1) == default
    else:
        assert told == (",".join(sorted(default)) if isinstance(default, frozenset) else str(default))


def test_no_flag_is_in_the_docs_that_is_no_rule() -> None:
    assert {FLAG_OF.get(name, name) for name in Rules.__dataclass_fields__} == set(TOLD)
