"""What people see and edit, and that no question reads the whole store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.core.ledger import Ledger, LedgerError
from kegapps.core.model import Drink, Flow, Temperature
from kegapps.core.pending import Changes
from kegapps.core.store import Store

NOW = 1_795_216_330.0
TAP = "kegboard.flow0"


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "kegbot.sqlite")
    Store(path, boot_id="").close()
    return path


@pytest.fixture
def ledger(path: str) -> Iterator[Ledger]:
    ledger = Ledger(path)
    ledger.add_tap(TAP, 0.5)
    yield ledger
    ledger.close()


def drink(number: int, *, username: str | None = None, tap: str = TAP, keg_id: int | None = None) -> Drink:
    return Drink(
        uuid=f"d-{number}", flow_id=number, tap_name=tap, username=username, ticks=100, ml_per_tick=0.5,
        volume_ml=50.0, start_unix_s=NOW + number - 5, end_unix_s=NOW + number, keg_id=keg_id,
    )  # fmt: skip


def record(path: str, *drinks: Drink) -> None:
    store = Store(path, boot_id="")
    store.commit(Changes(ended={drink.uuid: drink for drink in drinks}))
    store.close()


def test_a_tap_is_added_changed_and_removed(ledger: Ledger) -> None:
    ledger.set_tap(TAP, ml_per_tick=0.25, relay_name="kegboard.relay0", description="Left, ¾ full")
    (tap,) = ledger.taps()
    assert (tap.ml_per_tick, tap.relay_name, tap.description) == (0.25, "kegboard.relay0", "Left, ¾ full")
    assert (tap.last_reading, tap.dropped_steps) == (None, 0)
    ledger.set_tap(TAP, relay_name="")
    assert ledger.taps()[0].relay_name == ""
    assert ledger.taps()[0].ml_per_tick == 0.25
    ledger.remove_tap(TAP, now_unix_s=NOW)
    assert ledger.taps() == []


def test_a_tap_is_given_the_sensor_of_its_temperature_and_shows_what_is_left_of_its_keg(
    path: str, ledger: Ledger
) -> None:
    ledger.set_tap(TAP, sensor_name="kegboard.thermo-cd08001234561028")
    ledger.tap_keg(TAP, beverage="Alt", volume_ml=1000.0, now_unix_s=NOW)
    (keg,) = ledger.kegs(limit=1)
    record(path, *(drink(number, keg_id=keg.id) for number in range(5)))
    (tap,) = ledger.taps()
    assert (tap.sensor_name, tap.keg_volume_ml, tap.keg_left_ml) == (
        "kegboard.thermo-cd08001234561028",
        1000.0,
        750.0,
    )
    ledger.set_tap(TAP, sensor_name="")
    record(path, *(drink(number, keg_id=keg.id) for number in range(5, 30)))
    (tap,) = ledger.taps()
    assert (tap.sensor_name, tap.keg_left_ml) == ("", 0.0)


def test_drinks_come_newest_first_and_by_user_tap_and_time(path: str, ledger: Ledger) -> None:
    record(
        path,
        *(drink(n, username="alice" if n % 2 else None, tap=TAP if n < 6 else "x.flow1") for n in range(8)),
    )
    assert [row.id for row in ledger.drinks(limit=3)] == [8, 7, 6]
    assert [row.id for row in ledger.drinks(limit=9, username="alice")] == [8, 6, 4, 2]
    assert [row.id for row in ledger.drinks(limit=9, username="")] == [7, 5, 3, 1]
    assert [row.id for row in ledger.drinks(limit=9, tap_name="x.flow1")] == [8, 7]
    assert [row.id for row in ledger.drinks(limit=9, since_unix_s=NOW + 5, username="alice")] == [8, 6]


def test_users_and_their_tokens(path: str, ledger: Ledger) -> None:
    ledger.add_user("alice", NOW)
    ledger.add_user("bob", NOW)
    ledger.add_token("core.rfid", "0415AB96C3", "alice", NOW)
    ledger.add_token("turnstile", "Card7", "alice", NOW)
    record(path, drink(1, username="alice"))
    assert [(u.username, u.tokens, u.last_drink_unix_s) for u in ledger.users()] == [
        ("alice", 2, NOW + 1), ("bob", 0, None),
    ]  # fmt: skip
    assert [(t.device, t.token) for t in ledger.tokens()] == [
        ("core.rfid", "0415ab96c3"),
        ("turnstile", "Card7"),
    ]
    ledger.enable_token("core.rfid", "0415ab96c3", enabled=False)
    ledger.enable_user("bob", enabled=False)
    assert [t.enabled for t in ledger.tokens()] == [False, True]
    assert [u.enabled for u in ledger.users()] == [True, False]
    ledger.remove_token("core.rfid", "0415AB96C3")
    assert len(ledger.tokens()) == 1


def test_only_enabled_tokens_of_enabled_users_may_pour(path: str, ledger: Ledger) -> None:
    for name in ("alice", "bob", "carol"):
        ledger.add_user(name, NOW)
        ledger.add_token("core.rfid", f"00{name[0]}", name, NOW)
    ledger.enable_user("bob", enabled=False)
    ledger.enable_token("core.rfid", "00c", enabled=False)
    store = Store(path, boot_id="")
    assert store.load_setup().users == {("core.rfid", "00a"): "alice"}
    store.close()


def test_a_keg_knows_what_was_poured_from_it(path: str, ledger: Ledger) -> None:
    ledger.tap_keg(TAP, beverage="Altbier", volume_ml=30_000, now_unix_s=NOW)
    store = Store(path, boot_id="")
    keg_id = store.load_setup().taps[TAP].keg_id
    store.close()
    assert keg_id == 1
    record(path, drink(1, keg_id=keg_id), drink(2, keg_id=keg_id), drink(3))
    (keg,) = ledger.kegs(limit=20)
    assert (keg.served_ml, keg.drinks, keg.ended_unix_s) == (100.0, 2, None)
    assert [row.beverage for row in ledger.drinks(limit=3)] == [None, "Altbier", "Altbier"]
    assert ledger.taps()[0].beverage == "Altbier"
    ledger.end_keg(TAP, now_unix_s=NOW + 9)
    ledger.tap_keg(TAP, beverage="Kölsch", volume_ml=10_000, now_unix_s=NOW + 10)
    assert [(k.beverage, k.ended_unix_s) for k in ledger.kegs(limit=20)] == [
        ("Kölsch", None),
        ("Altbier", NOW + 9),
    ]


FAMILY, PERSIAN = "\U0001f468\u200d\U0001f469\u200d\U0001f467 brew", "می\u200cخواهم"


def test_beverages_and_taps_have_letters_that_are_joined_and_apps_are_told_of_them(
    path: str, ledger: Ledger
) -> None:
    ledger.set_tap(TAP, description=PERSIAN)
    ledger.tap_keg(TAP, beverage=FAMILY, volume_ml=10_000, now_unix_s=NOW)
    store = Store(path, boot_id="")
    on_tap = store.tap_room().on_taps()[TAP]
    store.close()
    assert (on_tap.description, on_tap.beverage) == (PERSIAN, FAMILY)


def test_temperatures_come_newest_first(path: str, ledger: Ledger) -> None:
    store = Store(path, boot_id="")
    store.commit(
        Changes(
            temperatures={
                (sensor, minute): Temperature(sensor_name=sensor, unix_minute=minute, celsius=minute / 4)
                for sensor in ("a.thermo-1", "b.thermo-2")
                for minute in range(10, 20)
            }
        )
    )
    store.close()
    assert [(t.sensor_name, t.unix_s, t.celsius) for t in ledger.temperatures(limit=2)] == [
        ("a.thermo-1", 1140.0, 4.75), ("b.thermo-2", 1140.0, 4.75),
    ]  # fmt: skip
    assert len(ledger.temperatures(limit=99, sensor_name="a.thermo-1", since_unix_s=15 * 60)) == 5


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda x: x.add_tap(TAP, 1.0), "there is a tap kegboard.flow0 already; change it with: taps set"),
        (lambda x: x.add_tap("a b", 1.0), "'a b' is no name of a meter"),
        (lambda x: x.add_tap("x.flow1", 0.0), "0 mL per tick is no calibration"),
        (lambda x: x.set_tap(TAP, ml_per_tick=float("nan")), "nan mL per tick is no calibration"),
        (lambda x: x.set_tap("x.flow9", ml_per_tick=1.0), "no tap x.flow9; there are: kegboard.flow0"),
        (lambda x: x.set_tap(TAP, relay_name="kegboard.relay"), "no name of a relay: it ends in a digit"),
        (lambda x: x.set_tap(TAP, sensor_name="the cold one"), "no name of a sensor, such as kegboard.thermo-"),
        (lambda x: x.set_tap(TAP, description="a\x1b[2J"), "description: expected up to 200 printable"),
        (lambda x: x.set_tap(TAP, description="a\u202eb"), "description: expected up to 200 printable"),
        (lambda x: x.set_tap(TAP, description="a" * 201), "description: expected up to 200 printable"),
        (
            lambda x: x.tap_keg(TAP, beverage="\u200d", volume_ml=1.0, now_unix_s=NOW),
            "beverage: expected up to 200 printable",
        ),
        (lambda x: x.remove_tap("x", now_unix_s=NOW), "no tap x"),
        (lambda x: x.add_user("a b", NOW), "'a b' is no username: 1 to 30"),
        (lambda x: x.enable_user("nobody", enabled=False), "no user nobody; first: users add nobody"),
        (lambda x: x.add_token("core.rfid", "00", "nobody", NOW), "no user nobody"),
        (lambda x: x.add_token("core.rfid", "", "nobody", NOW), "expected device and token"),
        (lambda x: x.remove_token("core.rfid", "00"), "no core.rfid token 00; see: tokens"),
        (lambda x: x.tap_keg(TAP, beverage="", volume_ml=1.0, now_unix_s=NOW), "say what is in the keg"),
        (lambda x: x.tap_keg(TAP, beverage="Alt", volume_ml=-1.0, now_unix_s=NOW), "-1 mL is no keg"),
        (lambda x: x.tap_keg("x", beverage="Alt", volume_ml=1.0, now_unix_s=NOW), "no tap x"),
        (lambda x: x.end_keg(TAP, now_unix_s=NOW), "no keg is on kegboard.flow0"),
    ],
)  # fmt: skip
def test_an_edit_that_makes_no_sense_says_why_and_changes_nothing(
    edit: object, reason: str, ledger: Ledger
) -> None:
    before = (ledger.taps(), ledger.users(), ledger.tokens(), ledger.kegs(limit=9))
    with pytest.raises(LedgerError, match=reason):
        edit(ledger)  # type: ignore[operator]
    assert (ledger.taps(), ledger.users(), ledger.tokens(), ledger.kegs(limit=9)) == before


def test_a_token_belongs_to_one_user_and_a_tap_has_one_keg(ledger: Ledger) -> None:
    for name in ("alice", "bob"):
        ledger.add_user(name, NOW)
    ledger.add_token("core.rfid", "00", "alice", NOW)
    with pytest.raises(LedgerError, match=r"core.rfid token 00 is alice's"):
        ledger.add_token("core.rfid", "00", "bob", NOW)
    ledger.tap_keg(TAP, beverage="Alt", volume_ml=1.0, now_unix_s=NOW)
    with pytest.raises(LedgerError, match=r"Alt is still on kegboard.flow0; first: kegs end kegboard.flow0"):
        ledger.tap_keg(TAP, beverage="Kölsch", volume_ml=1.0, now_unix_s=NOW)


def test_a_tap_on_which_somebody_pours_is_not_removed(path: str, ledger: Ledger) -> None:
    flow = Flow(
        uuid="f", flow_id=1, tap_name=TAP, username=None, idle_limit_s=10.0, start_unix_s=NOW, last_unix_s=NOW,
        last_mono_s=1.0,
    )  # fmt: skip
    store = Store(path, boot_id="")
    store.commit(Changes(flows={"f": flow}))
    store.close()
    with pytest.raises(LedgerError, match=r"somebody is pouring on kegboard.flow0: wait"):
        ledger.remove_tap(TAP, now_unix_s=NOW)


@pytest.mark.parametrize(
    "question",
    [
        lambda x: x.drinks(limit=20),
        lambda x: x.drinks(limit=20, username="alice"),
        lambda x: x.drinks(limit=20, username=""),
        lambda x: x.drinks(limit=20, tap_name=TAP),
        lambda x: x.drinks(limit=20, since_unix_s=NOW),
        lambda x: x.kegs(limit=20),
        lambda x: x.users(),
        lambda x: x.temperatures(limit=20),
        lambda x: x.temperatures(limit=20, sensor_name="a"),
        lambda x: x.taps(),
        lambda x: x.outbox.waiting(limit=20),
        lambda x: x.outbox.delivered(limit=20),
        lambda x: list(x.archive.drinks()),
        lambda x: list(x.archive.drinks(since_unix_s=NOW, until_unix_s=NOW + 1)),
        lambda x: list(x.archive.temperatures()),
        lambda x: list(x.archive.temperatures(since_unix_s=NOW, until_unix_s=NOW + 1)),
    ],
)
def test_no_question_reads_all_drinks_or_temperatures_or_sorts_them(question: object, ledger: Ledger) -> None:
    asked: list[str] = []
    ledger._db.set_trace_callback(asked.append)
    question(ledger)  # type: ignore[operator]
    ledger._db.set_trace_callback(None)
    plan = [row["detail"] for sql in asked for row in ledger._db.execute(f"explain query plan {sql}")]
    for step in plan:
        whole = step.startswith("SCAN") and any(
            f"SCAN {name}" in step for name in ("d", "drinks", "temperatures")
        )
        assert not whole or "USING INDEX" in step, plan
        assert "TEMP B-TREE" not in step, plan
