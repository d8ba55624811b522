"""test_flow.py as a person runs it: a process, a core that answers (or does not), and the exit status."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kegapps.core.ledger import Ledger
from kegapps.daemon.loop import Loop
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.events import (
    DrinkCreatedEvent,
    Event,
    FlowRequest,
    FlowState,
    FlowUpdate,
    MeterUpdate,
    TokenAuthEvent,
)
from kegapps.kegnet.hub import HubLimits
from tests.apps.core.programs import CoreProgram
from tests.apps.kegnet.support import Core, turn_until

SCRIPT = Path(__file__).parents[3] / "scripts" / "test_flow.py"
TAP = "kegboard.flow0"
NOW = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)


class Barkeeper(Core):
    """A core of few words: counts what it believes, ends a flow when told, knows one token."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop, HubLimits())
        self.on_event = self.serve
        self.last = 0
        self.open = False
        self.answers = True
        self.ticks = 0
        self.believes = 1100
        self.deaf_to = "somebody else's tap"
        self.drinks = True
        self.knows_token = True
        self.before: Callable[[Event], None] = lambda _event: None

    def serve(self, event: Event) -> None:
        self.before(event)
        if isinstance(event, MeterUpdate) and event.tap_name != self.deaf_to:
            delta = event.reading - self.last if event.reading >= self.last else event.reading
            self.last = event.reading
            if 0 < delta <= self.believes:
                self.begin(event.tap_name)
                self.ticks += delta
                self.tell("active", event.tap_name)
        elif isinstance(event, TokenAuthEvent) and event.status == "added" and self.knows_token:
            self.begin(event.tap_name)
            self.tell("active" if self.ticks else "initial", event.tap_name, "alice")
        elif isinstance(event, TokenAuthEvent) and event.status == "removed" and self.ticks:
            self.end(event.tap_name, "alice")
        elif isinstance(event, FlowRequest) and event.request == "start_flow" and self.answers:
            self.begin(event.tap_name)
            self.tell("active" if self.ticks else "initial", event.tap_name)
        elif isinstance(event, FlowRequest) and event.request == "stop_flow":
            self.end(event.tap_name, "guest")

    def begin(self, tap: str) -> None:
        """As the protocol says: a flow is told of first without ticks."""
        if not self.open and not self.ticks:
            self.tell("initial", tap)
        self.open = True

    def tell(self, state: FlowState, tap: str, user: str | None = None) -> None:
        volume_ml = self.ticks / 2.2
        flow = FlowUpdate(
            flow_id=7, tap_name=tap, state=state, username=user, start_time=NOW, last_activity_time=NOW,
            ticks=self.ticks, volume_ml=volume_ml,
        )  # fmt: skip
        self.hub.broadcast(flow)

    def end(self, tap: str, user: str) -> None:
        self.tell("completed", tap, user)
        if self.drinks:
            self.hub.broadcast(
                DrinkCreatedEvent(
                    flow_id=7, drink_id=3, tap_name=tap, start_time=NOW, end_time=NOW, username=user
                )
            )


@pytest.fixture
def core() -> Iterator[Barkeeper]:
    loop = Loop()
    core = Barkeeper(loop)
    yield core
    core.close()
    loop.close()


class Finished:
    """A run that is over."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


def start(address: tuple[str, int], *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), f"--kb_core_addr={shown_address(*address)}", "--step_wait=0.01", *flags],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(core: Barkeeper, process: subprocess.Popen[str]) -> Finished:
    """Serve until the process has ended. Its output fits into the pipes."""
    with process:
        try:
            turn_until(core.loop, lambda: process.poll() is not None, "for test_flow.py to end")
        finally:
            process.kill()
        out, err = process.communicate()
    return Finished(process.returncode, out, err)


def run(core: Barkeeper, *flags: str) -> Finished:
    return finish(core, start(core.hub.address, *flags))


def test_a_pour_that_the_core_counts_is_a_success(core: Barkeeper) -> None:
    done = run(core)
    assert (done.status, done.err) == (0, "")
    asked = FlowRequest(tap_name=TAP, request="start_flow")
    readings = [MeterUpdate(tap_name=TAP, reading=ticks) for ticks in range(0, 1001, 100)]
    assert core.got == [readings[0], asked, *readings[1:]]
    assert done.out.splitlines()[-1] == "ok: the core counted 1000 ticks, 454.5 mL, for nobody in particular"
    assert len(done.out.splitlines()) == 12 + 12 + 1


def test_the_pour_of_a_token_is_said_as_recorded(core: Barkeeper) -> None:
    done = run(core, "--auth_token=core.onewire|0000000000000001", "--steps=4", "--wait_for_drink")
    assert done.status == 0, done.err
    statuses = [event.status if isinstance(event, TokenAuthEvent) else "" for event in core.got]
    assert statuses == ["added", "removed", "added", "", "", "", "", "", "removed"]
    assert [event.reading for event in core.got if isinstance(event, MeterUpdate)] == [0, 250, 500, 750, 1000]
    assert (
        done.out.splitlines()[-1] == "ok: the core counted 1000 ticks, 454.5 mL, for alice; drink 3 for alice"
    )


@pytest.mark.parametrize("token", ["core.rfid|DEADBEEF00", "core.rfid:deadbeef00"])
def test_a_token_is_written_with_a_colon_or_a_bar(core: Barkeeper, token: str) -> None:
    assert run(core, f"--auth_token={token}").status == 0
    first = core.got[0]
    assert isinstance(first, TokenAuthEvent)
    assert (first.tap_name, first.auth_device_name, first.token_value) == (TAP, "core.rfid", "deadbeef00")


def test_a_flow_can_be_started_and_stopped_explicitly(core: Barkeeper) -> None:
    done = run(core, "--explicit_start_stop", "--steps=2", "--wait_for_drink")
    assert done.status == 0, done.err
    assert [type(event).__name__ for event in core.got] == [
        "MeterUpdate", "FlowRequest", "MeterUpdate", "MeterUpdate", "FlowRequest",
    ]  # fmt: skip


@pytest.mark.parametrize("flag", ["--tap_name=bar.flow1", "--meter_name=bar.flow1"])
def test_the_meter_has_its_old_and_its_new_name(core: Barkeeper, flag: str) -> None:
    assert run(core, flag, "--ticks=7", "--steps=100").status == 0
    assert core.got[-1] == MeterUpdate(tap_name="bar.flow1", reading=7)


def test_a_meter_that_has_counted_before_makes_no_difference(core: Barkeeper) -> None:
    core.last = 5000
    assert run(core).status == 0


def test_ticks_of_a_flow_that_was_under_way_are_not_taken_for_ours(core: Barkeeper) -> None:
    core.ticks = 2000
    core.believes = 50
    done = run(core, "--timeout=0.5")
    assert done.status == 1
    core.believes = 1100
    done = run(core)
    assert done.status == 0
    assert "counted 1000 ticks" in done.out


def test_an_explicitly_started_flow_may_have_been_under_way_as_well(core: Barkeeper) -> None:
    core.ticks = 2000
    core.believes = 100
    # Of the readings 200, 400 ... the core believes none: nothing but the flow's old ticks is told.
    done = run(core, "--explicit_start_stop", "--steps=5", "--timeout=0.3")
    assert done.status == 1
    assert "counted 0 of 1000" in done.err
    core.ticks, core.believes, core.last = 2000, 1100, 0
    done = run(core, "--explicit_start_stop", "--steps=5")
    assert done.status == 0
    assert "counted 1000 ticks, 454.5 mL" in done.out


def test_it_is_not_over_before_the_core_has_counted_the_last_tick_of_a_flow_that_was_under_way(
    tmp_path: Path,
) -> None:
    """A real core; without pauses its answers come long after the readings were sent."""
    with CoreProgram(tmp_path / "core.sqlite") as program:
        flags = ["--ticks=1000", "--steps=1000", "--step_wait=0", "--timeout=20"]
        for run_number in (1, 2, 3):
            done = subprocess.run(
                [sys.executable, str(SCRIPT), f"--kb_core_addr=localhost:{program.port}", *flags],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.splitlines()[-1].startswith("ok: the core counted 1000 ticks, ")
            ledger = Ledger(str(tmp_path / "core.sqlite"))
            assert [tap.counted_ticks for tap in ledger.taps()] == [1000 * run_number]
            ledger.close()


def test_ticks_of_somebody_else_at_the_same_meter_are_no_success(core: Barkeeper) -> None:
    def pour_along(event: Event) -> None:
        if isinstance(event, MeterUpdate) and event.reading == 500:
            core.ticks += 23

    core.before = pour_along
    done = run(core, "--timeout=0.3")
    assert done.status == 1
    assert "counted 23 ticks more than were poured here" in done.err


def test_a_token_that_nobody_answers_for_does_not_hide_a_flow_that_was_under_way(core: Barkeeper) -> None:
    core.ticks, core.knows_token = 2000, False
    done = run(core, "--auth_token=core.rfid:77", "--json")
    # It is told of by the answer to a request that an accepted token makes needless.
    assert done.status == 0, done.err
    assert json.loads(done.out.splitlines()[-1])["ticks"] == 1000


def test_json_is_one_object_a_line_with_the_verdict_last(core: Barkeeper) -> None:
    done = run(core, "--json", "--steps=2")
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.out.splitlines()]
    assert [line.get("direction") for line in lines].count("sent") == 4
    assert lines[0]["event"] == "MeterUpdate"
    assert lines[0]["data"] == {"tap_name": TAP, "reading": 0}
    assert lines[-1]["result"] == "ok"
    assert lines[-1]["ticks"] == 1000
    assert all(isinstance(line["at_s"], float) for line in lines)


# The truth about failures


def test_nobody_listening_is_a_failure_told_at_once(core: Barkeeper) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        done = finish(core, start(reserved.getsockname()))
    assert done.status == 1
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert "cannot connect: Connection refused; is kegbot_core running?" in done.err


def test_a_core_that_does_not_know_the_meter_is_a_failure(core: Barkeeper) -> None:
    core.deaf_to, core.answers = TAP, False
    done = run(core, "--timeout=0.3")
    assert done.status == 1
    assert f"told nothing about a flow at {TAP}" in done.err


def test_a_core_that_believes_only_some_ticks_is_a_failure(core: Barkeeper) -> None:
    core.believes = 100
    done = run(core, "--timeout=0.3", "--steps=9", "--json")
    assert done.status == 1
    assert "counted 0 of 1000 ticks; steps of 112 may be more than it believes at once (500 mL)" in done.err
    assert json.loads(done.out.splitlines()[-1])["result"] == "failed"


def test_a_drink_that_does_not_come_is_a_failure(core: Barkeeper) -> None:
    core.drinks = False
    done = run(core, "--timeout=0.3", "--explicit_start_stop", "--wait_for_drink")
    assert done.status == 1
    assert "no drink came of it" in done.err


def test_a_flow_that_does_not_end_is_a_failure_if_a_drink_is_waited_for(core: Barkeeper) -> None:
    done = run(core, "--drink_timeout=0.3", "--wait_for_drink")
    assert done.status == 1
    assert "has not ended" in done.err


def test_a_core_that_dies_during_the_pour_is_a_failure(core: Barkeeper) -> None:
    def die(event: Event) -> None:
        if isinstance(event, MeterUpdate) and event.reading == 500:
            core.hub.close()

    core.before = die
    done = run(core)
    assert done.status == 1
    assert "lost the core" in done.err


def test_an_interrupted_pour_is_a_failure(core: Barkeeper) -> None:
    process = start(core.hub.address, "--step_wait=60")
    turn_until(core.loop, lambda: core.got)
    process.send_signal(signal.SIGINT)
    done = finish(core, process)
    assert done.status == 1
    assert "interrupted" in done.err


@pytest.mark.parametrize(
    "flag",
    ["--ticks=0", "--ticks=many", "--steps=0", "--step_wait=-1", "--auth_token=core.rfid", "--auth_token=|1",
     "--tap_name=", "--tap_name=a b", "--tap_name=__all_taps__", "--kb_core_addr=nowhere.example:9805", "--kb_core_addr=localhost:0", "stray"],
)  # fmt: skip
def test_a_wrong_flag_is_a_usage_error_on_one_line(core: Barkeeper, flag: str) -> None:
    done = run(core, flag)
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert core.got == []
