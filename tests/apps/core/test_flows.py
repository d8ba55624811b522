"""How flows start, end and are taken over: kegnet-protocol.md section 4, and the session of its section 7."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kegapps.core.effects import Announce, EndFlow, Keep
from kegapps.core.model import Flow, Memory
from kegapps.core.rules import Rules
from kegapps.kegnet.events import ALL_TAPS, FlowUpdate, Ping, SetRelayOutputEvent
from tests.apps.core.bar import (
    ALICE,
    ALICE_RFID,
    BOB_RFID,
    FLOW0,
    FLOW1,
    ML_PER_TICK,
    START_UNIX_S,
    Bar,
    added,
    reading,
    removed,
    request,
)


def test_the_recorded_session_with_an_ibutton() -> None:
    bar = Bar()
    assert bar.send(added(ALICE), removed(ALICE), added(ALICE), reading(0), reading(250), reading(500)) == [
        "FU initial alice 0", "relay0 enabled", "relay0 disabled", "FU completed alice 0",
        "FU initial alice 0", "relay0 enabled", "FU active alice 250", "FU active alice 500",
    ]  # fmt: skip
    assert bar.wait(0.1) == []
    assert bar.send(reading(750)) == ["FU active alice 750"]
    bar.wait(0.2)
    assert bar.send(reading(1000)) == ["FU active alice 1000"]
    bar.wait(0.2)
    assert bar.send(removed(ALICE)) == ["relay0 disabled", "FU completed alice 1000", "drink alice"]
    first, second = {update.flow_id: None for update in bar.updates()}
    assert (first, second) == (int(START_UNIX_S), int(START_UNIX_S) + 1)
    assert bar.wait(300) == []


def test_the_recorded_session_with_a_contactless_tag() -> None:
    bar = Bar()
    assert bar.send(
        added(ALICE_RFID), removed(ALICE_RFID), added(ALICE_RFID), reading(0), reading(250), reading(500)
    ) == [
        "FU initial alice 0", "relay0 enabled", "FU initial alice 0",
        "FU active alice 250", "FU active alice 500",
    ]  # fmt: skip
    assert bar.send(reading(750), reading(1000)) == ["FU active alice 750", "FU active alice 1000"]
    lines = bar.wait(21.0)
    assert lines[:20] == ["relay0 enabled"] * 20
    assert [line for line in lines[20:] if line != "relay0 enabled"] == [
        "FU idle alice 1000", "relay0 disabled", "FU completed alice 1000", "drink alice",
    ]  # fmt: skip
    assert len({update.flow_id for update in bar.updates()}) == 1


def test_the_recorded_anonymous_session() -> None:
    bar = Bar()
    assert bar.send(reading(0), reading(250), reading(500), reading(750), reading(1000)) == [
        "FU initial None 0", "FU active None 250", "FU active None 500", "FU active None 750",
        "FU active None 1000",
    ]  # fmt: skip
    assert bar.wait(10.0) == []
    assert bar.wait(1.0) == ["FU idle None 1000", "relay0 disabled", "FU completed None 1000", "drink guest"]


def test_the_recorded_anonymous_session_with_start_and_stop() -> None:
    bar = Bar()
    assert bar.send(request("start_flow"), *map(reading, (0, 250, 500, 750, 1000)), request("stop_flow")) == [
        "FU initial None 0", "FU active None 250", "FU active None 500", "FU active None 750",
        "FU active None 1000", "relay0 disabled", "FU completed None 1000", "drink guest",
    ]  # fmt: skip


def test_start_flow_never_drops_the_flow_of_somebody() -> None:
    bar = Bar()
    bar.send(reading(0), added(ALICE), reading(250))
    assert bar.send(request("start_flow"), reading(500), request("stop_flow")) == [
        "FU active alice 250", "FU active alice 500",
        "relay0 disabled", "FU completed alice 500", "drink alice",
    ]  # fmt: skip


def test_start_flow_repeated_only_tells_the_flow_again() -> None:
    bar = Bar()
    assert bar.send(request("start_flow"), request("start_flow")) == ["FU initial None 0"] * 2
    first, second = bar.updates()
    assert first == second


@pytest.mark.parametrize("event", [request("report_status"), request("stop_flow"), Ping()])
def test_nothing_happens_for(event: object) -> None:
    bar = Bar()
    bar.send(reading(0))
    assert bar.send(event) == []  # type: ignore[arg-type]


def test_events_about_unknown_taps_are_ignored() -> None:
    bar = Bar(taps=())
    assert bar.send(added(ALICE), added(ALICE, tap=ALL_TAPS), request("start_flow"), removed(ALICE)) == []
    assert bar.effects == []


def test_an_anonymous_flow_is_taken_over_with_its_ticks_and_told_twice() -> None:
    bar = Bar()
    bar.send(reading(0), reading(250))
    assert bar.send(added(ALICE)) == ["FU active alice 250"] * 2
    before, *after = bar.updates()[1:]
    assert [update.flow_id for update in after] == [before.flow_id] * 2
    assert bar.wait(1.0) == ["relay0 enabled"]  # only the repeat brings it
    assert bar.send(removed(ALICE)) == ["relay0 disabled", "FU completed alice 250", "drink alice"]


def test_the_same_user_again_only_refreshes_the_idle_limit() -> None:
    bar = Bar()
    bar.send(added(ALICE_RFID), removed(ALICE_RFID))
    bar.wait(19.0)
    assert bar.send(added(ALICE)) == ["FU initial alice 0"]  # the iButton's 120 s hold now, from the start
    assert set(bar.wait(100.0)) == {"relay0 enabled"}
    assert bar.wait(2.0)[-2:] == ["relay0 disabled", "FU completed alice 0"]


def test_another_user_completes_the_flow_of_the_first_and_gets_a_new_one() -> None:
    bar = Bar()
    bar.send(reading(0), added(ALICE_RFID), removed(ALICE_RFID), reading(500))
    assert bar.send(added(BOB_RFID), reading(600)) == [
        "relay0 disabled", "FU completed alice 500", "drink alice",
        "FU initial bob 0", "relay0 enabled", "FU active bob 100",
    ]  # fmt: skip


def test_the_idle_limit_must_be_exceeded_and_every_counted_tick_restarts_it() -> None:
    bar = Bar(taps=())
    bar.send(reading(0), reading(100))
    bar.wait(9.9)
    bar.send(reading(101))
    bar.wait(10.0, step_s=10.0)
    assert bar.engine.wake(bar.now) == []  # exactly 10 s
    assert bar.wait(0.1)[0] == "FU idle None 101"


def test_an_unchanged_reading_starts_no_flow_and_does_not_touch_the_idle_clock() -> None:
    bar = Bar(taps=())
    bar.send(reading(100), reading(100))
    assert bar.updates() == []
    assert bar.send(reading(200)) == ["FU initial None 0", "FU active None 100"]
    lines = []
    for _ in range(11):
        lines += bar.wait(1.0) + bar.send(reading(200))
    assert lines == ["FU idle None 100", "FU completed None 100", "drink guest"]


def test_taps_do_not_share_a_flow_and_an_all_taps_token_starts_one_on_each() -> None:
    bar = Bar()
    assert bar.send(added(ALICE, tap=ALL_TAPS)) == [
        "FU initial alice 0", "relay0 enabled", "FU initial alice 0", "relay1 enabled",
    ]  # fmt: skip
    bar.send(reading(0), reading(0, tap=FLOW1), reading(100), reading(200, tap=FLOW1))
    assert bar.send(removed(ALICE, tap=ALL_TAPS)) == [
        "relay0 disabled", "FU completed alice 100", "drink alice",
        "relay1 disabled", "FU completed alice 200", "drink alice",
    ]  # fmt: skip
    assert [drink.tap_name for drink in bar.drinks()] == [FLOW0, FLOW1]


def test_a_tap_without_a_relay_never_says_a_word_about_one() -> None:
    bar = Bar(taps=())
    bar.send(reading(0), added(ALICE), reading(100))
    bar.wait(5.0)
    bar.send(removed(ALICE))
    assert not [event for event in bar.events() if isinstance(event, SetRelayOutputEvent)]


def test_anonymous_flows_never_enable_a_relay() -> None:
    bar = Bar()
    bar.send(reading(0), reading(100))
    assert "relay0 enabled" not in bar.wait(11.0)


def test_the_relay_is_fed_every_second_while_an_owned_flow_lives() -> None:
    bar = Bar()
    bar.send(added(ALICE))
    assert bar.wait(10.0) == ["relay0 enabled"] * 10


@pytest.mark.parametrize(("ticks", "is_drink"), [(21, False), (22, False), (23, True)])
def test_a_drink_is_more_than_10_ml(ticks: int, is_drink: bool) -> None:
    bar = Bar()  # 22 ticks are exactly 10.0 mL
    bar.send(reading(0), reading(ticks), request("stop_flow"))
    assert len(bar.drinks()) == is_drink
    assert ("drink guest" in bar.new_lines()) is False
    assert bar.updates()[-1].state == "completed"
    assert bar.meter().small_ticks == (0 if is_drink else ticks)


def test_a_flow_without_ticks_is_no_drink_even_if_any_drink_is_wanted() -> None:
    bar = Bar(rules=Rules(min_drink_ml=0.0))
    bar.send(request("start_flow"), request("stop_flow"), reading(0), reading(1), request("stop_flow"))
    assert [drink.ticks for drink in bar.drinks()] == [1]


def test_a_drink_of_1000_ticks_is_454_and_a_half_millilitres() -> None:
    bar = Bar(taps=())
    bar.send(reading(0), reading(1000), request("stop_flow"))
    (drink,) = bar.drinks()
    assert f"{drink.volume_ml:.1f}" == "454.5"
    assert (drink.ticks, drink.ml_per_tick) == (1000, ML_PER_TICK)


def test_updates_carry_the_times_of_start_and_last_ticks_and_drinks_that_of_the_last_ticks() -> None:
    bar = Bar()
    bar.send(reading(0), added(ALICE))
    bar.wait(3.0)
    bar.send(reading(100))
    bar.wait(2.0)
    bar.send(removed(ALICE))
    initial, active, completed = bar.updates()
    assert initial.last_activity_time == initial.start_time
    assert (active.last_activity_time - active.start_time).total_seconds() == pytest.approx(3.0)
    assert completed.last_activity_time == active.last_activity_time
    (drink,) = bar.drinks()
    assert drink.end_unix_s - drink.start_unix_s == pytest.approx(3.0)


def test_times_stay_sensible_when_the_clock_is_set_during_a_pour() -> None:
    bar = Bar(unix_s=1000.0)  # a Raspberry Pi has no clock of its own until the network tells it
    bar.send(reading(0), reading(100))
    bar.wait(2.0)
    bar.now = replace(bar.now, unix_s=START_UNIX_S)
    bar.wait(1.0)
    bar.send(reading(200), request("stop_flow"))
    (drink,) = bar.drinks()
    assert drink.end_unix_s == pytest.approx(START_UNIX_S + 1.0)
    assert drink.end_unix_s - drink.start_unix_s == pytest.approx(3.0)


def test_a_flow_is_kept_before_it_is_announced_and_ended_before_its_drink_is() -> None:
    bar = Bar()
    bar.send(reading(0), reading(100), request("stop_flow"))
    kinds = [type(effect).__name__ for effect in bar.effects if not hasattr(effect, "text")]
    assert kinds == [
        "Keep", "Keep", "Keep", "Announce", "Keep", "Announce",  # base reading; meter, initial; 100 ticks
        "Announce", "EndFlow", "Announce", "Announce",  # relay closed; the drink; completed; created
    ]  # fmt: skip
    uuids = {e.record.uuid for e in bar.effects if isinstance(e, Keep) and isinstance(e.record, Flow)}
    uuids |= {e.drink.uuid for e in bar.effects if isinstance(e, EndFlow) and e.drink}
    uuids |= {e.drink_uuid for e in bar.effects if isinstance(e, Announce) and e.drink_uuid}
    assert uuids == {"uuid-1"}


def test_flow_numbers_begin_with_the_time_and_go_on_above_those_used_before() -> None:
    assert _first_flow_id(Memory()) == int(START_UNIX_S)
    assert _first_flow_id(Memory(last_flow_id=int(START_UNIX_S) + 41)) == int(START_UNIX_S) + 42


def _first_flow_id(memory: Memory) -> int:
    bar = Bar(memory=memory)
    bar.send(request("start_flow"))
    (update,) = bar.updates()
    return update.flow_id


def test_closing_the_valves_keeps_the_flows() -> None:
    bar = Bar()
    bar.send(reading(0), added(ALICE), reading(0, tap=FLOW1), reading(50, tap=FLOW1))
    closing = [effect.event for effect in bar.engine.close_valves() if isinstance(effect, Announce)]
    assert closing == [SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="disabled")]
    assert {flow.tap_name for flow in bar.engine.open_flows} == {FLOW0, FLOW1}


def test_nothing_wakes_the_core_while_no_flow_is_open() -> None:
    bar = Bar()
    bar.send(reading(0), added(ALICE), reading(100), removed(ALICE))
    assert bar.engine.next_wake_mono_s() is None


def test_a_flow_update_of_a_flow_tells_its_volume_by_the_calibration_of_the_tap() -> None:
    bar = Bar()
    bar.send(reading(0), reading(250))
    *_, update = bar.updates()
    assert isinstance(update, FlowUpdate)
    assert update.volume_ml == pytest.approx(113.63636363636363)
