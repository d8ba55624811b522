"""publisher.py against networks on loopback: whatever they do, every drink is announced once, in order."""

from __future__ import annotations

import signal

import pytest

from tests.apps.publish.conftest import Bar
from tests.apps.publish.programs import drink


def test_what_was_poured_before_the_first_start_is_not_announced_and_what_comes_after_is(bar: Bar) -> None:
    bar.store.pour("old", "older")
    bar.start("--message={user} poured {volume} of {beverage} from {tap}", "--units=oz")
    bar.store.pour("alice", None)
    bar.taken(
        "alice poured 10.1 oz of stout from the left tap",
        "Somebody poured 10.1 oz of stout from the left tap",
    )
    assert bar.publisher.end() == 0
    assert "Traceback" not in bar.publisher.output()


def test_what_was_poured_while_it_was_away_is_announced_once_it_is_back(bar: Bar) -> None:
    bar.start()
    bar.store.pour("a")
    bar.taken("a 300 mL")
    bar.publisher.end()
    bar.store.pour(*(str(number) for number in range(120)))
    bar.start()
    bar.taken("a 300 mL", *(f"{number} 300 mL" for number in range(120)))
    assert {row["state"] for row in bar.publisher.listed("--all")} == {"sent"}
    assert bar.publisher.listed() == []
    assert bar.publisher.end() == 0


WHY = {
    "error": ", error=500; trying on",
    "redirect": "127.0.0.1: redirected to http://127.0.0.1:{port}/login; trying on",
    "hang": "no answer within 0.5 s; trying on",
    "close": "127.0.0.1: it closed the connection; trying on",
    "die": "127.0.0.1: connection refused; trying on",
}


@pytest.mark.parametrize("fault", WHY)
def test_a_network_that_fails_is_told_everything_once_when_it_is_back(bar: Bar, fault: str) -> None:
    bar.start("--timeout_s=0.5")
    if fault == "die":
        bar.sink.die()
    else:
        bar.sink.mode = fault
    bar.store.pour("a", "b", "c")
    bar.publisher.says(WHY[fault].format(port=bar.sink.port), bar.core)
    bar.core.turn_until(lambda: [row["attempts"] > 1 for row in bar.publisher.listed()[:1]] == [True])
    assert bar.sink.taken == []
    bar.sink.mode = "ok"
    if fault == "die":
        bar.sink.start()
    bar.taken("a 300 mL", "b 300 mL", "c 300 mL")
    assert bar.publisher.end() == 0


def test_a_network_that_is_dead_neither_holds_up_the_others_nor_doubles_theirs(bar: Bar) -> None:
    alive = bar.another_sink()
    bar.publisher.write_urls(bar.sink.url(), f"living {alive.url()}")
    bar.start()
    bar.sink.die()
    bar.store.pour("a", "b")
    bar.taken("a 300 mL", "b 300 mL", sink=alive)
    bar.publisher.says("; trying on", bar.core)
    bar.sink.start()
    bar.taken("a 300 mL", "b 300 mL")
    assert alive.taken == ["a 300 mL", "b 300 mL"]


def test_a_rate_is_kept_also_across_a_restart(bar: Bar) -> None:
    bar.start("--rate_limit=2/1.5")
    bar.store.pour("a", "b", "c")
    bar.taken("a 300 mL", "b 300 mL", "c 300 mL")
    bar.publisher.end(signal.SIGKILL)
    bar.store.pour("d", "e")
    bar.start("--rate_limit=2/1.5")
    bar.taken("a 300 mL", "b 300 mL", "c 300 mL", "d 300 mL", "e 300 mL")
    # To the letter in test_delivery: here the machine may be busy, and what arrives late makes a gap look short.
    assert bar.sink.times_s[4] - bar.sink.times_s[0] > 1.2


def test_a_store_that_was_replaced_is_noticed_and_its_history_is_not_announced(bar: Bar) -> None:
    bar.store.pour("x", "y", "z")
    bar.start()
    bar.store.pour("a")
    bar.taken("a 300 mL")
    bar.publisher.end()
    # A backup with two drinks, and one poured since.
    bar.store.drinks = [drink(1, "x"), drink(2, "y"), drink(3, "new", uuid="another")]
    late = drink(9, "new", uuid="another")
    bar.store.drinks[2] = type(late)(**{**{k: getattr(late, k) for k in late.__slots__}, "drink_id": 3})
    bar.start()
    bar.publisher.says("drink 2 is the last that both have", bar.core)
    bar.taken("a 300 mL", "new 300 mL")
    bar.store.add(drink(4, "b", uuid="more"))
    bar.taken("a 300 mL", "new 300 mL", "b 300 mL")
