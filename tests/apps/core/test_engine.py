"""Meters that become taps, readings that were queued, temperatures, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kegapps.core.effects import Announce, Keep
from kegapps.core.flows import earlier
from kegapps.core.model import Flow, Memory, Meter, Now, Presence, Setup, Tap, Temperature
from kegapps.core.rules import Rules
from kegapps.kegnet.events import ALL_TAPS, Event, MeterUpdate
from tests.apps.core.bar import (
    ALICE,
    ALICE_RFID,
    BOB,
    FLOW0,
    FLOW1,
    ML_PER_TICK,
    START_UNIX_S,
    STRANGE_NAMES,
    Bar,
    added,
    reading,
    removed,
    request,
    temperature,
)
from tests.apps.core.test_meters import RECORDED

# Taps


def test_a_meter_seen_for_the_first_time_becomes_a_tap_with_the_default_calibration() -> None:
    bar = Bar(taps=())
    bar.send(reading(123))
    taps = [e.record for e in bar.effects if isinstance(e, Keep) and isinstance(e.record, Tap)]
    assert taps == [Tap(name=FLOW0, ml_per_tick=1000 / 2200)]
    assert bar.send(reading(223)) == ["FU initial None 0", "FU active None 100"]
    assert any("New tap: kegboard.flow0" in text for text in bar.said())


def test_another_default_calibration_can_be_given() -> None:
    bar = Bar(taps=(), rules=Rules(default_ml_per_tick=0.2))
    bar.send(reading(0), reading(1000))
    assert bar.updates()[-1].volume_ml == pytest.approx(200.0)


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_what_is_no_meter_name_becomes_no_tap_and_is_said_once(name: str) -> None:
    bar = Bar(taps=())
    assert bar.send(reading(0, tap=name), reading(100, tap=name)) == []
    assert bar.engine.taps == ()
    assert len(bar.said()) == 1


def test_no_client_can_fill_the_store_with_taps() -> None:
    bar = Bar(taps=(), rules=Rules(max_taps=4))
    for number in range(1000):
        bar.send(reading(0, tap=f"x.flow{number}"))
    assert len(bar.engine.taps) == 4
    assert len(bar.said()) == 8  # four new ones, four refusals


def test_one_client_with_junk_for_names_leaves_room_for_the_meters_of_others() -> None:
    bar = Bar(taps=())
    for number in range(100):
        bar.send(reading(0, tap=f"x.flow{number}"), peer="junk")
    bar.send(reading(0), peer="daemon")
    assert {tap.name for tap in bar.engine.taps} == {f"x.flow{number}" for number in range(24)} | {FLOW0}
    assert "Refused meter 'x.flow24': one app tells of too many new ones at once" in " ".join(bar.said())


def test_a_meter_that_was_refused_for_now_is_taken_a_minute_later() -> None:
    bar = Bar(taps=())
    for _ in range(2):
        for number in range(30):
            bar.send(reading(0, tap=f"x.flow{number}"))
        bar.wait(61.0)
    assert len(bar.engine.taps) == 30


def test_a_new_calibration_holds_at_once_also_for_the_open_flow() -> None:
    bar = Bar()
    bar.send(reading(0), reading(100))
    bar.use(Setup(taps={FLOW0: Tap(name=FLOW0, ml_per_tick=1.0, keg_id=7)}))
    bar.send(reading(200), request("stop_flow"))
    (drink,) = bar.drinks()
    assert (drink.volume_ml, drink.ml_per_tick, drink.keg_id) == (200.0, 1.0, 7)


def test_a_tap_that_is_removed_during_a_flow_keeps_its_calibration_until_the_end() -> None:
    bar = Bar()
    bar.send(reading(0), reading(100))
    bar.use(Setup())
    assert bar.wait(11.0) == ["FU idle None 100", "relay0 disabled", "FU completed None 100", "drink guest"]
    assert bar.drinks()[0].ml_per_tick == ML_PER_TICK


# Meters


def test_the_recorded_table_through_the_engine_and_the_account_of_what_was_dropped() -> None:
    bar = Bar()
    counted, before = [], 0
    for ticks, _ in RECORDED:
        bar.send(reading(ticks))
        total = bar.meter().counted_ticks
        counted.append((ticks, total - before))
        before = total
    assert tuple(counted) == RECORDED
    meter = bar.meter()
    assert meter.last_reading == 1200
    dropped = (1101, 4294967280, 4294967287, 2499, 1200)
    assert (meter.dropped_steps, meter.dropped_ticks) == (len(dropped), sum(dropped))
    assert meter.dropped_reason == "counter went back, and what it shows since is too much"
    assert len([text for text in bar.said() if "not counted" in text]) == len(dropped)


@pytest.mark.parametrize(("board_uptime_s", "ticks"), [(0.0, 61), (0.5, 50)])
def test_a_zero_near_the_end_of_the_counter_is_a_wrap_unless_the_board_is_said_to_have_booted(
    board_uptime_s: float, ticks: int
) -> None:
    bar = Bar()
    bar.send(reading(2**32 - 11), reading(0, board_uptime_s=board_uptime_s), reading(50))
    assert bar.meter().counted_ticks == ticks


def test_the_base_reading_survives_a_restart() -> None:
    meter = Meter(
        name=FLOW0, last_reading=5000, read_unix_s=START_UNIX_S - 2.0, read_mono_s=998.0, counted_ticks=3000
    )
    bar = Bar(memory=Memory(meters=(meter,)))
    assert bar.send(reading(5250)) == ["FU initial None 0", "FU active None 250"]
    assert bar.meter().counted_ticks == 3250


@pytest.mark.parametrize(("away_s", "counted"), [(2.0, 0), (60.0, 2200), (-3600.0, 0)])
def test_what_was_poured_while_the_core_was_away_is_believed_as_far_as_beer_can_flow(
    away_s: float, counted: int
) -> None:
    meter = Meter(
        name=FLOW0, last_reading=5000, read_unix_s=START_UNIX_S - away_s, read_mono_s=1000.0 - away_s
    )
    bar = Bar(memory=Memory(meters=(meter,)))
    bar.send(reading(7200))  # a litre
    assert bar.meter().counted_ticks == counted
    bar.wait(60.0)
    bar.send(reading(9400))  # the same peer: it would have told of smaller steps
    assert bar.meter().counted_ticks == counted


def test_what_was_poured_while_the_board_daemon_was_away_is_believed_as_far_as_beer_can_flow() -> None:
    bar = Bar()
    bar.send(reading(0), peer="127.0.0.1:1001")
    bar.wait(20.0)
    bar.send(reading(2200), peer="127.0.0.1:1002")
    assert bar.meter().counted_ticks == 2200
    bar.send(reading(4400), peer="127.0.0.1:1003")  # at once
    assert bar.meter().counted_ticks == 2200


def test_a_client_that_comes_back_may_repeat_its_last_reading_before_it_tells_the_next() -> None:
    bar = Bar()
    bar.send(reading(0), reading(100), peer="127.0.0.1:1001")
    bar.wait(60.0)
    bar.send(reading(100, age_s=60.0), reading(2300, age_s=10.0), peer="127.0.0.1:1002")
    bar.send(
        reading(4500, age_s=6.0), reading(6000), peer="127.0.0.1:1002"
    )  # 1 L in 4 s is queued; 0.7 L is live
    assert bar.meter().counted_ticks == 100 + 2200
    assert (bar.meter().dropped_ticks, bar.meter().dropped_steps) == (2200 + 1500, 2)


@pytest.mark.parametrize(
    ("ticks", "gap_s", "counted"),
    [(2006, 8.0, 2006), (2006, 0.0, 0), (2006, 2.0, 0), (44_000, 3600.0, 44_000), (44_001, 3600.0, 0)],
)
def test_what_a_board_counted_while_its_cable_was_out_is_believed_as_far_as_beer_can_flow(
    ticks: int, gap_s: float, counted: int
) -> None:
    bar = Bar(taps=())
    bar.send(reading(1000))
    bar.send(reading(1000 + ticks, gap_s=gap_s))
    assert bar.meter().counted_ticks == counted
    assert bar.send(reading(1000 + ticks + 2006)) == []  # a gap is good for one step


@pytest.mark.parametrize(
    ("ticks", "uptime_s", "set_s", "counted"),
    [
        (520, 30.0, 0.0, 520),
        (100, 30.0, 0.0, 100),  # the same as before, by chance
        (520, 0.0, 0.0, 420),
        (520, 61.0, 0.0, 420),
        (520, 58.0, 0.0, 420),  # too near to be sure
        (520, 80.0, 3600.0, 420),  # the wall clock was set forward
        (520, 30.0, -3600.0, 420),  # or back: then nothing is sure
    ],
)
def test_a_board_that_booted_after_its_last_reading_has_begun_at_zero(
    ticks: int, uptime_s: float, set_s: float, counted: int
) -> None:
    bar = Bar(taps=())
    bar.send(reading(100), peer="127.0.0.1:1001")
    bar.wait(60.0)
    bar.now = Now(mono_s=bar.now.mono_s, unix_s=bar.now.unix_s + set_s)
    bar.send(reading(ticks, board_uptime_s=uptime_s), peer="127.0.0.1:1002")
    assert bar.meter().counted_ticks == counted


def test_a_boot_is_not_counted_again_when_the_reading_is_repeated() -> None:
    bar = Bar(taps=())
    bar.send(reading(100), peer="127.0.0.1:1001")
    bar.wait(60.0)
    bar.send(reading(520, board_uptime_s=30.0), peer="127.0.0.1:1002")
    bar.wait(20.0)
    bar.send(reading(520, board_uptime_s=30.0, age_s=20.0), peer="127.0.0.1:1003")
    assert bar.meter().counted_ticks == 520


def test_what_a_board_counted_that_lost_its_power_and_the_cable_is_believed_as_well() -> None:
    bar = Bar()
    bar.send(reading(5000), reading(0), reading(2006, gap_s=8.0))
    assert bar.meter().counted_ticks == 2006


def test_a_queued_reading_carries_its_own_time() -> None:
    bar = Bar()
    bar.send(reading(0))
    bar.wait(30.0)
    bar.send(reading(500, age_s=25.0))
    (update, _) = bar.updates()
    assert update.start_time.timestamp() == pytest.approx(START_UNIX_S + 5.0)
    assert bar.wait(0.9) == []  # more of that time may follow
    assert bar.wait(0.2)[0] == "FU idle None 500"  # nobody has poured for 25 s
    assert bar.drinks()[0].end_unix_s == pytest.approx(START_UNIX_S + 5.0)


def test_a_queued_reading_does_not_turn_the_idle_clock_back() -> None:
    bar = Bar()
    bar.send(reading(0), reading(100))
    bar.send(reading(200, age_s=9.9))
    assert bar.wait(9.0) == []


def test_queued_tokens_and_readings_are_told_apart_by_their_time_and_open_no_valve_too_late() -> None:
    bar = Bar()
    bar.send(reading(0))
    bar.wait(60.0)
    lines = bar.send(added(ALICE_RFID, age_s=50.0), reading(500, age_s=45.0))
    assert lines == ["FU initial alice 0", "FU active alice 500"]
    assert bar.wait(1.1)[-1] == "drink alice"


def test_a_pour_that_is_told_late_and_in_pieces_is_one_flow() -> None:
    bar = Bar(taps=())
    bar.send(reading(0))
    bar.wait(60.0)
    for number in range(1, 41):
        bar.send(reading(50 * number, age_s=30.0 - number / 4))
        bar.wait(0.02, step_s=0.01)
    bar.wait(2.0)
    assert [drink.ticks for drink in bar.drinks()] == [2000]
    assert bar.drinks()[0].end_unix_s - bar.drinks()[0].start_unix_s == pytest.approx(39 / 4 + 39 / 50)


def test_two_pours_that_are_told_late_are_two_flows_by_their_own_time() -> None:
    bar = Bar(taps=())
    bar.send(reading(0))
    bar.wait(60.0)
    bar.send(*(reading(ticks, age_s=age_s) for ticks, age_s in ((100, 50), (200, 45), (300, 34), (400, 30))))
    bar.send(reading(450))  # a third, by now
    bar.wait(11.0)
    assert [drink.ticks for drink in bar.drinks()] == [200, 200, 50]


def test_a_queued_token_does_not_get_the_ticks_of_a_flow_that_had_idled_out_by_then() -> None:
    bar = Bar()
    bar.send(reading(0))
    bar.wait(60.0)
    bar.send(reading(100, age_s=50.0), added(ALICE_RFID, age_s=30.0), reading(200, age_s=28.0))
    bar.wait(2.0)
    assert [(drink.username, drink.ticks) for drink in bar.drinks()] == [(None, 100), ("alice", 100)]


@pytest.mark.parametrize("age_s", [-5.0, math.nan, math.inf, 1e300])
def test_ages_that_no_queue_has_do_no_harm(age_s: float) -> None:
    now = Now(mono_s=1000.0, unix_s=START_UNIX_S)
    assert 0 <= now.unix_s - earlier(now, age_s).unix_s <= 30 * 86400.0
    bar = Bar()
    bar.send(reading(0), reading(100, age_s=age_s))
    bar.wait(11.0)
    assert [drink.ticks for drink in bar.drinks()] == [100]


@pytest.mark.parametrize("ticks", [-1, 2**63])
def test_readings_that_no_meter_shows_are_refused_with_a_reason(ticks: int) -> None:
    bar = Bar()
    assert bar.send(reading(ticks), reading(0), reading(ticks)) == []
    assert bar.meter().last_reading == 0
    assert len([text for text in bar.said() if "refused a reading" in text]) == 2


# A flow that was open when the core ended


def _open_flow(*, idle_s: float = 1.0, username: str | None = "alice") -> Flow:
    return Flow(
        uuid="from-before", flow_id=17, tap_name=FLOW0, username=username, idle_limit_s=20.0,
        start_unix_s=START_UNIX_S - 30.0, last_unix_s=START_UNIX_S - idle_s, last_mono_s=1000.0 - idle_s,
        ticks=300,
    )  # fmt: skip


def test_an_open_flow_goes_on_after_a_restart_with_its_number_owner_and_ticks() -> None:
    meter = Meter(name=FLOW0, last_reading=300, read_unix_s=START_UNIX_S - 1.0, read_mono_s=999.0)
    bar = Bar(memory=Memory(meters=(meter,), flows=(_open_flow(),), last_flow_id=17))
    assert bar.send(reading(400)) == ["FU active alice 400"]
    assert bar.updates()[0].flow_id == 17
    assert bar.wait(1.0) == ["relay0 enabled"]
    bar.wait(20.0)
    assert [(drink.uuid, drink.ticks, drink.username) for drink in bar.drinks()] == [
        ("from-before", 400, "alice")
    ]


def test_a_pour_that_went_on_while_the_core_was_away_stays_one_flow_of_its_owner() -> None:
    meter = Meter(name=FLOW0, last_reading=300, read_unix_s=START_UNIX_S - 30.0, read_mono_s=970.0)
    bar = Bar(memory=Memory(meters=(meter,), flows=(_open_flow(idle_s=30.0),)))
    assert bar.wait(6.0) == []  # the slowest app is back after 6 s
    bar.send(reading(300, age_s=36.0), *(reading(300 + 10 * n, age_s=36.0 - n / 2) for n in range(1, 40)))
    bar.wait(0.5)
    bar.send(*(reading(300 + 10 * n, age_s=36.5 - n / 2) for n in range(40, 70)))
    bar.wait(25.0)
    assert [(drink.uuid, drink.ticks, drink.username) for drink in bar.drinks()] == [
        ("from-before", 990, "alice")
    ]


def test_an_open_flow_that_had_idled_out_before_the_restart_gets_no_ticks_of_afterwards() -> None:
    meter = Meter(name=FLOW0, last_reading=300, read_unix_s=START_UNIX_S - 30.0, read_mono_s=970.0)
    bar = Bar(memory=Memory(meters=(meter,), flows=(_open_flow(idle_s=30.0),)))
    bar.wait(1.0)
    assert bar.send(reading(400))[-3:] == ["drink alice", "FU initial None 0", "FU active None 100"]


def test_the_valve_of_a_flow_that_only_waits_for_what_may_still_be_told_is_not_opened() -> None:
    bar = Bar(memory=Memory(flows=(_open_flow(idle_s=18.5),)))
    assert bar.wait(6.9) == ["relay0 enabled"]
    wake_s = bar.engine.next_wake_mono_s()
    assert wake_s is not None
    assert wake_s > bar.now.mono_s


def test_an_open_flow_that_is_idle_for_long_enough_is_completed_when_apps_had_time_to_come_back() -> None:
    bar = Bar(memory=Memory(flows=(_open_flow(idle_s=21.0),)))
    assert bar.wait(6.9) == []
    assert bar.wait(0.2) == ["FU idle alice 300", "relay0 disabled", "FU completed alice 300", "drink alice"]


def test_an_open_flow_on_a_tap_that_is_gone_is_completed_by_the_default_calibration() -> None:
    bar = Bar(taps=(), memory=Memory(flows=(_open_flow(idle_s=21.0),)))
    bar.wait(7.1)
    assert [drink.volume_ml for drink in bar.drinks()] == [300 * ML_PER_TICK]


def test_a_captive_token_on_the_reader_still_ends_its_flow_after_a_restart() -> None:
    presence = Presence(tap_name=FLOW0, device=ALICE[0], token=ALICE[1], accepted=True)
    bar = Bar(memory=Memory(flows=(_open_flow(),), presences=(presence,)))
    assert bar.send(removed(ALICE)) == ["relay0 disabled", "FU completed alice 300", "drink alice"]


def test_a_token_on_the_reader_of_a_tap_without_a_flow_is_forgotten_over_a_restart() -> None:
    presence = Presence(tap_name=FLOW0, device=ALICE[0], token=ALICE[1], accepted=True)
    bar = Bar(memory=Memory(presences=(presence,)))
    assert bar.send(added(ALICE)) == ["FU initial alice 0", "relay0 enabled"]


# Temperatures


@pytest.mark.parametrize(
    ("celsius", "kept"), [(-20.0, 1), (-20.01, 0), (4.25, 1), (80.0, 1), (80.01, 0), (85.0, 0), (math.nan, 0)]
)
def test_temperatures_outside_minus_20_to_80_are_dropped_with_a_word(celsius: float, kept: int) -> None:
    bar = Bar()
    bar.send(temperature(celsius), temperature(celsius))
    assert len(bar.temperatures()) == kept
    assert len([text for text in bar.said() if "outside" in text]) == 1 - kept


def test_one_temperature_per_sensor_and_clock_minute_is_kept() -> None:
    bar = Bar(unix_s=START_UNIX_S // 60 * 60)
    for second in range(150):
        bar.send(temperature(4.0 + second / 100, sensor="a.thermo-1"), temperature(5.0, sensor="a.thermo-2"))
        bar.wait(1.0)
    assert [(t.sensor_name[-1], t.unix_minute - int(START_UNIX_S // 60)) for t in bar.temperatures()] == [
        ("1", 0), ("2", 0), ("1", 1), ("2", 1), ("1", 2), ("2", 2),
    ]  # fmt: skip


def test_the_minute_that_was_stored_before_a_restart_is_not_stored_again() -> None:
    bar = Bar(
        memory=Memory(
            temperatures=(
                Temperature(sensor_name="a.thermo-1", unix_minute=int(START_UNIX_S // 60), celsius=4.0),
            )
        )
    )
    bar.send(temperature(4.0, sensor="a.thermo-1"))
    assert bar.temperatures() == []


def test_what_a_sensor_showed_last_is_known_at_once_and_how_old_it_is() -> None:
    bar = Bar()
    bar.send(temperature(4.0), temperature(4.5))
    bar.wait(20.0)
    bar.send(temperature(9.0, sensor="other.thermo-2"))
    assert [(s.sensor_name, s.celsius, s.unix_s, s.age_s) for s in bar.engine.sensors(bar.now)] == [
        ("kegboard.thermo-f800080012345610", 4.5, START_UNIX_S, 20.0),
        ("other.thermo-2", 9.0, START_UNIX_S + 20.0, 0.0),
    ]


def test_a_temperature_that_was_told_late_does_not_replace_a_newer_one() -> None:
    bar = Bar()
    bar.send(temperature(4.0), replace(temperature(9.0), age_s=300.0))
    assert [sensor.celsius for sensor in bar.engine.sensors(bar.now)] == [4.0]
    bar.wait(10.0)
    bar.send(replace(temperature(5.0), age_s=5.0))
    assert [(sensor.celsius, sensor.age_s) for sensor in bar.engine.sensors(bar.now)] == [(5.0, 5.0)]


def test_a_temperature_out_of_range_is_shown_to_nobody() -> None:
    bar = Bar()
    bar.send(temperature(85.0))
    assert bar.engine.sensors(bar.now) == ()


@pytest.mark.parametrize(("minutes_ago", "age_s"), [(5, 330.0), (-10, 570.0), (24 * 60, None)])
def test_after_a_restart_the_stored_temperature_counts_until_it_is_a_day_old(
    minutes_ago: int, age_s: float | None
) -> None:
    minute = int(START_UNIX_S // 60) - minutes_ago
    bar = Bar(
        memory=Memory(temperatures=(Temperature(sensor_name="a.thermo-1", unix_minute=minute, celsius=4.0),)),
        unix_s=START_UNIX_S // 60 * 60 + 30,
    )
    assert [sensor.age_s for sensor in bar.engine.sensors(bar.now)] == ([] if age_s is None else [age_s])


def test_a_sensor_that_was_taken_away_is_gone_after_a_day_and_back_with_its_next_word() -> None:
    bar = Bar()
    bar.send(temperature(4.0))
    bar.wait(86_401.0, step_s=3600.0)
    assert bar.engine.sensors(bar.now) == ()
    bar.send(temperature(5.0))
    assert [sensor.celsius for sensor in bar.engine.sensors(bar.now)] == [5.0]


def test_a_sensor_that_falls_silent_for_2_minutes_is_said_once_and_wakes_nobody_then() -> None:
    bar = Bar()
    bar.send(temperature(4.0))
    bar.wait(119.0, step_s=1.0)
    assert not [text for text in bar.said() if "no temperature" in text]
    bar.wait(600.0, step_s=1.0)
    assert len([text for text in bar.said() if "no temperature" in text]) == 1
    assert bar.engine.next_wake_mono_s() is None


def test_no_client_can_fill_the_store_with_sensors() -> None:
    bar = Bar(rules=Rules(max_sensors=3))
    for number in range(1000):
        bar.send(
            temperature(4.0, sensor=f"x.thermo-{number}"), temperature(99.0, sensor=f"y.thermo-{number}")
        )
    assert len(bar.temperatures()) == 3
    assert len(bar.said()) <= 3 + 1 + 3


# Anything at all

_taps = st.sampled_from([FLOW0, FLOW1, ALL_TAPS, "x.flow9", *STRANGE_NAMES])
_tokens = st.sampled_from([ALICE, BOB, ALICE_RFID, ("core.onewire", "dead"), ("x", "")])
_events = st.one_of(
    st.builds(
        MeterUpdate,
        tap_name=_taps,
        reading=st.one_of(st.integers(0, 5000), st.integers(-1, 2**64)),
        age_s=st.one_of(st.just(0.0), st.floats()),
    ),
    st.builds(added, _tokens, tap=_taps, age_s=st.floats(0, 100)),
    st.builds(removed, _tokens, tap=_taps),
    st.builds(request, st.sampled_from(["start_flow", "stop_flow", "report_status"]), tap=_taps),
    st.builds(temperature, st.floats(), sensor=_taps),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(_events, st.sampled_from(["a", "b"]), st.sampled_from([0.0, 0.5, 11.0])), max_size=40)
)
def test_any_history_keeps_the_books(history: list[tuple[Event, str, float]]) -> None:
    bar = Bar(rules=Rules(max_taps=3, min_drink_ml=10.0))
    for event, peer, pause_s in history:
        bar.send(event, peer=peer)
        bar.wait(pause_s, step_s=5.0)
    bar.wait(300.0, step_s=5.0)
    assert bar.engine.open_flows == ()
    assert len({drink.uuid for drink in bar.drinks()}) == len(bar.drinks())
    for name in {e.record.name for e in bar.effects if isinstance(e, Keep) and isinstance(e.record, Meter)}:
        meter = bar.meter(name)
        drunk = sum(drink.ticks for drink in bar.drinks() if drink.tap_name == name)
        assert meter.counted_ticks == drunk + meter.small_ticks
    states: dict[int, str] = {}
    for update in bar.updates():
        assert states.get(update.flow_id) != "completed", "nothing follows the end of a flow"
        states[update.flow_id] = update.state
    assert set(states.values()) <= {"completed"}
    announced = [e.drink_uuid for e in bar.effects if isinstance(e, Announce) and e.drink_uuid]
    assert announced == [drink.uuid for drink in bar.drinks()]
