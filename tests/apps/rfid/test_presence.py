from __future__ import annotations

from collections.abc import Callable

import pytest

from kegapps.rfid.presence import Presence

HOLD_OFF_S = 1.0
A, B, C = "0415ab96c3", "deadbeef00", "17"
Step = tuple[float, Callable[[Presence, float], object]]


def sees(token: str) -> Callable[[Presence, float], object]:
    return lambda presence, now_s: presence.seen(token, now_s)


def finds(token: str) -> Callable[[Presence, float], object]:
    return lambda presence, now_s: presence.seen(token, now_s, stays=True)


def loses(token: str) -> Callable[[Presence, float], object]:
    return lambda presence, now_s: presence.lost(token, now_s)


def nothing(presence: Presence, now_s: float) -> object:
    return presence.wake(now_s)


def removed(token: str) -> Callable[[Presence, float], object]:
    return lambda presence, _now_s: presence.take_off(token)


def unplugged(presence: Presence, _now_s: float) -> object:
    return presence.take_off()


def told(history: list[Step]) -> list[str]:
    """What is said, with a clock that wakes whom it is asked to wake."""
    presence, said = Presence(HOLD_OFF_S), list[str]()

    def say(at_s: float, changes: object) -> None:
        assert isinstance(changes, list)
        said.extend(f"{at_s:g} {'+' if c.status == 'added' else '-'}{c.token}" for c in changes)

    for at_s, what in history:
        while presence.next_s is not None and presence.next_s <= at_s:
            say(presence.next_s, presence.wake(presence.next_s))
        say(at_s, what(presence, at_s))
    return said


HISTORIES: dict[str, tuple[list[Step], list[str]]] = {
    "one swipe is one added and one removed": ([(0, sees(A)), (9, nothing)], [f"0 +{A}", f"1 -{A}"]),
    "a reader that repeats it says it once": (
        [*((n / 10, sees(A)) for n in range(50)), (9, nothing)], [f"0 +{A}", f"5.9 -{A}"],
    ),
    "the same swiped twice within the hold-off is one swipe": (
        [(0, sees(A)), (0.9, sees(A)), (9, nothing)], [f"0 +{A}", f"1.9 -{A}"],
    ),
    "the same swiped later is another swipe": (
        [(0, sees(A)), (2, sees(A)), (9, nothing)], [f"0 +{A}", f"1 -{A}", f"2 +{A}", f"3 -{A}"],
    ),
    "another tag sends the first away at once": (
        [(0, sees(A)), (0.1, sees(B)), (9, nothing)], [f"0 +{A}", f"0.1 -{A}", f"0.1 +{B}", f"1.1 -{B}"],
    ),
    "there and back and there again": (
        [(0, sees(A)), (0.1, sees(B)), (1.0, sees(A)), (9, nothing)],
        [f"0 +{A}", f"0.1 -{A}", f"0.1 +{B}", f"1 -{B}", f"1 +{A}", f"2 -{A}"],
    ),
    "of two that are seen in turns the second lies there": (
        [*((n / 10, sees((A, B)[n % 2])) for n in range(50)), (9, nothing)],
        [f"0 +{A}", f"0.1 -{A}", f"0.1 +{B}", f"5.9 -{B}"],
    ),
    "of three that are seen in turns the last lies there": (
        [*((n / 10, sees((A, B, C)[n % 3])) for n in range(48)), (9, nothing)],
        [f"0 +{A}", f"0.1 -{A}", f"0.1 +{B}", f"0.2 -{B}", f"0.2 +{C}", f"5.7 -{C}"],
    ),
    "the first that still lies there comes again when the second has gone": (
        [(0, sees(A)), (0.1, sees(B)), *((n / 10, sees(A)) for n in range(2, 20)), (9, nothing)],
        [f"0 +{A}", f"0.1 -{A}", f"0.1 +{B}", f"1.1 -{B}", f"1.1 +{A}", f"2.9 -{A}"],
    ),
    "who says that a tag was put there means it": (
        [(0, finds(A)), (0.1, finds(B)), (0.2, finds(A)), (9, nothing)],
        [f"0 +{A}", f"0.1 -{A}", f"0.1 +{B}", f"0.2 -{B}", f"0.2 +{A}"],
    ),
    "what was taken off is a new swipe at once": (
        [(0, sees(A)), (0.1, removed(A)), (0.2, sees(B)), (0.3, sees(A)), (9, nothing)],
        [f"0 +{A}", f"0.1 -{A}", f"0.2 +{B}", f"0.3 -{B}", f"0.3 +{A}", f"1.3 -{A}"],
    ),
    "what lies there until it is lost stays": (
        [(0, finds(A)), (500, nothing), (600, loses(A)), (700, nothing)], [f"0 +{A}", f"601 -{A}"],
    ),
    "what is lost and found within the hold-off never went": (
        [(0, finds(A)), (5, loses(A)), (5.5, finds(A)), (7, nothing)], [f"0 +{A}"],
    ),
    "what is lost twice went once": (
        [(0, finds(A)), (5, loses(A)), (5.5, loses(A)), (9, loses(A))], [f"0 +{A}", f"6 -{A}"],
    ),
    "what is lost without having been there is nothing": ([(0, loses(A)), (9, nothing)], []),
    "another one than lies there is not lost": (
        [(0, finds(A)), (1, loses(B)), (9, nothing)], [f"0 +{A}"],
    ),
    "the first is lost after the second came": (
        [(0, finds(A)), (1, finds(B)), (1.1, loses(A)), (9, nothing)], [f"0 +{A}", f"1 -{A}", f"1 +{B}"],
    ),
    "a reader that is unplugged takes its tag with it": (
        [(0, finds(A)), (3, unplugged), (9, nothing)], [f"0 +{A}", f"3 -{A}"],
    ),
    "a reader that is unplugged without a tag says nothing": ([(0, sees(A)), (3, unplugged)], [f"0 +{A}", f"1 -{A}"]),
}  # fmt: skip


@pytest.mark.parametrize("name", HISTORIES)
def test_presence(name: str) -> None:
    history, expected = HISTORIES[name]
    assert told(history) == expected


def test_a_late_wake_does_not_split_a_presence_that_went_on() -> None:
    presence = Presence(HOLD_OFF_S)
    presence.seen(A, 0.0)
    assert presence.seen(A, 5.0) == []  # the process was stopped; the reader was not
    assert presence.next_s == 6.0


def test_only_the_named_tag_is_taken_off() -> None:
    presence = Presence(HOLD_OFF_S)
    presence.seen(A, 0.0)
    assert presence.take_off(B) == []
    assert presence.token == A
    assert [change.status for change in presence.take_off(A)] == ["removed"]
    assert presence.token is None
    assert presence.next_s is None
