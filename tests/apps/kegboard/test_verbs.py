from __future__ import annotations

import pytest

from kegapps.kbsp.thermo import parse_address
from kegapps.kegboard.board import Board, BoardConfig
from kegapps.kegboard.rig import CannotError, Rig
from kegapps.kegboard.verbs import (
    KeepFlowing,
    Noise,
    Odometer,
    Plug,
    Pour,
    PowerOff,
    PowerOn,
    Reset,
    State,
    Temperature,
    Ticks,
    Token,
    Unplug,
    Verb,
    VerbError,
    parse,
)

TAG = bytes.fromhex("c396ab1504")
IBUTTON = bytes.fromhex("010203040506070f")
THERMO = "thermo-cd08001234561028"


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        ("pour flow0 1000", Pour(meter=0, ticks=1000, seconds=5.0)),
        ("pour flow5 1000 --seconds=2.5", Pour(meter=5, ticks=1000, seconds=2.5)),
        ("pour --seconds=0 flow1 7", Pour(meter=1, ticks=7, seconds=0.0)),
        ("pour flow0 1000 --ticks_per_second=100", Pour(meter=0, ticks=1000, seconds=10.0)),
        ("odometer flow0 4294967295", Odometer(meter=0, ticks=2**32 - 1)),
        (f"temperature {THERMO} 4.25", Temperature(sensor=THERMO, celsius=4.25)),
        (f"temperature {THERMO} -3.5", Temperature(sensor=THERMO, celsius=-3.5)),
        (f"temperature {THERMO} none", Temperature(sensor=THERMO, celsius=None)),
        ("token core.rfid 0415AB96C3", Token(device="core.rfid", token=TAG)),
        ("token core.onewire 0f07060504030201", Token(device="onewire", token=IBUTTON)),
        ("token_add onewire 0f07060504030201", Token(device="onewire", token=IBUTTON, goes=False)),
        ("token_remove onewire 0f07060504030201", Token(device="onewire", token=IBUTTON, comes=False)),
        ("unplug", Unplug()),
        ("unplug --keep_power", Unplug(keep_power=True)),
        ("unplug --keep_power=True", Unplug(keep_power=True)),
        ("unplug --keep_power=False", Unplug()),
        ("plug", Plug()),
        ("power_off", PowerOff()),
        ("power_on", PowerOn()),
        ("flow flow1 12.5", KeepFlowing(meter=1, ticks_per_second=12.5)),
        ("flow flow1 0", KeepFlowing(meter=1, ticks_per_second=0.0)),
        ("ticks", Ticks()),
        ("reset", Reset()),
        ("noise 100", Noise(count=100)),
        ("state", State()),
    ],
)
def test_words_spell_a_verb(words: str, verb: Verb) -> None:
    assert parse(words.split()) == verb


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "expected a verb"),
        ("poor flow0 10", "'poor' is no verb; there are pour"),
        ("poor flow0 10", "noise, state, ticks, script"),
        ("pour flow0", "expected pour METER TICKS"),
        ("pour flow0 10 20", "expected pour METER TICKS"),
        ("pour flow6 10", "'flow6' is no meter"),
        ("pour flow0 -1", "whole number"),
        ("pour flow0 1e3", "whole number"),
        ("pour flow0 4294967296", "whole number from 0 to 4294967295"),
        ("pour flow0 ١٠", "whole number"),
        ("pour flow0 10 --seconds=soon", "--seconds=soon: expected a positive number"),
        ("pour flow0 10 --seconds=nan", "positive number"),
        ("pour flow0 10 --ticks_per_second=0", "positive number"),
        ("pour flow0 1000000000", "longest pour takes 86400 s"),
        ("pour flow0 10 --speed=3", "--speed: unknown"),
        ("reset --seconds=3", "takes no --seconds"),
        ("temperature t warm", "degrees Celsius from -55 to 125"),
        ("temperature t 200", "degrees Celsius"),
        ("token front 0415ab96c3", "'front' is no reader"),
        ("token core.rfid 0415ab96c", "pairs of hex digits"),
        ("token onewire 0415ab96c3", "16 hex digits, not 10"),
        ("token core.rfid " + "00" * 17, "at most 32"),
        ("token_add core.rfid 0415ab96c3", "comes and goes at once: token core.rfid 0415ab96c3"),
        ("noise 9999999", "whole number"),
        ("flow flow0 -1", "ticks a second, 0 to 100000"),
        ("flow flow0 nan", "ticks a second"),
        ("unplug --keep_power=perhaps", "expected true or false"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(words: str, complaint: str) -> None:
    with pytest.raises(VerbError) as raised:
        parse(words.split())
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def rig(*, booted: bool = True) -> Rig:
    rig = Rig(Board(BoardConfig(thermometers=(parse_address(THERMO),))))
    rig.board.reset(0.0)
    if booted:
        rig.run(2.0)
    return rig


def settle(rig: Rig, until_s: float) -> None:
    while (wake_s := rig.wake_s) is not None and wake_s <= until_s:
        rig.run(wake_s)
    rig.run(until_s)


def test_a_pour_flows_evenly_and_is_done_when_the_board_has_told_of_it() -> None:
    tap = rig()
    pour = tap.perform(Pour(meter=0, ticks=1000, seconds=5.0), 2.0)
    assert pour is not None
    tap.run(2.0)
    settle(tap, 4.0)
    assert 390 <= tap.board.meter_ticks[0] <= 410
    settle(tap, 6.95)
    assert not tap.is_done(pour)
    settle(tap, 7.101)
    assert tap.is_done(pour)
    assert pour.counted == 1000
    assert tap.board.meter_ticks == (1000, 0)


def test_a_pour_waits_until_the_board_has_booted() -> None:
    tap = rig(booted=False)
    pour = tap.perform(Pour(meter=0, ticks=100, seconds=1.0), 0.1)
    assert pour is not None
    settle(tap, 2.0)
    assert pour.poured == 0
    settle(tap, 3.2)
    assert pour.counted == 100


def test_beer_that_flows_while_the_board_has_no_power_is_not_counted() -> None:
    tap = rig()
    pour = tap.perform(Pour(meter=0, ticks=100, seconds=1.0), 2.0)
    assert pour is not None
    tap.run(2.0)
    settle(tap, 2.5)
    tap.board.power_off()
    settle(tap, 3.1)
    tap.run(3.1)
    assert tap.is_done(pour)
    assert 45 <= pour.counted <= 51


def test_two_pours_flow_at_once() -> None:
    tap = rig()
    for meter in (0, 1):
        tap.perform(Pour(meter=meter, ticks=100 * (meter + 1), seconds=1.0), 2.0)
    tap.run(2.0)
    settle(tap, 3.2)
    assert tap.board.meter_ticks == (100, 200)


def test_a_tap_left_open_flows_whatever_happens_to_the_board_until_it_is_closed() -> None:
    tap = rig()
    tap.perform(KeepFlowing(meter=0, ticks_per_second=100.0), 2.0)
    settle(tap, 3.0)
    assert tap.board.meter_ticks == (100, 0)
    tap.board.power_off()
    settle(tap, 4.0)
    tap.board.reset(4.0)
    settle(tap, 7.5)  # half of it in the bootloader
    tap.perform(KeepFlowing(meter=0, ticks_per_second=0.0), 7.5)
    settle(tap, 9.0)
    assert tap.board.meter_ticks == (200, 0)
    ticks = tap.board.tally.meters[0]
    assert (ticks.passed, ticks.counted) == (550, 300)


def test_a_slow_pour_wakes_once_a_tick() -> None:
    tap = rig()
    tap.board.power_off()
    tap.perform(Pour(meter=0, ticks=10, seconds=100.0), 2.0)
    tap.run(2.0)
    assert tap.wake_s == 12.0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("pour flow2 10", "the board has no flow2; its meters are flow0 to flow1"),
        ("temperature thermo-0 4", f"no sensor 'thermo-0'; there are: {THERMO}"),
        ("token_remove onewire 0f07060504030201", "not on the contact"),
        ("plug", "needs a cable"),
    ],
)
def test_a_verb_that_this_board_cannot_do_is_refused(words: str, complaint: str) -> None:
    with pytest.raises(CannotError, match=complaint):
        rig().perform(parse(words.split()), 2.0)


@pytest.mark.parametrize("words", ["reset", "odometer flow0 5", "token core.rfid 0415ab96c3"])
def test_a_board_without_power_does_nothing(words: str) -> None:
    tap = rig()
    tap.board.power_off()
    with pytest.raises(CannotError, match=r"no power|not running"):
        tap.perform(parse(words.split()), 2.0)
