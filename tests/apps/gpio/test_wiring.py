"""What hangs on which pin, as people write it."""

from __future__ import annotations

import re

import pytest

from kegapps.gpio.wiring import Port, Wiring, check_board_name, parse_wiring


def test_meters_and_relays_are_named_with_their_pins() -> None:
    wiring = parse_wiring(meters=["flow0=GPIO17", " flow1 = gpio27 ", ""], relays=["relay0=5"])
    assert wiring == Wiring(
        meters=(Port(name="flow0", pin=17), Port(name="flow1", pin=27)), relays=(Port(name="relay0", pin=5),)
    )
    assert wiring.text == "flow0 on GPIO17, flow1 on GPIO27, relay0 on GPIO5"
    assert parse_wiring(meters=[], relays=[]) == Wiring()


@pytest.mark.parametrize(
    ("meters", "relays", "said"),
    [
        (["flow0"], [], "--meters: 'flow0': expected NAME=PIN, such as flow0=GPIO17"),
        (["=GPIO17"], [], "expected NAME=PIN"),
        (["a.b=GPIO17"], [], "expected NAME=PIN"),
        (["f" * 17 + "=GPIO17"], [], "expected NAME=PIN"),
        (["flow0=17x"], [], "expected a pin from GPIO2 to GPIO27"),
        (["flow0=GPIO1"], [], "expected a pin from GPIO2 to GPIO27"),
        (["flow0=28"], [], "expected a pin from GPIO2 to GPIO27"),
        (["flow0=BOARD11"], [], "expected a pin from GPIO2 to GPIO27"),
        (["flow0=１７"], [], "expected a pin"),
        ([], ["relay0="], "--relays: 'relay0=': expected a pin"),
        (["flow0=17", "flow0=18"], [], "flow0 is given twice"),
        (["flow0=17", "flow1=GPIO17"], [], "flow0 and flow1 are both on GPIO17"),
        (["flow0=17"], ["relay0=17"], "flow0 and relay0 are both on GPIO17"),
        (["x=17"], ["x=18"], "x is given twice"),
    ],
)
def test_a_mistake_is_told(meters: list[str], relays: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_wiring(meters=meters, relays=relays)


@pytest.mark.parametrize("name", ["gpio", "kegboard", "cellar-2", "a.b"])
def test_a_boards_name_is_short_and_plain(name: str) -> None:
    check_board_name(name)
    for bad in (f"{name} x", f".{name}", name * 21, "", "ä"):
        with pytest.raises(ValueError, match="short name"):
            check_board_name(bad)
