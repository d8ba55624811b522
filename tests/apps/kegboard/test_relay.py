"""The valve, from a token at one end to the relay at the other: it opens, is fed, and closes whatever ends.

The times are printed by `python -m tests.apps.kegboard.relay_proof`; here they are bounded generously. That a board
closes a valve by itself 10 s after the last command is `test_a_killed_daemon_leaves_the_valve_to_the_watchdog_of_the_
board` and, with the board's own clock, `test_board_commands`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apps.core.bar import ALICE, ALICE_RFID, added, removed
from tests.apps.kegboard.programs import Bar
from tests.apps.kegboard.relay_proof import Chain, start

IBUTTON = ALICE[1]
SOON_S = 3.0  # much less than the 10 s after which the board does it by itself


@pytest.mark.parametrize(
    "act",
    [
        lambda chain: chain.app.send(removed(ALICE)),
        lambda chain: chain.core.process.send_signal(signal.SIGTERM),
        lambda chain: chain.core.process.send_signal(signal.SIGKILL),
        lambda chain: chain.daemon.process.send_signal(signal.SIGTERM),
    ],
    ids=["the flow ends", "SIGTERM of the core", "kill -9 of the core", "SIGTERM of the daemon"],
)
def test_a_valve_is_closed_soon_when(bar: Bar, tmp_path: Path, act: Callable[[Chain], None]) -> None:
    chain = start(bar, tmp_path)
    assert chain.open() < SOON_S
    assert chain.closes(lambda: act(chain)) < SOON_S


def test_a_valve_is_fed_every_second_while_the_flow_lives(bar: Bar, tmp_path: Path) -> None:
    chain = start(bar, tmp_path)
    chain.open()
    assert all(0.3 < feed_s < SOON_S for feed_s in chain.feeds_s(2))
    assert chain.board.state()["relays"]["relay0"]


def test_a_valve_closes_with_its_board_unplugged_and_opens_again_when_it_is_back(
    bar: Bar, tmp_path: Path
) -> None:
    chain = start(bar, tmp_path)
    chain.app.send(added(ALICE_RFID))
    chain.until_relay(on=True)
    chain.board.verb("unplug", "--keep_power")
    chain.core.wait_for("Board kegboard is lost: its valves are closed until it is back")
    chain.board.verb("plug")
    chain.core.wait_for("Board kegboard is back")
    chain.until_relay(on=True)


def replug(bar: Bar, chain: Chain) -> None:
    chain.board.verb("unplug", "--keep_power")
    chain.core.wait_for("Board kegboard is lost")
    chain.board.verb("token_remove", "onewire", IBUTTON)
    chain.board.verb("plug")


def another_daemon(bar: Bar, chain: Chain) -> None:
    chain.daemon.kill()
    chain.core.wait_for("Board kegboard is lost")
    chain.board.verb("token_remove", "onewire", IBUTTON)
    bar.daemon(f"localhost:{chain.core.port}")


def reset(bar: Bar, chain: Chain) -> None:
    chain.board.verb("reset")
    chain.board.verb("token_remove", "onewire", IBUTTON)


@pytest.mark.parametrize("act", [replug, another_daemon, reset])
def test_a_valve_stays_closed_until_the_token_is_shown_again_if_nobody_could_hear_it_go(
    bar: Bar, tmp_path: Path, act: Callable[[Bar, Chain], None]
) -> None:
    chain = start(bar, tmp_path)
    chain.board.verb("token_add", "onewire", IBUTTON)
    chain.until_relay(on=True)
    chain.feeds_s(1)
    act(bar, chain)
    chain.core.wait_for("alice's token may be gone, show it again")
    chain.until_relay(on=False)
    chain.board.verb("token_add", "onewire", IBUTTON)
    chain.until_relay(on=True)
