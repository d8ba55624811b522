"""What waits for the disk: the last state of each thing, announcements in order, and bounds while it waits long."""

from __future__ import annotations

from kegapps.core.effects import Announce, EndFlow, ForgetPresence, Keep
from kegapps.core.model import Drink, Flow, Meter, Presence
from kegapps.core.pending import MAX_ANNOUNCEMENTS, Pending
from kegapps.kegnet.events import DrinkCreatedEvent, SetRelayOutputEvent
from tests.apps.core.bar import ALICE, Bar, added, line, reading, removed, request


def meter(reading: int) -> Meter:
    return Meter(name="a.flow0", last_reading=reading, read_unix_s=1.0, read_mono_s=1.0)


def test_of_the_same_thing_only_the_last_state_is_written() -> None:
    pending = Pending()
    pending.add([Keep(record=meter(1)), Keep(record=meter(2))])
    presence = Presence(tap_name="a.flow0", device="core.rfid", token="00", accepted=True)
    pending.add([Keep(record=presence), ForgetPresence(tap_name="a.flow0")])
    assert pending.changes.meters == {"a.flow0": meter(2)}
    assert pending.changes.presences == {"a.flow0": None}


def test_announcements_keep_their_order_and_drinks_get_the_number_of_the_store() -> None:
    bar = Bar()
    bar.send(added(ALICE), reading(0), reading(500), removed(ALICE))
    pending = Pending()
    pending.add(bar.effects)
    (uuid,) = pending.changes.ended
    events = pending.stored({uuid: 4711})
    assert list(map(line, events)) == [
        "FU initial alice 0", "relay0 enabled", "FU active alice 500", "relay0 disabled", "FU completed alice 500",
        "drink alice",
    ]  # fmt: skip
    assert isinstance(events[-1], DrinkCreatedEvent)
    assert events[-1].drink_id == 4711
    assert not pending.changes
    assert pending.stored({}) == []


def test_a_flow_that_came_and_went_between_two_commits_leaves_no_trace_unless_it_is_a_drink() -> None:
    bar, pending = Bar(), Pending()
    bar.send(request("start_flow"), request("stop_flow"))
    pending.add(bar.effects)
    assert pending.changes.flows == {}
    assert pending.changes.ended == {}


def test_a_flow_that_is_in_the_store_is_taken_out_of_it() -> None:
    bar, pending = Bar(), Pending()
    pending.add(bar.engine.handle(request("start_flow"), bar.now, peer=""))
    (uuid,) = pending.changes.flows
    pending.stored({})
    pending.add(bar.engine.handle(request("stop_flow"), bar.now, peer=""))
    assert pending.changes.ended == {uuid: None}


def test_relay_orders_can_be_taken_out_of_the_queue() -> None:
    bar, pending = Bar(), Pending()
    bar.send(added(ALICE), removed(ALICE))
    pending.add(bar.effects)
    assert [order.output_mode for order in pending.take_relay_orders()] == ["enabled", "disabled"]
    assert not [event for event in pending.stored({}) if isinstance(event, SetRelayOutputEvent)]


def test_while_the_disk_is_away_for_long_memory_is_bounded_and_no_drink_is_lost() -> None:
    bar, pending = Bar(), Pending()
    bar.send(reading(0))
    ticks, rounds = 0, 4000
    for _ in range(rounds):
        bar.effects.clear()
        for _ in range(12):
            ticks += 100
            bar.send(reading(ticks))
        bar.send(request("stop_flow"))
        pending.add(bar.effects)
    drinks = [drink for drink in pending.changes.ended.values() if drink]
    assert sum(drink.ticks for drink in drinks) == ticks
    assert pending.drinks == rounds
    assert pending.changes.meters["kegboard.flow0"].last_reading == ticks
    events = pending.stored({drink.uuid: number for number, drink in enumerate(drinks)})
    assert len(events) <= 2 * MAX_ANNOUNCEMENTS
    assert list(map(line, events[-2:])) == ["FU completed None 1200", "drink guest"]


def test_what_is_superseded_is_left_out_before_anything_else() -> None:
    pending, bar = Pending(), Bar()
    bar.send(reading(0))
    for ticks in range(1, 2 * MAX_ANNOUNCEMENTS):
        bar.send(reading(ticks))
    pending.add(bar.effects)
    assert pending.left_out == 0
    events = pending.stored({})
    assert len(events) < MAX_ANNOUNCEMENTS
    assert line(events[-1]) == f"FU active None {2 * MAX_ANNOUNCEMENTS - 1}"


def test_an_end_without_a_drink_of_a_flow_known_from_before_is_written() -> None:
    flow = Flow(
        uuid="before", flow_id=1, tap_name="a.flow0", username=None, idle_limit_s=10.0, start_unix_s=1.0,
        last_unix_s=1.0, last_mono_s=1.0,
    )  # fmt: skip
    pending = Pending([flow])
    pending.add([EndFlow(flow=flow, drink=None)])
    assert pending.changes.ended == {"before": None}
    drink = Drink(
        uuid="new", flow_id=2, tap_name="a.flow0", username=None, ticks=1, ml_per_tick=1.0, volume_ml=1.0,
        start_unix_s=1.0, end_unix_s=1.0,
    )  # fmt: skip
    pending.add([EndFlow(flow=flow, drink=drink), Announce(event=SetRelayOutputEvent(output_name="a.relay0", output_mode="disabled"))])  # fmt: skip
    assert pending.changes
