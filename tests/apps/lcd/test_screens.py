"""What displays of each size show, letter by letter."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.kegnet.events import DrinkFacts
from kegapps.kegnet.taproom import TapFacts
from kegapps.lcd import screens
from kegapps.lcd.screens import UNITS, Pour, Rows, Style

LEFT = TapFacts(
    name="kegboard.flow0", description="Left", beverage="Pale Ale", keg_volume_ml=58_673.9, keg_left_ml=43_066.6,
    temperature_c=4.25,
)  # fmt: skip
BARE = TapFacts(name="kegboard.flow1")
DRINK = DrinkFacts(
    drink_id=7, uuid="", flow_id=1, tap_name="kegboard.flow0", username="alice", ticks=1000, volume_ml=454.545,
    start_unix_s=0.0, end_unix_s=10.0, beverage="Pale Ale",
)  # fmt: skip
ENDED = datetime(2026, 11, 20, 23, 12)
ALICE = Pour(flow_id=1, title="Left", username="alice", volume_ml=454.545, beverage="Pale Ale")
NOBODY = Pour(flow_id=2, title="Right", username=None, volume_ml=29.6)
BOB = Pour(flow_id=3, title="Middle", username="bob", volume_ml=1182.9)


def style(columns: int, rows: int, unit: str = "oz", fahrenheit: bool = False) -> Style:
    return Style(columns=columns, rows=rows, unit=UNITS[unit], fahrenheit=fahrenheit)


def trimmed(rows: Rows) -> list[str]:
    return [row.rstrip() for row in rows]


def test_the_splash_fills_four_rows_as_it_always_did_and_fewer_with_what_matters() -> None:
    rule = " ================== "
    assert screens.splash(style(20, 4), 2) == (rule, "     kegmaster      ", "       2 taps       ", rule)
    assert trimmed(screens.splash(style(16, 2), 1)) == ["   kegmaster", "     1 tap"]
    assert trimmed(screens.splash(style(16, 2), 0)) == ["   kegmaster", "   no tap yet"]
    assert trimmed(screens.splash(style(8, 1), 1)) == ["kegmaster"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((20, 4), [["        Left", "Pale Ale", "73.4% full", "4.2°C"]]),
        ((40, 2), [[" " * 18 + "Left", "Pale Ale"], [" " * 18 + "Left", "73.4% full 4.2°C"]]),
        ((16, 2), [["      Left", "Pale Ale"], ["      Left", "73.4% full 4.2°C"]]),
        ((12, 2), [["    Left", "Pale Ale"], ["    Left", "73.4% full"], ["    Left", "4.2°C"]]),
        ((20, 3), [["        Left", "Pale Ale", "73.4% full 4.2°C"]]),
        ((20, 1), [["        Left"], ["Pale Ale"], ["73.4% full 4.2°C"]]),
    ],
)  # fmt: skip
def test_a_tap_is_shown_whole_on_any_size(size: tuple[int, int], expected: list[list[str]]) -> None:
    assert [trimmed(rows) for rows in screens.tap(style(*size), LEFT)] == expected


@pytest.mark.parametrize(("size", "blank"), [((20, 4), [""]), ((16, 2), [])])
def test_of_what_is_unknown_nothing_is_said(size: tuple[int, int], blank: list[str]) -> None:
    name = "kegboard.flow1".center(size[0]).rstrip()
    assert [trimmed(rows) for rows in screens.tap(style(*size), BARE)] == [[name, *blank]]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((20, 4), [["     Last pour", "user: alice", "when: nov 20 11:12pm", "size: 15.37 oz"]]),
        ((40, 2), [["Last: alice", "15.37 oz nov 20 11:12pm"]]),
        ((16, 2), [["Last: alice", "15.37 oz nov 20"]]),
        ((8, 2), [["Last: alice", "15.37 oz"]]),
        ((16, 1), [["Last: alice"], ["15.37 oz nov 20"]]),
    ],
)  # fmt: skip
def test_the_last_pour_is_shown_on_any_size(size: tuple[int, int], expected: list[list[str]]) -> None:
    assert [trimmed(rows) for rows in screens.last_pour(style(*size), DRINK, ENDED)] == expected


@pytest.mark.parametrize(
    ("hour", "expected"), [(0, "12:05am"), (1, "1:05am"), (11, "11:05am"), (12, "12:05pm"), (23, "11:05pm")]
)
def test_the_clock_has_twelve_hours(hour: int, expected: str) -> None:
    rows = screens.last_pour(style(20, 4), DRINK, datetime(2026, 1, 2, hour, 5))[0]
    assert rows[2] == f"when: jan 2 {expected}"


@pytest.mark.parametrize(
    ("size", "pours", "expected"),
    [
        ((20, 4), [ALICE], ["        Left", "user: alice", "      15.37 oz", "Pale Ale"]),
        ((20, 4), [NOBODY], ["       Right", "user: guest", "      1.00 oz", ""]),
        ((20, 3), [ALICE], ["        Left", "user: alice", "      15.37 oz"]),
        ((16, 2), [ALICE], ["alice", "15.37 oz Left"]),
        ((16, 2), [NOBODY], ["Right", "1.00 oz"]),
        ((16, 1), [ALICE], ["15.37 oz alice, Left"]),
        ((20, 4), [ALICE, NOBODY], ["15.37 oz alice, Left", " 1.00 oz Right"]),
        ((20, 4), [ALICE, NOBODY, BOB], ["15.37 oz alice, Left", " 1.00 oz Right", "40.00 oz bob, Middle"]),
        ((16, 2), [ALICE, NOBODY, BOB], [" 1.00 oz Right", "40.00 oz bob, Middle"]),
        ((20, 3), [ALICE, NOBODY, BOB, ALICE], ["40.00 oz bob, Middle", "15.37 oz alice, Left", "and 2 more"]),
        ((16, 1), [ALICE, BOB], ["40.00 oz bob, Middle"]),
    ],
)  # fmt: skip
def test_what_flows_is_shown_with_whose_it_is(
    size: tuple[int, int], pours: list[Pour], expected: list[str]
) -> None:
    assert trimmed(screens.pouring(style(*size), pours)) == expected


def test_guests_are_called_as_it_is_usual_here() -> None:
    here = Style(columns=20, rows=4, guest="Gast")
    assert trimmed(screens.pouring(here, [NOBODY]))[1] == "user: Gast"
    anonymous = DrinkFacts(
        drink_id=1, uuid="u", flow_id=2, tap_name="Right", username=None, ticks=1, volume_ml=29.6,
        start_unix_s=0.0, end_unix_s=0.0,
    )  # fmt: skip
    assert trimmed(screens.last_pour(here, anonymous, ENDED)[0])[1] == "user: Gast"


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("oz", "15.37 oz"), ("imperial_oz", "16.00 oz"), ("ml", "455 ml"), ("l", "0.45 L"), ("pint", "0.96 pt"),
        ("imperial_pint", "0.80 pt"),
    ],
)  # fmt: skip
def test_volumes_are_told_in_the_unit_of_the_place(unit: str, expected: str) -> None:
    assert style(20, 4, unit).volume(454.545) == expected


def test_every_unit_is_tried_here() -> None:
    assert set(UNITS) == {"oz", "imperial_oz", "ml", "l", "pint", "imperial_pint"}


@pytest.mark.parametrize(("celsius", "expected"), [(4.25, "39.6°F"), (-40.0, "-40.0°F")])
def test_temperatures_may_be_fahrenheit(celsius: float, expected: str) -> None:
    assert style(20, 4, fahrenheit=True).temperature(celsius) == expected


@pytest.mark.parametrize("size", [(20, 4), (16, 2), (8, 1), (80, 16)])
@pytest.mark.parametrize("name", ["x" * 128, "Grüße aus Köln 🍺", "日本酒", "e\u0301a" * 60, "\u202eabc"])
def test_no_name_breaks_a_screen_and_none_stands_before_a_number(size: tuple[int, int], name: str) -> None:
    at = style(*size)
    pour = Pour(flow_id=1, title=name, username=name, volume_ml=454.545, beverage=name)
    facts = TapFacts(name=name, beverage=name, keg_volume_ml=100.0, keg_left_ml=50.0, temperature_c=4.0)
    shown = [screens.pouring(at, [pour]), screens.pouring(at, [pour, pour]), *screens.tap(at, facts)]
    shown += screens.last_pour(at, DRINK, ENDED)
    for rows in shown:
        assert len(rows) <= at.rows
        for row in rows:
            behind = row.partition(name)[2]
            assert not any(letter.isdigit() for letter in behind.replace(name, "")), row


@given(
    columns=st.integers(8, 80),
    rows=st.integers(1, 16),
    name=st.text(max_size=40),
    ml=st.floats(0, 1e12),
    left_ml=st.none() | st.floats(-1e12, 1e12),
    celsius=st.none() | st.floats(-300, 1e12),
    pours=st.integers(1, 40),
)
def test_any_facts_fit_on_any_display(
    columns: int, rows: int, name: str, ml: float, left_ml: float | None, celsius: float | None, pours: int
) -> None:
    at = style(columns, rows)
    facts = TapFacts(name=name, beverage=name, keg_volume_ml=ml, keg_left_ml=left_ml, temperature_c=celsius)
    drink = replace(DRINK, username=name, volume_ml=ml)
    many = [Pour(flow_id=number, title=name, username=name, volume_ml=ml) for number in range(pours)]
    shown = [*screens.tap(at, facts), *screens.last_pour(at, drink, ENDED), screens.pouring(at, many)]
    shown += [screens.splash(at, pours), screens.no_core(at, name, name)]
    assert all(1 <= len(screen) <= rows for screen in shown)


def test_without_a_core_it_says_so_and_why() -> None:
    rows = screens.no_core(style(20, 4), "localhost:9805", "Connection refused")
    assert trimmed(rows) == ["      no core", "localhost:9805", "Connection refused"]
    assert trimmed(screens.no_core(style(16, 2), "localhost:9805", "x")) == ["    no core", "localhost:9805"]
