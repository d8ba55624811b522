"""Of two bridges each knows its own words from those of the other."""

from __future__ import annotations

from kegapps.bridge.redis_echo import MAX_KEPT, TWIN_S, Echo


def test_what_we_said_comes_back_once_and_then_it_is_another_bridges() -> None:
    echo = Echo()
    echo.say(b"a")
    assert echo.is_own(b"a")
    assert not echo.is_own(b"a")
    assert echo.finds_twin(b"a", 0.0)
    assert not echo.finds_twin(b"a", 1.0), "that is known"
    assert echo.has_twin(TWIN_S)
    assert not echo.has_twin(1.0 + TWIN_S)
    assert echo.finds_twin(b"a", 2.0 + TWIN_S), "it was away, and is news again"


def test_what_we_never_said_is_nobodys_word() -> None:
    echo = Echo()
    echo.say(b"a")
    assert not echo.is_own(b"b")
    assert not echo.finds_twin(b"b", 0.0)
    assert not echo.has_twin(0.0)


def test_without_a_subscription_nothing_is_expected_back() -> None:
    echo = Echo()
    echo.say(b"a")
    echo.expect_nothing()
    assert not echo.is_own(b"a")


def test_it_remembers_no_more_than_some() -> None:
    echo = Echo()
    for number in range(MAX_KEPT + 1):
        echo.say(b"%d" % number)
    assert not echo.is_own(b"0")
    assert not echo.finds_twin(b"0", 0.0)
    assert echo.is_own(b"1")
