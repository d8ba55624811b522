"""What an app of ours told a kegbot_core that is killed before it reads it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from kegapps.daemon.loop import Loop
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import Event, FlowUpdate, MeterUpdate
from tests.apps.core.bar import ALICE, FLOW0, added, reading, removed
from tests.apps.core.programs import CoreProgram, furnish
from tests.apps.kegnet.support import turn_until


def test_a_token_and_a_pour_that_a_killed_core_had_not_read_are_honoured_by_the_next(tmp_path: Path) -> None:
    store = tmp_path / "kegbot.sqlite"
    furnish(store)
    loop, heard = Loop(), list[Event]()
    with CoreProgram(store) as first:
        client = Client(loop, ("127.0.0.1", first.port), on_event=heard.append)
        client.send(reading(100))
        client.send(reading(110))
        turn_until(loop, lambda: heard and client._sent._confirmed_here)
        first.process.send_signal(signal.SIGSTOP)
        for event in (added(ALICE), reading(510), removed(ALICE)):
            client.send(event)
        assert client.drained  # as far as TCP tells
        first.process.kill()
        turn_until(loop, lambda: not client.connected)
    with CoreProgram(store, address=f"localhost:{first.port}"):
        heard.clear()
        turn_until(
            loop, lambda: any(isinstance(event, FlowUpdate) and event.state == "completed" for event in heard)
        )
        client.close()
    loop.close()
    (last,) = [event for event in heard if isinstance(event, FlowUpdate) and event.state == "completed"]
    assert (last.tap_name, last.username, last.ticks) == (FLOW0, "alice", 410)


def test_what_a_killed_core_had_stored_but_not_confirmed_does_not_count_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "kegbot.sqlite"
    furnish(store)
    loop, heard = Loop(), list[Event]()
    with CoreProgram(store) as first:
        client = Client(loop, ("127.0.0.1", first.port), on_event=heard.append)
        client.send(reading(100))
        client.send(reading(110))
        turn_until(loop, lambda: heard and client._sent._confirmed_here)
        with monkeypatch.context() as deaf:
            deaf.setattr(client._sent, "confirm", lambda _taken: None)
            # The board has rebooted. Told again, this would look like another reboot, and count 70 once more.
            client.send(MeterUpdate(tap_name=FLOW0, reading=0, board_uptime_s=2.0))
            client.send(reading(70))
            turn_until(loop, lambda: any(getattr(event, "ticks", 0) == 80 for event in heard))
            first.process.kill()
            turn_until(loop, lambda: not client.connected)
    with CoreProgram(store, address=f"localhost:{first.port}"):
        client.send(reading(75))
        turn_until(loop, lambda: any(getattr(event, "ticks", 0) > 80 for event in heard))
        client.close()
    loop.close()
    assert max(event.ticks for event in heard if isinstance(event, FlowUpdate)) == 10 + 70 + 5
