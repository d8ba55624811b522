"""Relays as a board has them: told once, off when nobody asks for 10 s."""

from __future__ import annotations

from kegapps.gpio.outputs import RETRY_S, WATCHDOG_S, Outputs


def test_only_a_change_is_a_change() -> None:
    outputs = Outputs(["relay0", "relay1"])
    assert outputs.command("relay0", enabled=False, now_s=0.0) == {}
    assert outputs.command("relay0", enabled=True, now_s=0.0) == {"relay0": True}
    assert outputs.command("relay0", enabled=True, now_s=1.0) == {}
    assert outputs.on == ("relay0",)
    assert outputs.command("relay0", enabled=False, now_s=2.0) == {"relay0": False}
    assert outputs.command("relay2", enabled=True, now_s=2.0) == {}
    assert outputs.bites_s is None


def test_what_could_not_be_switched_is_tried_again() -> None:
    outputs = Outputs(["relay0"])
    assert outputs.command("relay0", enabled=True, now_s=0.0) == {"relay0": True}
    outputs.failed("relay0", on=True, now_s=0.0)
    assert outputs.command("relay0", enabled=True, now_s=1.0) == {"relay0": True}
    assert outputs.command("relay0", enabled=False, now_s=2.0) == {"relay0": False}
    outputs.failed("relay0", on=False, now_s=2.0)
    assert outputs.bites_s == 2.0 + RETRY_S
    assert outputs.bite(3.0) == {"relay0": False}
    assert outputs.bites_s is None


def test_what_nobody_asks_for_goes_off_after_10_s() -> None:
    outputs = Outputs(["relay0", "relay1"])
    outputs.command("relay0", enabled=True, now_s=0.0)
    outputs.command("relay1", enabled=True, now_s=1.0)
    outputs.command("relay0", enabled=True, now_s=5.0)
    assert outputs.bites_s == 1.0 + WATCHDOG_S
    assert outputs.bite(10.9) == {}
    assert outputs.bite(11.0) == {"relay1": False}
    assert outputs.bites_s == 5.0 + WATCHDOG_S
    assert outputs.all_off() == {"relay0": False}
    assert not outputs.on
    assert not outputs.all_off()
    assert outputs.bites_s is None
