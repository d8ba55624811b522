"""Each drink is new once, in order, whatever becomes of the core's store."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kegapps.kegnet.drinks_read import DrinksRead
from kegapps.kegnet.drinks_record import (
    MAX_READ,
    MAX_STORES,
    MAX_TEXT_BYTES,
    Cursor,
    Seen,
    read_record,
    record_text,
)
from kegapps.kegnet.events import DrinkFacts, Drinks, DrinksRequest


class Store:
    """Drinks as a core keeps them; a minute lies between two, whatever store they are in."""

    poured = 0

    def __init__(self, store_id: str, drinks: Iterable[DrinkFacts] = ()) -> None:
        self.store_id = store_id
        self.drinks = list(drinks)

    def pour(self, count: int = 1, *, ahead_s: float = 0.0) -> list[str]:
        """So many drinks; their uuids. `ahead_s`: the clock is wrong."""
        for _ in range(count):
            Store.poured += 1
            end_unix_s = 1_790_000_000.0 + Store.poured * 60 + ahead_s
            self.drinks.append(
                DrinkFacts(
                    drink_id=self.drinks[-1].drink_id + 1 if self.drinks else 1, uuid=f"{Store.poured:032x}"[::-1],
                    flow_id=1, tap_name="t", username=None, ticks=1, volume_ml=1.0, start_unix_s=end_unix_s - 20,
                    end_unix_s=end_unix_s,
                )
            )  # fmt: skip
        return [drink.uuid for drink in self.drinks[-count:]]

    def backup(self) -> Store:
        return Store(self.store_id, self.drinks)

    def answer(self, request: DrinksRequest) -> Drinks:
        if request.after < 0:
            found = self.drinks[-request.limit :]
        else:
            found = [drink for drink in self.drinks if drink.drink_id > request.after][: request.limit]
        last_id = self.drinks[-1].drink_id if self.drinks else 0
        return Drinks(drinks=tuple(found), last_id=last_id, store_id=self.store_id)


class Reader:
    """A program that keeps what it read as text, and is started anew each time."""

    def __init__(self) -> None:
        self.text = record_text(())
        self.remarks: list[str] = []

    def read(self, store: Store) -> list[str]:
        """The uuids of what is new in `store`."""
        read = DrinksRead(read_record(self.text))
        read.connected()
        new: list[str] = []
        for _ in range(100_000):
            page = read.take(store.answer(read.request()))
            new += [drink.uuid for drink in page.drinks]
            self.remarks += [page.remark] if page.remark else []
            if page.record is not None:
                read.keep(page.record)
                self.text = record_text(page.record)
                assert len(self.text) < MAX_TEXT_BYTES / 4
            if not page.more:
                return new
        raise AssertionError("it asks for ever")


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.mark.parametrize("before", [0, 1, 100, 1100])
@pytest.mark.parametrize("missed", [0, 1, 49, 50, 51, 300])
def test_what_was_there_before_the_first_start_is_history_and_the_rest_is_new_once(
    reader: Reader, before: int, missed: int
) -> None:
    store = Store("a")
    store.pour(before) if before else None
    assert reader.read(store) == []
    expected = store.pour(missed) if missed else []
    assert reader.read(store) == expected
    assert reader.read(store) == []
    assert reader.remarks == []


@pytest.mark.parametrize("other_drinks", [0, 5, 2000])
def test_another_store_in_between_makes_nothing_forgotten_and_nothing_new(
    reader: Reader, other_drinks: int
) -> None:
    store, other = Store("a"), Store("b")
    store.pour(1000)
    reader.read(store)
    if other_drinks:
        other.pour(other_drinks)
    assert reader.read(other) == []
    poured = other.pour(2)
    assert reader.read(other) == poured
    poured = store.pour(3)
    assert reader.read(store) == poured
    assert [remark.partition(":")[0].partition(" (")[0] for remark in reader.remarks] == [
        "the core has another store, never seen before",
        "the core has another store, a known one",
    ]


def test_a_backup_that_is_put_into_the_place_of_a_first_empty_store_is_history(reader: Reader) -> None:
    assert reader.read(Store("a")) == []
    backup = Store("b")
    backup.pour(1000)
    assert reader.read(backup) == []
    poured = backup.pour()
    assert reader.read(backup) == poured


@pytest.mark.parametrize("known_from", [0, 3, 6])
@pytest.mark.parametrize(
    ("at", "lost", "new"), [(3, 3, 5), (3, 3, 1), (3, 3, 3), (0, 6, 4), (0, 6, 9), (6, 0, 2)]
)
def test_behind_the_point_where_a_restored_backup_departs_all_is_new(
    reader: Reader, known_from: int, at: int, lost: int, new: int
) -> None:
    store = Store("a")
    if known_from == 0:
        reader.read(store)
    for number in range(at + lost):
        if number == at:
            backup = store.backup()
        store.pour()
        if number + 1 >= known_from:
            reader.read(store)
    if not lost:
        backup = store.backup()
    poured = backup.pour(new)
    assert reader.read(backup) == poured
    assert reader.read(backup) == []
    poured = backup.pour()
    assert reader.read(backup) == poured


@pytest.mark.parametrize("first_seen_at", [0, 3_000])
@pytest.mark.parametrize("ahead_s", [0.0, 10 * 365 * 86400.0])
@pytest.mark.parametrize("new", [1, 300, 3_500])
def test_a_backup_far_older_than_what_is_remembered_is_told_by_time_and_one_wrong_clock_does_not_matter(
    reader: Reader, first_seen_at: int, ahead_s: float, new: int
) -> None:
    store = Store("a")
    store.pour(100)
    backup = store.backup()
    if first_seen_at == 0:
        reader.read(store)
    store.pour(2_900)
    reader.read(store)
    store.pour(13)
    store.pour(ahead_s=ahead_s)
    reader.read(store)
    poured = backup.pour(new)
    assert reader.read(backup) == poured
    poured = backup.pour()
    assert reader.read(backup) == poured
    if new < MAX_READ:
        # And the newer one after all: nothing that was told is told again.
        poured = store.pour(2)
        assert reader.read(store) == poured


def test_a_restored_store_is_noticed_whether_drinks_were_poured_in_it_or_not(reader: Reader) -> None:
    store = Store("a")
    store.pour(5)
    backup = store.backup()
    store.pour(5)
    reader.read(store)
    assert reader.read(backup) == []
    assert len(reader.remarks) == 2
    assert reader.remarks[-1] == "drink 5 is the last that both have, and all after it is new"
    assert reader.read(backup) == []
    assert len(reader.remarks) == 2  # said once


def test_it_is_killed_anywhere_while_it_reads_a_restored_store_and_tells_each_drink(reader: Reader) -> None:
    store = Store("a")
    store.pour(2000)
    backup = Store("a", store.drinks[:300])
    reader.read(store)
    poured = backup.pour(500)
    new: list[str] = []
    for _ in range(10_000):
        read = DrinksRead(read_record(reader.text))
        read.connected()
        page = None
        while page is None or (page.more and page.record is None):
            page = read.take(backup.answer(read.request()))
        if page.record is not None:
            new += [drink.uuid for drink in page.drinks]
            reader.text = record_text(page.record)
        if not page.more:
            break
    assert new == poured


def test_a_core_that_does_not_name_its_store_is_known_by_its_drinks(reader: Reader) -> None:
    store = Store("")
    store.pour(4)
    backup = store.backup()
    store.pour(3)
    reader.read(store)
    assert reader.read(Store("")) == []
    poured = store.pour()
    assert reader.read(store) == poured
    poured = backup.pour(9)
    assert reader.read(backup) == poured


def test_drinks_that_a_person_deleted_are_no_reason_to_stop_or_to_tell_others_again(reader: Reader) -> None:
    store = Store("a")
    store.pour(9)
    reader.read(store)
    del store.drinks[6:]
    assert reader.read(store) == []
    store.drinks[2:4] = []
    poured = store.pour(2)
    assert reader.read(store) == poured


def test_each_drink_has_a_step_behind_it_and_the_last_is_not_the_end_of_the_page() -> None:
    store = Store("a")
    store.pour(3)
    read = DrinksRead((Cursor(store_id="a", drink_id=0),))
    page = read.take(store.answer(read.request()))
    assert [step[-1].drink_id for step in page.steps] == [1, 2, 3]
    read.keep(page.steps[1])
    assert [drink.drink_id for drink in read.take(store.answer(read.request())).drinks] == [3]


def test_what_is_announced_before_the_first_answer_is_new(reader: Reader) -> None:
    store = Store("a")
    store.pour(5)
    read = DrinksRead()
    request = read.request()
    poured = store.pour(2)
    page = read.take(store.answer(request), first_heard=6)
    assert page.more
    assert page.record is not None
    read.keep(page.record)
    assert [drink.uuid for drink in read.take(store.answer(read.request())).drinks] == poured


def test_no_more_than_a_few_stores_are_remembered(reader: Reader) -> None:
    for number in range(20):
        store = Store(f"s{number}")
        reader.read(store)
        store.pour(101 if number < 19 else MAX_READ + 1)
        reader.read(store)
    record = read_record(reader.text)
    assert [cursor.store_id for cursor in record] == [f"s{number}" for number in range(20 - MAX_STORES, 20)]
    assert [len(cursor.seen) for cursor in record] == [100] * (MAX_STORES - 1) + [MAX_READ]


def test_a_record_is_read_as_it_was_written() -> None:
    seen = (Seen(drink_id=4, uuid="ab", end_unix_s=1.5),)
    record = (
        Cursor(store_id="", drink_id=0),
        Cursor(store_id="x", drink_id=4, uuid="ab", seen=seen, since_unix_s=7.0),
    )
    assert read_record(record_text(record)) == record


@pytest.mark.parametrize(
    "text",
    [
        "", "[" * 4000, "null", "7", '{"last_drink_id": 99999999999999999999999}', '{"drinks_read": 3}',
        '{"drinks_read": [3]}', '{"drinks_read": [{}]}', '{"drinks_read": [{"store_id": "a"}]}', "9" * 5000,
        '{"drinks_read": [{"store_id":"a","last_drink_id":-1,"uuid":"","since_unix_s":null,"seen":[]}]}',
        '{"drinks_read": [{"store_id":"a","last_drink_id":1e9,"uuid":"","since_unix_s":null,"seen":[]}]}',
        '{"drinks_read": [{"store_id":"a","last_drink_id":99999999999999999999,"uuid":"","since_unix_s":null,"seen":[]}]}',
        '{"drinks_read": [{"store_id":"a","last_drink_id":1,"uuid":"","since_unix_s":NaN,"seen":[]}]}',
        '{"drinks_read": [{"store_id":"a","last_drink_id":1,"uuid":"","since_unix_s":null,"seen":[[1,"a"]]}]}',
        '{"drinks_read": [{"store_id":"a\\n","last_drink_id":1,"uuid":"","since_unix_s":null,"seen":[]}]}',
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  its text is for nobody
        read_record(text)
