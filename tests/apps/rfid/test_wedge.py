from __future__ import annotations

import pytest

from kegapps.rfid.key_events import EV_SYN, EVENT, MAX_CHARS, SYN_DROPPED, KeyDecoder
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


def test_what_was_broken_off_does_not_become_the_beginning_of_the_next() -> None:
    decoder = KeyDecoder()
    assert list(decoder.feed(typed("0415", 10.0, enter=False) + typed(ALICES, 20.0))) == [ALICES]
    assert decoder.rejected == 1


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
