"""Names of people and beers on displays that know a few dozen letters."""

from __future__ import annotations

import pytest

from kegapps.lcd import cfa635, mtxorb
from kegapps.lcd.charset import ASCII, fitted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello", "Hello"),
        ("Käthe Größe", "Kathe Grosse"),
        ("Ka\u0308the", "Kathe"),  # a and a mark that stands on it
        ("naïve café", "naive cafe"),
        ("Łódź Øl Ærø", "Lodz Ol AEro"),
        ("“Bière” – d’été…", "\"Biere\" - d'ete..."),
        ("½ l ﬁn Ⅻ", "1/2 l fin XII"),
        ("日本酒 x", "??? x"),  # wide characters take one column each
        ("한글", "??"),
        ("ＡＢ", "AB"),
        ("🍺🍻!", "??!"),
        ("👨\u200d👩", "??"),  # joined
        ("z\u0303\u0304\u0305\u0306w", "zw"),
        ("\u202eabc", "abc"),
        ("a\tb\nc\x00d\x7fe\x9bf", "a b c d e f"),
        ("a\u00a0b\u3000c", "a b c"),
        ("\ud800x", "?x"),
        ("ﷺ", "?"),
        ("", ""),
    ],
)  # fmt: skip
def test_any_name_is_shown_as_well_as_ascii_allows(text: str, shown: str) -> None:
    assert fitted(text, 20, ASCII).decode() == shown.ljust(20)


@pytest.mark.parametrize("text", ["x" * 21, "ß" * 11, "x" * 19 + "ß", "ö" * 5000, "e\u0301" * 30])
def test_a_row_is_never_longer_than_the_display_is_wide(text: str) -> None:
    for codes in (ASCII, cfa635.CODES, mtxorb.CODES):
        assert len(fitted(text, 20, codes)) == 20


def test_a_thousand_marks_on_a_letter_take_no_time_and_no_column() -> None:
    assert fitted("a" + "\u0301" * 10**6 + "b", 20, ASCII) == b"a".ljust(20)


def test_the_cfa635_has_letters_of_its_own_where_ascii_has_others() -> None:
    assert (
        fitted("_|[]\\{}^$@~`", 20, cfa635.CODES).hex(" ").startswith("c4 fe fa fc fb fd ff 1d a2 a0 ce 27")
    )
    assert fitted("Käthe Größe", 11, cfa635.CODES) == b"K\x7bthe Gr\x7c\xbee"


def test_the_matrix_orbital_has_an_arrow_for_the_tilde_and_a_yen_for_the_backslash() -> None:
    assert fitted("a~b\\c→", 6, mtxorb.CODES) == b"a-b/c\x7e"
    assert fitted("4°C März Ärger 5£", 17, mtxorb.CODES) == b"4\xdfC M\xe1rz Arger 5\xed"


def test_no_sign_of_a_matrix_orbital_begins_a_command_and_none_of_a_cfa635_is_a_users_own() -> None:
    assert mtxorb.PREFIX not in mtxorb.CODES.values()
    assert min(cfa635.CODES.values()) >= 8
    for codes in (mtxorb.CODES, cfa635.CODES):
        assert len(set(codes.values())) == len(codes)
        assert set(" ?") <= set(codes)
