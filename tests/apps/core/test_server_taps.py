"""What is believed of the server's taps for show."""

from __future__ import annotations

import pytest

from kegapps.core.server_taps import believed
from kegapps.server.form_api import ServerTap
from kegapps.server.on_tap import OnServerTap

FULL = OnServerTap(
    beverage="Alt", keg_volume_ml=30_000.0, keg_left_ml=10_000.0, sensor_name="kegboard.thermo-1", temperature_c=4.0,
    temperature_unix_s=5.0,
)  # fmt: skip


def shown(on: OnServerTap, keg_id: str | None = "3") -> OnServerTap:
    tap = ServerTap(
        id="1", name="Main", meter_name="kegboard.flow0", ml_per_tick=0.45, relay_name="", keg_id=keg_id, on=on
    )  # fmt: skip
    (good,), says = believed([tap], usual_ml_per_tick=0.45)
    assert says == ()
    return good.on


def test_what_a_sound_tap_has_on_it_is_believed() -> None:
    assert shown(FULL) == FULL


def test_of_a_keg_that_is_not_on_nothing_is_shown_but_how_warm_it_is() -> None:
    assert shown(FULL, keg_id=None) == OnServerTap(
        sensor_name="kegboard.thermo-1", temperature_c=4.0, temperature_unix_s=5.0
    )


@pytest.mark.parametrize("sensor_name", ["", "the cold one", "a" * 65, "__all_taps__", "Kühlraum"])
def test_a_sensor_that_no_board_can_have_is_none(sensor_name: str) -> None:
    on = OnServerTap(beverage="Alt", sensor_name=sensor_name)
    assert shown(on) == OnServerTap(beverage="Alt")
