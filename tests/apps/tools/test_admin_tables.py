"""How rows look: aligned for people, JSON for programs, and never in control of the terminal."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest

from kegapps.core.rows import DrinkRow, TapRow, UserRow
from kegapps.tools.admin_tables import COLUMNS, as_json, parse_since, table, volume

NOW = 1_795_216_330.0


def drink(**fields: object) -> DrinkRow:
    values = {
        "id": 1, "uuid": "u", "tap_name": "kegboard.flow0", "username": None, "ticks": 1000, "ml_per_tick": 1000 / 2200,
        "volume_ml": 1000 / 2.2, "start_unix_s": NOW - 7.0, "end_unix_s": NOW, "beverage": None, **fields,
    }  # fmt: skip
    return DrinkRow(**values)  # type: ignore[arg-type]


def test_a_drink_of_1000_ticks_at_the_default_calibration_shows_as_454_and_a_half_ml() -> None:
    assert "454.5 mL" in table("drinks", [drink()], bold=False)


def test_columns_are_aligned_numbers_to_the_right() -> None:
    rows = [drink(), drink(id=1234, username="alice", ticks=7, volume_ml=12345.6, beverage="Füchschen Alt")]
    heading, first, second = table("drinks", rows, bold=False).splitlines()
    assert heading.split() == ["DRINK", "TIME", "TAP", "USER", "TICKS", "VOLUME", "TOOK", "KEG"]
    for name in ("DRINK", "TICKS", "VOLUME", "TOOK"):
        end = heading.index(name) + len(name)
        assert {line[end - 1] == " " for line in (first, second)} == {False}, name
        assert {line[end : end + 2] for line in (first, second)} == {"  "}, name
    for name in ("TIME", "TAP", "USER", "KEG"):
        assert {line[heading.index(name) - 1] for line in (first, second)} == {" "}
    assert "(guest)" in first
    assert "12.35 L" in second


def test_wide_characters_take_two_columns_and_accents_none() -> None:
    rows = [
        UserRow(username=name, enabled=True, added_unix_s=NOW, tokens=0, last_drink_unix_s=None)
        for name in ("ビール", "e\u0301ric", "bob")
    ]
    _, beer, eric, bob = table("users", rows, bold=False).splitlines()
    assert beer.index("yes") + 3 == eric.index("yes") - 1 == bob.index("yes")


def test_a_terminal_gets_bold_headings_and_the_same_rows() -> None:
    plain, bold = (table("drinks", [drink()], bold=bold).splitlines() for bold in (False, True))
    assert bold[0] == f"\x1b[1m{plain[0]}\x1b[0m"
    assert bold[1:] == plain[1:]


def test_no_cell_breaks_its_line_or_drives_the_terminal() -> None:
    text = table("drinks", [drink(username="a\x1b[2J\nb\u202ec")], bold=False)
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_what_was_dropped_is_shown_with_its_reason() -> None:
    tap = TapRow(
        name="x.flow0", ml_per_tick=0.5, relay_name="", description="", beverage=None, last_reading=5, read_unix_s=NOW,
        counted_ticks=10, dropped_ticks=1101, dropped_steps=2, dropped_reason="step too large",
    )  # fmt: skip
    assert "1101  step too large (2 times)" in table("taps", [tap], bold=False)


def test_json_has_one_row_a_line_and_utc_times() -> None:
    text = as_json([drink(username="ä"), drink(id=2)])
    rows = json.loads(text)
    assert len(text.splitlines()) == 4
    assert [row["id"] for row in rows] == [1, 2]
    assert rows[0]["end_time"] == "2026-11-20T23:12:10.000Z"
    assert rows[0]["username"] == "ä"
    assert rows[1]["username"] is None
    assert json.loads(as_json([])) == []


@pytest.mark.parametrize(
    ("ml", "text"), [(0.0, "0.0 mL"), (454.5454, "454.5 mL"), (999.9, "999.9 mL"), (1500.0, "1.50 L")]
)
def test_volumes(ml: float, text: str) -> None:
    assert volume(ml) == text


def test_every_table_names_its_columns_once() -> None:
    for noun, columns in COLUMNS.items():
        names = [heading for heading, _ in columns]
        assert len(set(names)) == len(names), noun


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("90m", NOW - 5400), ("12h", NOW - 43200), ("7d", NOW - 604800), ("2w", NOW - 1209600), (" 30s ", NOW - 30),
        ("2026-11-20T23:12:10Z", NOW), ("2026-11-20T23:12:10+00:00", NOW),
        ("2026-11-20", datetime(2026, 11, 20).timestamp()),
    ],
)  # fmt: skip
def test_since(text: str, unix_s: float) -> None:
    assert parse_since(text, NOW) == unix_s


@pytest.mark.parametrize("text", ["", "yesterday", "-1h", "12", "1.5h", "9999999d", "2026-13-01", "h"])
def test_what_is_no_time_is_said_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is no time: expected 90m, 12h"):
        parse_since(text, time.time())
