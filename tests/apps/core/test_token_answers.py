"""Tokens that only the Kegbot Server knows: asked for, let in when the answer comes, remembered while it is away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kegapps.core.effects import AskToken, Keep
from kegapps.core.engine import Engine
from kegapps.core.model import Memory, Now, Setup, TokenAnswer
from kegapps.core.rules import Rules
from kegapps.core.token_book import MAX_OPEN, MAX_QUESTIONS
from tests.apps.core.bar import ALICE, FLOW0, START_UNIX_S, TAPS, Bar, added, reading, removed

DANA = ("core.onewire", "00000000000000d1")
DANA_RFID = ("core.rfid", "d1d1d1d1")
EVE_RFID = ("core.rfid", "e5e5e5e5")
DAY_S = 86400.0


def online(*answers: TokenAnswer, refused: tuple[str, str] | None = None, rules: Rules | None = None) -> Bar:
    """A bar whose core can ask a server, and remembers these answers."""
    bar = Bar()
    bar.setup = replace(bar.setup, refused=frozenset({refused} if refused else ()))
    bar.engine = Engine(
        rules or Rules(), bar.setup, Memory(token_answers=answers), now=bar.now, new_uuid=lambda: "uuid", asks_server=True
    )  # fmt: skip
    bar.send(reading(0))
    return bar


def answer_to(
    who: tuple[str, str], username: str | None = "dana", *, asked_unix_s: float = START_UNIX_S,
    enabled: bool = True, expires_unix_s: float | None = None,
) -> TokenAnswer:  # fmt: skip
    return TokenAnswer(
        device=who[0], token=who[1], username=username, asked_unix_s=asked_unix_s, enabled=enabled,
        expires_unix_s=expires_unix_s,
    )  # fmt: skip


def questions(bar: Bar) -> list[tuple[str, str]]:
    return [(effect.device, effect.token) for effect in bar.effects if isinstance(effect, AskToken)]


def say(bar: Bar, who: tuple[str, str], username: str | None = "dana") -> list[str]:
    """The server's answer comes; what goes on the wire."""
    answer = answer_to(who, username, asked_unix_s=bar.now.unix_s)
    bar.effects += bar.engine.answer(*who, answer, bar.now)
    return bar.new_lines()


def test_a_token_nobody_here_knows_is_asked_for_and_let_in_when_the_answer_comes() -> None:
    bar = online()
    assert bar.send(added(DANA)) == []
    assert questions(bar) == [DANA]
    bar.wait(0.5)
    assert say(bar, DANA) == ["FU initial dana 0", "relay0 enabled"]
    assert bar.send(removed(DANA)) == ["relay0 disabled", "FU completed dana 0"]


def test_what_was_poured_before_the_answer_is_theirs() -> None:
    bar = online()
    bar.send(added(DANA), reading(100))
    assert say(bar, DANA)[-1] == "FU active dana 100"


def test_a_token_known_here_is_not_asked_for() -> None:
    bar = online()
    assert bar.send(added(ALICE)) == ["FU initial alice 0", "relay0 enabled"]
    assert questions(bar) == []


def test_a_token_disabled_here_is_not_asked_for() -> None:
    bar = online(refused=DANA)
    assert (bar.send(added(DANA)), questions(bar)) == ([], [])
    assert bar.said()[-1].endswith("is nobody's")


def test_an_unknown_token_says_nothing_on_the_wire() -> None:
    bar = online()
    bar.send(added(DANA))
    assert say(bar, DANA, None) == []
    assert bar.said()[-1].endswith("is nobody's")
    assert not [e for e in bar.effects if isinstance(e, Keep) and isinstance(e.record, TokenAnswer)]


def test_a_captive_token_that_was_taken_away_before_the_answer_pours_nothing() -> None:
    bar = online()
    bar.send(added(DANA), removed(DANA))
    assert say(bar, DANA) == []


def test_a_contactless_token_counts_as_long_as_its_flow_may_idle() -> None:
    bar = online()
    bar.send(added(DANA_RFID), removed(DANA_RFID))
    bar.wait(19.0)
    assert say(bar, DANA_RFID) == ["FU initial dana 0", "relay0 enabled"]
    bar = online()
    bar.send(added(DANA_RFID), removed(DANA_RFID))
    bar.wait(21.0)
    assert say(bar, DANA_RFID) == []
    assert "show the token again" in bar.said()[-1]


def test_a_contactless_token_let_in_late_can_be_shown_again() -> None:
    bar = online()
    bar.send(added(DANA_RFID), removed(DANA_RFID))
    say(bar, DANA_RFID)
    bar.wait(25.0)
    assert bar.send(added(DANA_RFID)) == ["FU initial dana 0", "relay0 enabled"]


def test_who_was_let_in_meanwhile_keeps_the_tap() -> None:
    bar = online()
    bar.send(added(DANA_RFID), removed(DANA_RFID), added(ALICE))
    assert say(bar, DANA_RFID) == []


def test_the_token_shown_last_is_the_one_that_counts() -> None:
    bar = online()
    bar.send(added(DANA_RFID), removed(DANA_RFID), added(EVE_RFID), removed(EVE_RFID))
    assert questions(bar) == [DANA_RFID, EVE_RFID]
    assert say(bar, DANA_RFID) == []
    assert say(bar, EVE_RFID, "eve") == ["FU initial eve 0", "relay0 enabled"]


def test_an_earlier_answer_lets_in_at_once_and_is_asked_again() -> None:
    bar = online(answer_to(DANA, asked_unix_s=START_UNIX_S - DAY_S))
    assert bar.send(added(DANA)) == ["FU initial dana 0", "relay0 enabled"]
    assert questions(bar) == [DANA]
    assert say(bar, DANA, None) == []  # a flow under way goes on
    bar.send(removed(DANA))
    bar.wait(1.0)
    assert bar.send(added(DANA)) == []


def test_a_fresh_answer_is_not_asked_again() -> None:
    bar = online()
    bar.send(added(DANA))
    say(bar, DANA)
    bar.send(removed(DANA))
    bar.wait(30.0)
    assert bar.send(added(DANA)) == ["FU initial dana 0", "relay0 enabled"]
    assert questions(bar) == [DANA]


@pytest.mark.parametrize(
    ("answer", "let_in"),
    [
        (answer_to(DANA, asked_unix_s=START_UNIX_S - 29 * DAY_S), True),
        (answer_to(DANA, asked_unix_s=START_UNIX_S - 31 * DAY_S), False),
        (answer_to(DANA, asked_unix_s=START_UNIX_S + 900 * DAY_S), True),  # the clock was set back
        (answer_to(DANA, enabled=False), False),
        (answer_to(DANA, None), False),
        (answer_to(DANA, expires_unix_s=START_UNIX_S + 1.0), True),
        (answer_to(DANA, expires_unix_s=START_UNIX_S), False),
    ],
)
def test_while_the_server_is_away_earlier_answers_count_for_a_time(answer: TokenAnswer, let_in: bool) -> None:
    bar = online(answer)
    assert bar.send(added(DANA)) == (["FU initial dana 0", "relay0 enabled"] if let_in else [])
    bar.effects += bar.engine.answer(*DANA, None, bar.now)
    assert ("could not be asked" in bar.said()[-1]) != let_in


def test_a_flood_of_tokens_is_no_flood_of_questions() -> None:
    bar = online()
    for number in range(1000):
        bar.send(added(("core.rfid", f"{number:08x}")))
    assert len(questions(bar)) == MAX_OPEN
    for number in range(1000):
        who = ("core.rfid", f"{number + 5000:08x}")
        bar.effects += bar.engine.answer(*questions(bar)[-1], None, bar.now)
        bar.send(added(who))
    assert len(questions(bar)) == MAX_QUESTIONS[0]


def test_a_token_that_is_nobodys_is_not_asked_for_again_at_once() -> None:
    bar = online()
    for _ in range(2):
        bar.send(added(DANA))
        say(bar, DANA, None)
        bar.send(removed(DANA))
        bar.wait(10.0)
    assert questions(bar) == [DANA]
    bar.wait(25.0)
    bar.send(added(DANA))
    assert questions(bar) == [DANA, DANA]


def test_a_token_on_all_taps_is_asked_for_once() -> None:
    bar = online()
    bar.send(added(DANA, tap="__all_taps__"))
    assert questions(bar) == [DANA]
    assert say(bar, DANA) == ["FU initial dana 0", "relay0 enabled", "FU initial dana 0", "relay1 enabled"]


def test_without_a_server_nothing_is_asked() -> None:
    engine = Engine(
        Rules(), Setup(taps={FLOW0: TAPS[0]}), Memory(), now=Now(mono_s=0.0, unix_s=0.0), new_uuid=lambda: "uuid"
    )  # fmt: skip
    effects = engine.handle(added(DANA), Now(mono_s=1.0, unix_s=1.0), peer="reader")
    assert not any(isinstance(effect, AskToken) for effect in effects)
