"""The core is away for long: what the daemon keeps for it is bounded, and no tick and no owner is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kegapps.core.model import Now
from kegapps.core.rules import Rules
from kegapps.kbsp.messages import AuthToken, Hello, Message, MeterStatus, TemperatureReading
from kegapps.kegboard.conversation import Conversation, Remark
from kegapps.kegnet.backlog import Backlog, BacklogLimits
from tests.apps.core.bar import FLOW0, START_UNIX_S, Bar

USERS = {"alice": bytes.fromhex("0100000000000000"), "bob": bytes.fromhex("0200000000000000")}


def evening(hours: int, *, rebooted_at_hour: int) -> Iterator[tuple[float, Message, str | None, int]]:
    """(second, what the board says, who drinks, ticks counted by it): a drink every five minutes."""
    ticks = 0
    booted_s = 1.5
    yield 2.0, Hello(firmware_version=18, serial_number="", uptime_ms=500, uptime_days=0), None, 0
    for drink in range(hours * 12):
        begin_s = 5.0 + drink * 300.0
        if drink == rebooted_at_hour * 12:
            ticks, booted_s = 0, begin_s - 1.0
            yield (
                begin_s - 0.5,
                Hello(firmware_version=18, serial_number="", uptime_ms=500, uptime_days=0),
                None,
                0,
            )
        owner = (None, "alice", "bob")[drink % 3]
        if owner:
            yield begin_s, AuthToken(device_name="onewire", token=USERS[owner], status=1), None, 0
        for step in range(60):
            now_s = begin_s + 0.2 + step * 0.1
            more = 5 + (drink + step) % 7
            ticks += more
            yield now_s, MeterStatus(meter_name="flow0", reading_ticks=ticks), owner, more
            if step % 20 == 0:
                yield now_s, TemperatureReading(sensor_name="thermo-1", sensor_c=4.0), None, 0
        if owner:
            yield begin_s + 7.0, AuthToken(device_name="onewire", token=USERS[owner], status=0), None, 0
        for beat in range(28):
            now_s = begin_s + 10.0 * (beat + 1)
            up_ms = round((now_s - booted_s) * 1000)
            yield now_s, Hello(firmware_version=18, serial_number="", uptime_ms=up_ms, uptime_days=0), None, 0
    yield hours * 3600.0, MeterStatus(meter_name="flow0", reading_ticks=ticks), None, 0


def absence(hours: int, limits: BacklogLimits) -> tuple[Backlog, Counter[str | None]]:
    """What was kept for a core that was away for so long, and what was poured."""
    talk = Conversation(name="kegboard", required_firmware=7)
    talk.opened(0.0)
    backlog = Backlog(limits)
    poured = Counter[str | None]()
    for now_s, message, owner, ticks in evening(hours, rebooted_at_hour=hours // 2):
        poured[owner] += ticks
        for event in talk.heard(message, now_s):
            if not isinstance(event, Remark):
                backlog.add(event, now_s)
        assert len(backlog) <= limits.max_events
    return backlog, poured


def delivered(backlog: Backlog, back_s: float) -> Bar:
    """A core that is told of it all at `back_s`, and waits until every flow is over."""
    bar = Bar(rules=Rules(min_drink_ml=0.0), mono_s=back_s, unix_s=START_UNIX_S)
    while batch := backlog.take(back_s, 64):
        bar.send(*(stored.aged(back_s) for stored in batch))
    bar.now = Now(mono_s=back_s + 200.0, unix_s=START_UNIX_S + 200.0)
    bar.effects += bar.engine.wake(bar.now)
    return bar


def test_after_a_long_absence_every_tick_is_a_drink_of_who_poured_it() -> None:
    backlog, poured = absence(6, BacklogLimits())
    assert backlog.superseded > 7 * len(backlog)
    bar = delivered(backlog, 6 * 3600.0 + 1.0)
    assert backlog.dropped == 0
    drunk = Counter[str | None]()
    for drink in bar.drinks():
        drunk[drink.username] += drink.ticks
    assert drunk == poured
    assert bar.meter(FLOW0).dropped_ticks == 0


def test_nobody_waits_at_a_valve_for_the_beer_he_had_during_the_absence() -> None:
    backlog, _ = absence(1, BacklogLimits())
    bar = delivered(backlog, 3600.0 + 1.0)
    assert not any(line.endswith("enabled") for line in bar.new_lines())


def test_when_there_is_no_more_room_the_oldest_owners_are_forgotten_and_no_tick_is() -> None:
    backlog, poured = absence(6, BacklogLimits(max_events=120))
    bar = delivered(backlog, 6 * 3600.0 + 1.0)
    assert backlog.dropped > 0
    assert sum(drink.ticks for drink in bar.drinks()) == poured.total()
