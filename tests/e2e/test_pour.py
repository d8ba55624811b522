"""The main job: what flows through a meter becomes a stored drink, whatever falls meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.master.conftest import BIN, eventually, wait_for_end

from .conftest import Kegerator


def begin_pour(kegerator: Kegerator, ticks: int, seconds: float) -> subprocess.Popen[bytes]:
    """Pour in the background; returns once the first ticks have reached the store."""
    pouring = subprocess.Popen(
        [
            str(BIN / "kegboard_simulator.py"), f"--device_link={kegerator.run}/kegboard",
            f"--seconds={seconds}", "pour", "flow0", str(ticks),
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    eventually(lambda: meter(kegerator, "flow0") > 0)
    return pouring


def meter(kegerator: Kegerator, name: str) -> int:
    return int(kegerator.board_state()["meters"][name])


def finish(pouring: subprocess.Popen[bytes]) -> None:
    pouring.communicate(timeout=60)
    assert pouring.returncode == 0


def test_a_pour_becomes_a_stored_drink(kegerator: Kegerator) -> None:
    kegerator.board("--seconds=1", "pour", "flow0", "1000")
    (drink,) = kegerator.wait_for_drinks(1)
    assert drink["ticks"] == 1000
    assert drink["volume_ml"] == pytest.approx(454.545, abs=0.001)
    assert "454.5" in kegerator.program_output(
        "kegbot_admin.py", f"--store={kegerator.run}/kegbot.sqlite", "drinks"
    )


def test_two_taps_pour_at_once(kegerator: Kegerator) -> None:
    first = begin_pour(kegerator, 600, 2)
    kegerator.board("--seconds=1", "pour", "flow1", "400")
    finish(first)
    drinks = kegerator.wait_for_drinks(2)
    assert sorted((drink["tap_name"], drink["ticks"]) for drink in drinks) == [
        ("kegboard.flow0", 600),
        ("kegboard.flow1", 400),
    ]


@pytest.mark.parametrize("victim", ["kegbot_core", "kegboard_daemon"])
def test_no_tick_is_lost_when_a_daemon_is_killed_in_the_middle(kegerator: Kegerator, victim: str) -> None:
    if victim == "kegboard_daemon":
        # A board on native USB: opening its port anew does not reset its counters.
        restart_board(kegerator, "reset_on_open = False")
    pouring = begin_pour(kegerator, 900, 3)
    pid = kegerator.pid(victim)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    finish(pouring)
    drinks = kegerator.wait_for_drinks(1)
    assert [drink["ticks"] for drink in drinks] == [900]
    assert kegerator.app(victim)["restarts"] == 1


def restart_board(kegerator: Kegerator, setting: str) -> None:
    text = kegerator.config.read_text().replace("fast_boot = True\n", f"fast_boot = True\n{setting}\n")
    kegerator.config.write_text(text)
    kegerator.master("restart", "kegboard_simulator", "kegboard_daemon")
    kegerator.wait_for_board()
    # Nobody can know how many ticks a board that was on already had counted before the first report of a meter:
    # the first reading ever is only a base.
    kegerator.board("pour", "flow0", "1")
    eventually(lambda: kegerator.admin("taps"))


def test_a_killed_watchdog_does_not_disturb_the_pour(kegerator: Kegerator) -> None:
    pouring = begin_pour(kegerator, 500, 2)
    os.kill(kegerator.master_pid(), signal.SIGKILL)
    finish(pouring)
    (drink,) = kegerator.wait_for_drinks(1)
    assert drink["ticks"] == 500
    assert kegerator.app("kegbot_core")["restarts"] == 0


@pytest.mark.parametrize("power", ["own supply", "from USB"])
def test_a_board_unplugged_in_the_middle_loses_nothing_that_it_counted_since(
    kegerator: Kegerator, power: str
) -> None:
    # The pour must not be over before the board is back, however busy this machine is.
    kegerator.config.write_text(
        kegerator.config.read_text().replace("idle_timeout_s = 3", "idle_timeout_s = 12")
    )
    kegerator.master("restart", "kegbot_core")
    restart_board(kegerator, "reset_on_open = False")
    daemon = kegerator.pid("kegboard_daemon")
    kegerator.board("--seconds=1", "pour", "flow0", "300")
    kegerator.board("unplug", *(["--keep_power"] if power == "own supply" else []))
    reason = eventually(lambda: "firmware" not in (r := kegerator.app("kegboard_daemon")["reason"]) and r)
    assert "unplugged" in str(reason) or "waiting" in str(reason)
    if power == "own supply":
        kegerator.board("--seconds=0.5", "pour", "flow0", "150")
    kegerator.board("plug")
    kegerator.wait_for_board()
    kegerator.board("--seconds=1", "pour", "flow0", "200")
    (drink,) = kegerator.wait_for_drinks(1)
    assert drink["ticks"] == (650 if power == "own supply" else 500)
    assert kegerator.pid("kegboard_daemon") == daemon, "an unplugged board is a state, not a crash"


def test_an_owned_flow_opens_its_valve_and_closes_it_again(kegerator: Kegerator) -> None:
    kegerator.board("--seconds=0.5", "pour", "flow0", "20")
    store = f"--store={kegerator.run}/kegbot.sqlite"
    for words in (
        ("users", "add", "alice"),
        ("tokens", "add", "core.onewire", "0f07060504030201", "alice"),
        ("taps", "set", "kegboard.flow0", "--relay=kegboard.relay0"),
    ):
        kegerator.program_output("kegbot_admin.py", store, *words)
    # An anonymous flow that is under way would be taken over; this is about a fresh one.
    eventually(lambda: kegerator.admin("taps"))
    kegerator.board("token_add", "onewire", "0f07060504030201")
    eventually(lambda: kegerator.board_state()["relays"]["relay0"])
    kegerator.board("--seconds=1", "pour", "flow0", "500")
    kegerator.board("token_remove", "onewire", "0f07060504030201")
    eventually(lambda: not kegerator.board_state()["relays"]["relay0"])
    drinks = eventually(lambda: [drink for drink in kegerator.drinks() if drink["username"] == "alice"])
    assert drinks[0]["ticks"] >= 500
