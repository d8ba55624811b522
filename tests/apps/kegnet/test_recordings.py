"""The recorded sessions through real sockets: an app on one side, a listener beside it, the hub between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kegapps.kegnet.client import Client
from kegapps.kegnet.codec import encode
from kegapps.kegnet.events import DrinkCreatedEvent, Event, FlowState, FlowUpdate, SetRelayOutputEvent
from tests.apps.kegnet.recordings import ML_PER_TICK, RELAY, SESSIONS, TAP, Step, told
from tests.apps.kegnet.support import running_core

START = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)
STATES: dict[str, FlowState] = {state: state for state in ("initial", "active", "idle", "completed")}


def spoken(line: str, at_s: float) -> Event:
    """The event that `told` shows as `line`."""
    now = START + timedelta(seconds=int(at_s))
    words = line.split()
    if words[0] == "relay":
        return SetRelayOutputEvent(
            output_name=RELAY, output_mode="enabled" if words[1] == "enabled" else "disabled"
        )
    if words[0] == "drink":
        return DrinkCreatedEvent(
            flow_id=1795216330 + int(words[3]), drink_id=1, tap_name=TAP, start_time=START, end_time=START,
            username=words[5],
        )  # fmt: skip
    return FlowUpdate(
        flow_id=1795216330 + int(words[1]),
        tap_name=TAP,
        state=STATES[words[2]],
        username=None if words[3] == "nobody" else words[3],
        start_time=START,
        last_activity_time=now,
        ticks=int(words[4]),
        volume_ml=int(words[4]) * ML_PER_TICK,
    )


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS.keys())
def test_a_recorded_session_passes_event_by_event(session: tuple[Step, ...]) -> None:
    with running_core() as core:
        heard: list[Event] = []
        listener = Client(core.loop, core.hub.address, on_event=heard.append)
        core.turn_until(lambda: core.hub.clients == 1)
        app = core.app()
        said: list[Event] = []
        expected: list[Event] = []
        for step in session:
            app.say(b"".join(map(encode, step.app)))
            said.extend(step.app)
            core.turn_until(lambda: len(core.got) == len(said))
            answers = [spoken(line, step.at_s) for line in step.core]
            core.hub.broadcast(*answers)
            expected.extend(answers)
            core.turn_until(lambda: len(heard) == len(app.got) == len(expected))
        assert core.got == said
        assert heard == app.got == expected
        assert told(heard) == [line for step in session for line in step.core]
        listener.close()
