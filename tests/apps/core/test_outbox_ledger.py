"""The outbox as people see and edit it: nothing is ever dropped, and nothing goes to another server unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kegapps.core.delivery import about_to_send
from kegapps.core.ledger import Ledger
from kegapps.core.ledger_rules import LedgerError
from kegapps.core.model import Drink, OnTap, Tap
from kegapps.core.outbox import Delivered, State
from kegapps.core.pending import Changes
from kegapps.core.server_store import ServerStore
from kegapps.core.store import Store
from kegapps.server.form_api import ServerTap
from kegapps.server.on_tap import OnServerTap
from kegapps.server.route import Way

START_UNIX_S = 1_795_216_330.0
DRINK = Drink(
    uuid="d-1", flow_id=1, tap_name="kegboard.flow0", username="alice", ticks=1000, ml_per_tick=0.25,
    volume_ml=250.0, start_unix_s=START_UNIX_S - 10, end_unix_s=START_UNIX_S,
)  # fmt: skip
BAR, CLUB = "http://bar:8000", "http://club"


class Cellar:
    """A store whose core has a server, with three drinks in the outbox, and the ledger beside it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.use(BAR)
        self.pour(1, 2, 3)
        self.ledger = Ledger(self.path)

    def use(self, url: str) -> ServerStore:
        """A core with this server starts."""
        self.store = Store(self.path, boot_id="", server_url=url)
        self.server = self.store.server_store()
        self.server.become_current()
        return self.server

    def restart_with(self, url: str) -> ServerStore:
        self.store.close()
        return self.use(url)

    def pour(self, *numbers: int) -> None:
        drinks = [replace(DRINK, uuid=f"d-{number}", end_unix_s=START_UNIX_S + number) for number in numbers]
        taps = {DRINK.tap_name: Tap(name=DRINK.tap_name, ml_per_tick=0.25)}
        self.store.commit(Changes(taps=taps, ended={drink.uuid: drink for drink in drinks}))

    def states(self) -> dict[int, str]:
        return {row.drink_id: row.state for row in self.ledger.outbox.waiting(limit=-1)}

    def set(self, drink_id: int, state: State, *, sent_unix_s: float | None = None) -> None:
        entry, _ = self.server.next_entry(START_UNIX_S + 100)
        while entry is not None and entry.drink_id != drink_id:
            raise AssertionError(f"drink {entry.drink_id} comes first")
        assert entry is not None
        changed = replace(
            entry, state=state, reason="because", attempts=3, errors=2, next_unix_s=START_UNIX_S + 3600,
            without_user=True, sent_unix_s=sent_unix_s,
        )  # fmt: skip
        self.server.write([changed], now_unix_s=START_UNIX_S)

    def close(self) -> None:
        self.ledger.close()
        self.store.close()


@pytest.fixture
def cellar(tmp_path: Path) -> Iterator[Cellar]:
    cellar = Cellar(tmp_path / "kegbot.sqlite")
    yield cellar
    cellar.close()


def test_the_oldest_goes_first_and_one_that_waits_holds_up_no_other(cellar: Cellar) -> None:
    cellar.set(1, State.HELD)
    entry, _ = cellar.server.next_entry(START_UNIX_S + 100)
    assert entry is not None
    assert entry.drink_id == 2
    cellar.set(2, State.DEAD)
    counts = cellar.server.counts()
    assert (counts.waiting, counts.held, counts.dead, counts.total) == (1, 1, 1, 3)
    assert counts.oldest_unix_s == START_UNIX_S + 1
    assert cellar.server.next_entry(START_UNIX_S) == (None, START_UNIX_S + 3)


def test_a_next_try_further_away_than_any_was_written_by_a_wrong_clock_and_is_due(cellar: Cellar) -> None:
    cellar.server.write([Delivered(drink_id=n) for n in (2, 3)], now_unix_s=START_UNIX_S)
    cellar.set(1, State.WAITING)
    assert cellar.server.next_entry(START_UNIX_S) == (None, START_UNIX_S + 3600)
    assert cellar.server.next_entry(START_UNIX_S - 1)[0] is not None


def test_a_drink_that_is_looked_for_soon_goes_first_and_one_looked_for_late_holds_up_no_other(
    cellar: Cellar,
) -> None:
    cellar.set(1, State.LOOKING, sent_unix_s=START_UNIX_S)
    due_unix_s = START_UNIX_S + 3600
    assert cellar.server.next_entry(due_unix_s - 9) == (None, due_unix_s)
    for unix_s, drink_id in ((due_unix_s - 20, 2), (due_unix_s, 1)):
        entry, _ = cellar.server.next_entry(unix_s)
        assert entry is not None
        assert entry.drink_id == drink_id


def test_what_a_killed_core_had_just_sent_is_not_asked_for_while_the_server_may_still_work_on_it(
    cellar: Cellar,
) -> None:
    sent_unix_s = START_UNIX_S + 50
    entry, _ = cellar.server.next_entry(sent_unix_s)
    assert entry is not None
    marked = about_to_send(entry, Way.FORM, now_unix_s=sent_unix_s, known_id="40")
    cellar.server.write([marked], now_unix_s=sent_unix_s)
    server = cellar.restart_with(BAR)
    server.defer_looks(5.0)
    assert server.next_entry(sent_unix_s + 4.0) == (None, sent_unix_s + 5.0)
    looked, _ = server.next_entry(sent_unix_s + 5.0)
    assert looked is not None
    assert (looked.drink_id, looked.known_id) == (1, "40")


def test_a_retry_forgets_the_failures_and_not_that_it_may_have_been_sent(cellar: Cellar) -> None:
    cellar.set(1, State.DEAD, sent_unix_s=START_UNIX_S)
    assert cellar.ledger.outbox.retry([1]) == 1
    entry, _ = cellar.server.next_entry(START_UNIX_S)
    assert entry is not None
    assert (entry.drink_id, entry.state, entry.attempts, entry.errors) == (1, State.WAITING, 0, 0)
    assert (entry.without_user, entry.sent_unix_s) == (False, START_UNIX_S)
    assert cellar.states()[1] == "looking"


def test_an_edit_changes_what_is_sent_and_not_the_drink(cellar: Cellar) -> None:
    cellar.ledger.add_tap("kegboard.flow1", 0.5)
    cellar.ledger.outbox.edit(1, username="bob", meter_name="kegboard.flow1")
    entry, _ = cellar.server.next_entry(START_UNIX_S)
    assert entry is not None
    assert (entry.pour.username, entry.pour.meter_name) == ("bob", "kegboard.flow1")
    (drink,) = (drink for drink in cellar.ledger.drinks(limit=10) if drink.id == 1)
    assert (drink.username, drink.tap_name) == ("alice", "kegboard.flow0")
    cellar.ledger.outbox.edit(1, username="")
    assert cellar.ledger.outbox.waiting(limit=1)[0].username is None


def test_what_is_settled_by_hand_stays_listed_and_a_late_answer_does_not_bring_it_back(
    cellar: Cellar,
) -> None:
    entry, _ = cellar.server.next_entry(START_UNIX_S + 100)
    assert entry is not None
    cellar.ledger.outbox.settle(1, reason="entered on the site", now_unix_s=START_UNIX_S)
    cellar.server.write([replace(entry, state=State.HELD)], now_unix_s=START_UNIX_S)
    assert sorted(cellar.states()) == [2, 3]
    (row,) = cellar.ledger.outbox.delivered(limit=10)
    assert (row.drink_id, row.state, row.reason) == (1, "delivered", "settled by hand: entered on the site")
    assert cellar.ledger.outbox.add([1]) == 1  # it was a mistake
    assert sorted(cellar.states()) == [1, 2, 3]


def test_drinks_for_another_server_stay_with_it_until_somebody_says_otherwise(cellar: Cellar) -> None:
    cellar.set(1, State.WAITING, sent_unix_s=START_UNIX_S)
    club = cellar.restart_with(CLUB)
    assert (club.counts().total, club.count_elsewhere()) == (0, 3)
    reasons = {row.reason for row in cellar.ledger.outbox.waiting(limit=10)}
    assert reasons == {f"for {BAR}, but --api_url is now {CLUB}; to send it there: outbox retry"}
    assert cellar.ledger.outbox.retry(None) == 3
    assert (club.counts().waiting, club.count_elsewhere()) == (3, 0)
    entry, _ = club.next_entry(START_UNIX_S + 100)
    assert entry is not None
    assert entry.sent_unix_s is None  # what the other server may have says nothing about this one


def test_without_a_server_drinks_wait_and_say_so(cellar: Cellar) -> None:
    cellar.restart_with("")
    assert "kegbot_core runs without --api_url" in cellar.ledger.outbox.waiting(limit=1)[0].reason
    with pytest.raises(LedgerError, match="start it with --api_url first"):
        cellar.ledger.outbox.retry(None)


def test_drinks_of_before_the_server_can_be_added(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "old.sqlite"), boot_id="")
    store.commit(
        Changes(
            ended={f"d-{n}": replace(DRINK, uuid=f"d-{n}", end_unix_s=START_UNIX_S + n) for n in range(4)}
        )
    )
    store.close()
    store = Store(str(tmp_path / "old.sqlite"), boot_id="", server_url=BAR)
    store.server_store().become_current()
    ledger = Ledger(str(tmp_path / "old.sqlite"))
    assert ledger.outbox.add([2]) == 1
    assert ledger.outbox.add(since_unix_s=START_UNIX_S + 1) == 2
    assert [row.drink_id for row in ledger.outbox.waiting(limit=10)] == [2, 3, 4]
    ledger.close()
    store.close()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda outbox: outbox.retry([9]), "drink 9 is not in the outbox"),
        (lambda outbox: outbox.edit(1, username="a b"), "is no username"),
        (lambda outbox: outbox.edit(1, meter_name="x.flow7"), "no tap x.flow7"),
        (lambda outbox: outbox.settle(1, reason="", now_unix_s=0.0), "--reason=TEXT"),
        (lambda outbox: outbox.settle(9, reason="so", now_unix_s=0.0), "drink 9 is not in the outbox"),
        (lambda outbox: outbox.add([1]), "drink 1 is in the outbox already"),
        (lambda outbox: outbox.add([9]), "no drink 9"),
        (lambda outbox: outbox.add([3]), "drink 3 was delivered to http://bar:8000 already"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(
    edit: Callable[[object], object], reason: str, cellar: Cellar
) -> None:
    cellar.server.write([Delivered(drink_id=3, server_drink_id="77")], now_unix_s=START_UNIX_S)
    with pytest.raises(LedgerError, match=reason):
        edit(cellar.ledger.outbox)


def server_tap(**changes: object) -> ServerTap:
    tap = ServerTap(
        id="1", name="Main Tap", meter_name="kegboard.flow0", ml_per_tick=0.4, relay_name="kegboard.relay0", keg_id="5"
    )  # fmt: skip
    return replace(tap, **changes)  # type: ignore[arg-type]


def test_what_the_server_says_of_a_tap_counts_here_and_is_kept(cellar: Cellar) -> None:
    cellar.server.keep_taps(
        [server_tap(), server_tap(meter_name="kegboard.flow1", relay_name="")], now_unix_s=0.0
    )
    taps = {tap.name: tap for tap in cellar.ledger.taps()}
    assert [(tap.ml_per_tick, tap.relay_name, tap.description, tap.source) for tap in taps.values()] == [
        (0.4, "kegboard.relay0", "Main Tap", "server"),
        (0.4, "", "Main Tap", "server"),
    ]
    assert cellar.store.load_setup().taps["kegboard.flow1"].source == "server"
    cellar.restart_with("")  # the server is given up: what it said stays
    assert [(tap.ml_per_tick, tap.source) for tap in cellar.ledger.taps()] == [(0.4, "local")] * 2


def test_what_the_server_says_is_on_tap_counts_and_is_kept_and_drinks_of_ours_are_taken_off(
    cellar: Cellar,
) -> None:
    on = OnServerTap(
        beverage="Alt", keg_volume_ml=30_000.0, keg_left_ml=10_000.0, sensor_name="kegboard.thermo-1",
        temperature_c=4.0, temperature_unix_s=5.0,
    )  # fmt: skip
    ledger = cellar.ledger
    ledger.tap_keg("kegboard.flow0", beverage="Pils", volume_ml=50_000.0, now_unix_s=1.0)
    cellar.server.keep_taps([server_tap(on=on)], now_unix_s=0.0)
    cellar.restart_with(BAR)
    assert cellar.server.taps() == (server_tap(id="", on=on),)
    shown = cellar.store.tap_room().on_taps()["kegboard.flow0"]
    assert shown == OnTap(
        description="Main Tap", beverage="Alt", keg_volume_ml=30_000.0, keg_left_ml=10_000.0,
        sensor_name="kegboard.thermo-1", temperature_c=4.0, temperature_unix_s=5.0,
    )  # fmt: skip
    (row,) = cellar.ledger.taps()
    assert (row.beverage, row.keg_left_ml, row.sensor_name) == ("Alt", 10_000.0, "kegboard.thermo-1")
    assert cellar.store.load_setup().taps["kegboard.flow0"].beverage == "Alt"
    cellar.store.commit(Changes(ended={"new": replace(DRINK, uuid="new", volume_ml=400.0)}))
    assert cellar.store.tap_room().on_taps()["kegboard.flow0"].keg_left_ml == 9_600.0
    cellar.server.keep_taps([server_tap(on=replace(on, keg_left_ml=9_500.0))], now_unix_s=0.0)
    assert cellar.store.tap_room().on_taps()["kegboard.flow0"].keg_left_ml == 9_500.0
    cellar.restart_with("")  # the server is given up: then it is our keg that is on
    assert cellar.store.tap_room().on_taps()["kegboard.flow0"].beverage == "Pils"


def test_what_the_server_does_not_say_of_its_tap_people_here_may_say(cellar: Cellar) -> None:
    cellar.ledger.tap_keg("kegboard.flow0", beverage="Pils", volume_ml=50_000.0, now_unix_s=1.0)
    cellar.ledger.set_tap("kegboard.flow0", sensor_name="kegboard.thermo-2")
    cellar.server.keep_taps([server_tap()], now_unix_s=0.0)
    shown = cellar.store.tap_room().on_taps()["kegboard.flow0"]
    assert (shown.beverage, shown.keg_volume_ml, shown.sensor_name) == ("Pils", 50_000.0, "kegboard.thermo-2")
    cellar.server.keep_taps([server_tap(on=OnServerTap(sensor_name="kegboard.thermo-1"))], now_unix_s=0.0)
    with pytest.raises(LedgerError, match="whose sensor counts: change it there"):
        cellar.ledger.set_tap("kegboard.flow0", sensor_name="kegboard.thermo-2")


def test_a_relay_and_a_name_that_people_gave_here_stay_if_the_server_has_none(cellar: Cellar) -> None:
    cellar.ledger.set_tap("kegboard.flow0", relay_name="kegboard.relay7", description="left one")
    cellar.server.keep_taps([server_tap(relay_name="")], now_unix_s=0.0)
    (tap,) = cellar.ledger.taps()
    assert (tap.relay_name, tap.description) == ("kegboard.relay7", "left one")
    cellar.server.keep_taps([server_tap(relay_name="kegboard.relay1")], now_unix_s=0.0)
    cellar.server.keep_taps([server_tap(relay_name="")], now_unix_s=0.0)
    assert cellar.ledger.taps()[0].relay_name == ""


def test_the_calibration_of_a_servers_tap_is_changed_on_the_server(cellar: Cellar) -> None:
    cellar.server.keep_taps([server_tap(relay_name="")], now_unix_s=0.0)
    with pytest.raises(
        LedgerError, match="is a tap of http://bar:8000, whose calibration counts: change it there"
    ):
        cellar.ledger.set_tap("kegboard.flow0", ml_per_tick=0.5)
    cellar.ledger.set_tap("kegboard.flow0", relay_name="kegboard.relay3")
    cellar.server.keep_taps([server_tap()], now_unix_s=0.0)
    with pytest.raises(LedgerError, match="whose relay counts"):
        cellar.ledger.set_tap("kegboard.flow0", relay_name="kegboard.relay3")


def test_what_the_server_may_have_is_not_edited_for_it_would_not_be_found_there(cellar: Cellar) -> None:
    cellar.set(1, State.LOOKING, sent_unix_s=START_UNIX_S)
    box = cellar.ledger.outbox
    with pytest.raises(LedgerError, match="drink 1 was sent, and may be on the server as it is"):
        box.edit(1, username="bob")
    box.settle(1, reason="it is not there", now_unix_s=START_UNIX_S)
    box.add([1])
    box.edit(1, username="bob")
