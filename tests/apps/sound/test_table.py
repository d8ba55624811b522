"""The table of sounds as people write it, and every mistake they make."""

from __future__ import annotations

import pytest

from kegapps.sound.table import MAX_ROWS, MISSING, Row, TableError, Trigger, parse, trigger

SOURCE = "/etc/kegbot/sounds.ini"


def rows(text: str) -> tuple[Row, ...]:
    return parse(text, source=SOURCE, check=lambda _: "")


def mistakes(text: str, *missing: str) -> list[str]:
    with pytest.raises(TableError) as caught:
        parse(text, source=SOURCE, check=lambda path: "no such file" if path in missing else "")
    assert "\n" not in str(caught.value)
    return str(caught.value).split("; /etc")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("flow start", 0.0),
        ("Flow  Start", 0.0),
        ("0 oz", 0.0),
        ("12 oz", 354.882),
        ("12oz", 354.882),
        ("330 ml", 330.0),
        ("330 mL", 330.0),
        ("0.5 l", 500.0),
        ("33 cl", 330.0),
        ("user", "user"),
        ("drink", "drink"),
    ],
)
def test_events_are_written_as_people_say_them(text: str, meaning: Trigger) -> None:
    assert trigger(text) == pytest.approx(meaning)


@pytest.mark.parametrize(
    "text", ["", "pint", "12", "oz", "-1 oz", "1e3 ml", "nan ml", "101 l", "12 oz 13 oz", "drinks"]
)
def test_what_is_no_event_is_said_to_be_none(text: str) -> None:
    with pytest.raises(
        ValueError, match="no event; expected flow start, user, drink, or a volume such as 330 ml"
    ):
        trigger(text)


def test_a_section_is_an_event_or_names_it_and_its_sounds_lie_beside_the_table() -> None:
    text = """
        # our bar
        [12 oz]
        sound = a.wav, sub/b c.wav,
        [alice's pint]
        on = 16 oz
        user = alice, bob
        tap = kegboard.flow0
        sound = /usr/share/sounds/x.oga
        """
    assert rows("\n".join(line.strip() for line in text.splitlines())) == (
        Row(trigger=12 * 29.5735, sounds=("/etc/kegbot/a.wav", "/etc/kegbot/sub/b c.wav")),
        Row(
            trigger=16 * 29.5735, sounds=("/usr/share/sounds/x.oga",),
            users=frozenset({"alice", "bob"}), taps=frozenset({"kegboard.flow0"}),
        ),
    )  # fmt: skip


def test_a_sound_that_is_not_beside_the_table_may_come_with_the_program() -> None:
    there = {"/etc/kegbot/own.wav", "/etc/kegbot/both.wav", "/shipped/both.wav", "/shipped/start.wav"}
    odd = {"/etc/kegbot/odd.wav": "no file", "/shipped/odd.wav": ""}

    def check(path: str) -> str:
        return odd.get(path, "" if path in there else MISSING)

    text = "[drink]\nsound = own.wav, both.wav, start.wav, /etc/kegbot/own.wav\n"
    (row,) = parse(text, source=SOURCE, check=check, shipped="/shipped")
    assert row.sounds == (
        "/etc/kegbot/own.wav",
        "/etc/kegbot/both.wav",
        "/shipped/start.wav",
        "/etc/kegbot/own.wav",
    )
    with pytest.raises(TableError) as failed:
        parse("[drink]\nsound = odd.wav\n  gone.wav", source=SOURCE, check=check, shipped="/shipped")
    assert "/etc/kegbot/odd.wav: no file" in str(failed.value)
    assert "/etc/kegbot/gone.wav: no such file" in str(failed.value)


def test_a_list_may_go_on_in_indented_lines_with_comments_between() -> None:
    (row,) = rows("[drink]\nsound = a.wav\n  b.wav,\n  ; not c.wav\n\td.wav\nuser = alice")
    assert row.sounds == ("/etc/kegbot/a.wav", "/etc/kegbot/b.wav", "/etc/kegbot/d.wav")


def test_an_empty_sound_is_silence_and_a_missing_one_a_mistake() -> None:
    assert rows("[drink]\nsound =")[0].sounds == ()
    assert mistakes("[drink]\nuser = alice") == [
        f"{SOURCE}:1: [drink] has no sound = FILE; for silence leave the value empty"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: no section; expected at least one, such as [flow start] with sound = start.wav"),
        ("[drink\nsound = x", "1: '[drink' is no section; expected [NAME]"),
        ("[drink]\nsound x", "2: 'sound x': expected key = value"),
        ("sound = x\n[drink]\nsound = x", "1: sound stands before the first [section]"),
        ("[drink]\nsound = x\nfile = y", "3: file is no key; there are on, sound, user, tap"),
        ("[drink]\nsound = x\nsound = y", "3: sound is given twice, first in line 2"),
        ("[drink]\nsound = x\nuser =", "3: user is empty; leave it out to mean any"),
        ("[x]\non = 12 pints\nsound = x", "2: '12 pints' is no event; expected flow start, user, drink"),
        ("[a pint]\nsound = x", "1: 'a pint' is no event; expected"),
        ("[drink]\nsound=x\n\n[drink]\nsound=y", "4: [drink] stands in line 1, too; give it a name, and on = ..."),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(text: str, said: str) -> None:
    assert f"{SOURCE}:{said}" in "; /etc".join(mistakes(text))


def test_all_mistakes_are_told_at_once_in_their_order() -> None:
    found = mistakes("[pint]\nsound = a.wav\n  gone.wav\n[drink]\nuser =\n", "/etc/kegbot/gone.wav")
    assert [text.partition(":")[2].partition(" ")[0] for text in found] == ["1:", "2:", "4:", "5:"]
    assert "/etc/kegbot/gone.wav: no such file" in found[1]


def test_a_file_that_is_no_table_at_all_gives_one_line_that_a_person_can_read() -> None:
    found = mistakes("RIFF\n" * 5000)
    assert len(found) == 20
    assert found[-1].endswith("and 4981 more")
    assert mistakes("[drink]\nsound=x\n" + "".join(f"[{n} ml]\nsound=x\n" for n in range(MAX_ROWS)))


def test_any_bytes_give_rows_or_mistakes() -> None:
    for text in (
        "\x00[\x00]\n=",
        "[]\n = \n",
        "[[x]]\non==\nsound==",
        "\ufeff[drink]",
        " [drink]\n sound = x\nx",
        "=x",
    ):
        mistakes(text)
