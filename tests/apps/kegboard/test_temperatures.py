"""From a thermometer to the store: what no sensor means is dropped on the way, and one a minute is kept."""

from __future__ import annotations

import pytest

from kegapps.core.rules import Rules
from kegapps.kbsp.messages import TemperatureReading
from kegapps.kegboard.conversation import Conversation, Remark
from tests.apps.core.bar import Bar

OVEN = Rules(temperature_max_c=125.0)
REPLUGGED = None


@pytest.mark.parametrize(
    ("rules", "history", "kept"),
    [
        (Rules(), [(0, 4.25), (2, 4.5), (59, 5.0), (60, 4.75), (121, 4.5)], [4.25, 4.75, 4.5]),
        (Rules(), [(0, -3.5), (60, 0.0), (120, -0.0625)], [-3.5, 0.0, -0.0625]),
        (Rules(), [(0, 85.0), (2, 4.0)], [4.0]),
        (OVEN, [(0, 85.0), (2, 85.0), (60, 85.0)], []),
        (OVEN, [(0, 4.0), (60, 85.0), (120, 4.0)], [4.0, 4.0]),
        (OVEN, [(0, 79.0), (60, 82.0), (120, 85.0), (180, 85.0), (240, 85.5)], [79.0, 82.0, 85.0, 85.0, 85.5]),
        (OVEN, [(0, 91.0), (60, 85.0)], [91.0]),
        (OVEN, [(0, 90.0), (60, 85.0)], [90.0, 85.0]),
        (OVEN, [(0, 84.0), (30, REPLUGGED), (60, 85.0), (62, 84.0)], [84.0, 84.0]),
        (OVEN, [(0, 85.0), (2, 85.0625), (60, 85.0)], [85.0625, 85.0]),
        (Rules(), [(0, -20.0), (60, -20.0625), (120, 80.0), (180, 80.0625)], [-20.0, 80.0]),
        (OVEN, [(0, -55.5), (2, 125.5), (60, 2000.0), (120, 124.9375)], [124.9375]),
    ],
    ids=[
        "one a minute", "below zero", "first of all 85.0", "never anything but 85.0", "a brown-out",
        "warmed up to it gradually", "a jump to it", "near it", "near it, but plugged in anew",
        "85.0 after its neighbour", "the range of the core", "the range of the sensor",
    ],
)  # fmt: skip
def test_which_temperatures_of_a_sensor_are_kept(
    rules: Rules, history: list[tuple[float, float | None]], kept: list[float]
) -> None:
    talk = Conversation(name="kegboard", required_firmware=7)
    bar = Bar(rules=rules, unix_s=1_795_216_320.0)  # a full minute
    begin_s = bar.now.mono_s
    talk.opened(begin_s)
    for at_s, celsius in history:
        bar.wait(begin_s + at_s - bar.now.mono_s)
        if celsius is None:
            talk.opened(bar.now.mono_s)
            continue
        for event in talk.heard(TemperatureReading(sensor_name="thermo-1", sensor_c=celsius), bar.now.mono_s):
            if not isinstance(event, Remark):
                bar.send(event)
    assert [temperature.celsius for temperature in bar.temperatures()] == kept
