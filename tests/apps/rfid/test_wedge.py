from __future__ import annotations

import struct
from contextlib import closing

import pytest

from kegapps.daemon.loop import Loop
from kegapps.rfid.event_device import EventDevice
from kegapps.rfid.key_events import EV_SYN, EVENT, MAX_CHARS, PAUSE_S, SYN_DROPPED, KeyDecoder
from kegapps.rfid.tokens import as_token
from kegapps.rfid.wedge_formats import FORMATS
from tests.apps.rfid.readers import ALICES, BOBS, ENTER, key, typed

SHIFT, KEYPAD_1, KEYPAD_ENTER, TAB = 42, 79, 96, 15


def lines(data: bytes) -> list[str]:
    return list(KeyDecoder().feed(data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (typed(ALICES), [ALICES]),
        (typed(ALICES) + typed(BOBS), [ALICES, BOBS]),
        (typed("0363566787"), ["0363566787"]),
        (typed("171,38595"), ["171,38595"]),
        (key(SHIFT) + typed("ab") + key(SHIFT, 0), ["ab"]),
        (key(KEYPAD_1) + key(KEYPAD_ENTER), ["1"]),
        (typed("12", enter=False) + key(TAB), ["12"]),
        (key(2) + key(2, 2) * 5 + key(2, 0) + key(ENTER), ["1"]),  # the kernel repeats what is held down
        (key(ENTER) * 3, []),
        (typed("12q4"), []),
        (typed("1" * MAX_CHARS), ["1" * MAX_CHARS]),
        (typed("1" * (MAX_CHARS + 1)), []),
        (EVENT.pack(0, 0, 2, 0, 1) + EVENT.pack(0, 0, 0xFFFF, 0xFFFF, -1) + typed("1"), ["1"]),
    ],
)
def test_typed_lines(data: bytes, expected: list[str]) -> None:
    assert lines(data) == expected


@pytest.mark.parametrize("spoilt", [typed("12q4"), typed("1" * 5000), typed("q", enter=False) + key(ENTER)])
def test_a_spoilt_line_costs_itself_only_and_is_counted(spoilt: bytes) -> None:
    decoder = KeyDecoder()
    assert list(decoder.feed(spoilt + typed(ALICES))) == [ALICES]
    assert (decoder.lines, decoder.rejected) == (1, 1)


@pytest.mark.parametrize("later_s", [20.0, 0.0])  # a clock may be set back, too
def test_after_a_pause_in_a_number_neither_part_is_one_nor_both_and_the_next_is(later_s: float) -> None:
    decoder = KeyDecoder()
    broken = typed(ALICES[:4], 10.0, enter=False) + typed(ALICES[4:], later_s)
    assert list(decoder.feed(broken + typed(BOBS, later_s))) == [BOBS]
    assert decoder.rejected == 1


def test_a_number_that_was_being_typed_when_the_device_was_opened_is_none_and_the_next_is() -> None:
    decoder = KeyDecoder(opened_s=10.0)
    assert list(decoder.feed(typed(ALICES[4:], 10.0 + 0.9 * PAUSE_S) + typed(BOBS, 11.0))) == [BOBS]
    assert decoder.rejected == 1


@pytest.mark.parametrize("before", [b"", key(ENTER, 1, 10.0)])
def test_the_first_number_counts_if_it_began_long_enough_after_the_device_was_opened_or_behind_an_enter(
    before: bytes,
) -> None:
    at_s = 10.1 if before else 10.0 + 1.1 * PAUSE_S
    assert list(KeyDecoder(opened_s=10.0).feed(before + typed(ALICES, at_s))) == [ALICES]


def test_the_kernel_is_asked_for_times_that_nobody_sets_and_for_all_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[tuple[int, object]]()
    monkeypatch.setattr("fcntl.ioctl", lambda _fd, request, value: asked.append((request, value)))
    with closing(Loop()) as loop:
        EventDevice(loop, "/dev/ptmx", on_bytes=print, on_lost=print).close()
    assert asked == [(0x400445A0, struct.pack("i", 1)), (0x40044590, 1)]


def test_a_line_of_which_the_kernel_dropped_a_part_is_none() -> None:
    decoder = KeyDecoder()
    dropped = EVENT.pack(0, 0, EV_SYN, SYN_DROPPED, 0)
    assert list(decoder.feed(typed("0415", enter=False) + dropped + typed("96c3") + typed(BOBS))) == [BOBS]
    assert (decoder.lost, decoder.rejected) == (1, 1)


def test_how_the_bytes_are_cut_makes_no_difference() -> None:
    data = typed("0a") + typed("b1")
    for cut in range(len(data)):
        decoder = KeyDecoder()
        assert [*decoder.feed(data[:cut]), *decoder.feed(data[cut:])] == ["0a", "b1"]


# One tag, 0415ab96c3, as readers of different make type it.
@pytest.mark.parametrize(
    ("form", "line", "token"),
    [
        ("hex", "0415ab96c3", "0415ab96c3"),
        ("hex", "0415AB96C3", "0415ab96c3"),
        ("8h10d", "0363566787", "15ab96c3"),
        ("8h10d", "4294967295", "ffffffff"),
        ("10h13d", "0017543435971", "0415ab96c3"),
        ("6h8d", "11245251", "ab96c3"),
        ("2.4h3.5d", "171,38595", "ab96c3"),
        ("2.4h3.5d", "17138595", "ab96c3"),
    ],
)
def test_a_line_is_its_token(form: str, line: str, token: str) -> None:
    assert FORMATS[form](line) == token


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("hex", ""),
        ("hex", "171,38595"),
        ("hex", "1" * 65),
        ("8h10d", "0415ab96c3"),
        ("8h10d", "363566787"),
        ("8h10d", "4294967296"),
        ("10h13d", "1099511627776"),
        ("6h8d", "16777216"),
        ("2.4h3.5d", "256,00000"),
        ("2.4h3.5d", "171,65536"),
        ("2.4h3.5d", "1713859"),
    ],
)
def test_a_line_of_another_format_is_no_token(form: str, line: str) -> None:
    assert FORMATS[form](line) is None


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("0415AB96C3", "0415ab96c3"),
        ("04:15:ab:96:c3", "0415ab96c3"),
        ("04 15 AB 96 C3", "0415ab96c3"),
        ("0", "0"),
        ("f" * 64, "f" * 64),
        ("f" * 65, None),
        ("f" * 10_000_000, None),
        ("", None),
        ("0x04", None),
        ("٠٤", None),
        ("04\0", None),
        ("04\n", None),
    ],
)
def test_a_token_is_lower_case_hexadecimal(text: str, token: str | None) -> None:
    assert as_token(text) == token
