"""Which variables an app names and nobody sets."""

from __future__ import annotations

import pytest

from kegmaster.needs import COMMAND_LINE, unset, variables


def needs(
    words: list[str], files: dict[str, str], environment: set[str] | None = None
) -> list[tuple[str, str]]:
    return [(need.name, need.where) for need in unset(words, environment or set(), files.get)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$KAFKA_USER", ["KAFKA_USER"]),
        ("${KAFKA_USER}", ["KAFKA_USER"]),
        ("a${A}b${B1}c", ["A", "B1"]),
        ("tcp://$HOST:$PORT/", ["HOST", "PORT"]),
        ("${NEEDED:?say it} ${ALSO?}", ["NEEDED", "ALSO"]),
        ("${HAS:-default} ${HAS-default} ${HAS:=x} ${HAS:+x}", []),
        ("$$NAME $${NAME} \\$NAME", []),
        ("$host ${remote_addr} $ref $Id$ $1 $ ${} ${A B} $_", []),
        ("$1$SALT$abcdef $2b$12$ABCDEFx", []),
        ("$NAMEx $Name", []),
        ("$_SECRET_X", ["_SECRET_X"]),
    ],
)
def test_names_are_found_and_other_dollars_are_left(text: str, expected: list[str]) -> None:
    assert variables(text) == expected


def test_the_first_place_of_each_is_told_and_what_is_set_is_not() -> None:
    found = needs(
        ["prog", "$A", "--config=/x/a.config", "/x/b.YML", "/x/c.txt"],
        {
            "/x/a.config": "[broker]\n# $COMMENT\n  ; $COMMENT\nuser = $USERNAME\npass = ${PASSWORD}\nhost = $SET\nx = $A\n",
            "/x/b.YML": "a: $B\nb: $USERNAME\nlower: '${kafka_key}'\n",
            "/x/c.txt": "$NOT_LOOKED_AT",
        },
        {"SET"},
    )
    assert found == [
        ("A", COMMAND_LINE), ("USERNAME", "/x/a.config:4"), ("PASSWORD", "/x/a.config:5"), ("B", "/x/b.YML:1"), ("kafka_key", "/x/b.YML:3"),
    ]  # fmt: skip


def test_the_program_and_files_that_cannot_be_read_are_not_looked_into() -> None:
    assert needs(["/x/a.ini", "/x/none.ini", "-.ini"], {"/x/a.ini": "$A"}) == []
    assert needs(["p", "/x/a.ini"], {"/x/a.ini": "$A \0"}) == []


def test_a_very_long_line_takes_no_time() -> None:
    assert needs(["p", "a.ini"], {"a.ini": "$" * 500_000 + "=" * 500_000 + " " * 100_000 + "x"}) == []
