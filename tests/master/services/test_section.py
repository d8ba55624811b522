"""A section is put into a file and taken out again, and nothing else of the file changes; words come back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegmaster import ini
from kegmaster.config import Directories, configure
from kegmaster.services import marks, section

DIRECTORIES = Directories(pidfile_dir="/run/x", logfile_dir="/log/x")
# What makes INI files hard to read: ends of lines, indentation, headers, comments, NUL, a byte order mark.
PIECES = st.sampled_from(
    ["[a]", "[b]", "[DEFAULT]", "[a", "]", "x = 1", "y:2", " ", "\t", "#c", ";c", "=", "\n", "\n", "\r\n", "\r", "\0",
     "\ufeff", "\x0b", "\u2028", "é", "%", "[c] d]", "_command"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=30).map("".join)
SECTION = section.compose("new", [("_enabled", "True"), ("_command", "sleep 1")])
WORDS = st.lists(st.text(st.characters(blacklist_characters="\r\0", codec="utf-8")), max_size=6)


@given(TEXTS)
def test_sections_are_found_where_the_reader_finds_them(text: str) -> None:
    read = ini.read(text.removeprefix("\ufeff"), "file")
    found: dict[str, int] = {}
    for place in section.places(text):
        before = text[: place.start].replace("\r\n", "\n").replace("\r", "\n")
        found.setdefault(place.name, before.count("\n") + 1)
    found.pop("DEFAULT", None)
    assert found == {name: part.line for name, part in read.sections.items()}


@given(TEXTS)
def test_what_is_appended_can_be_taken_out_to_the_byte(text: str) -> None:
    new, glue = section.append(text, SECTION)
    assert new.startswith(text)
    places = [place for place in section.places(new) if place.name == "new"]
    if len(places) == 1:  # a line that goes on swallows nothing that stands at the margin
        assert section.remove(new, places[0], glue) == text


def test_two_that_were_appended_can_be_taken_out_in_any_order() -> None:
    for first, second in (("one", "two"), ("two", "one")):
        text = "# mine\n[mine]\nx = 1"
        glues = {}
        new = text
        for name in ("one", "two"):
            new, glues[name] = section.append(new, section.compose(name, [("_command", "x")]))
        for name in (first, second):
            place = section.find(new, name)
            assert place is not None
            new = section.remove(new, place, glues[name])
        assert new == text


def test_line_ends_are_those_of_the_file_and_comments_of_the_next_section_stay() -> None:
    text = "[a]\r\nx = 1\r\n\r\n# about b\r\n[b]\r\ny = 1\r\n"
    assert section.line_end(text) == "\r\n"
    place = section.find(text, "a")
    assert place is not None
    assert section.remove(text, place) == "\r\n# about b\r\n[b]\r\ny = 1\r\n"
    assert section.compose("c", [("x", "1")], "\r\n") == "[c]\r\nx = 1\r\n"


def test_what_was_added_by_hand_below_never_joins_the_line_above() -> None:
    new, glue = section.append("x", section.compose("a", [("y", "1")]))
    place = section.find(f"[z]\n{new}[b]\n", "a")
    assert place is not None
    assert section.remove(f"[z]\n{new}[b]\n", place, glue) == "[z]\nx\n[b]\n"


@given(WORDS, st.sampled_from(["\n", "\r\n"]))
def test_words_come_back_from_the_file_as_they_were(words: list[str], end: str) -> None:
    argv = ("/bin/program", *words)
    text = section.compose("app", [("_enabled", "True"), ("_command", section.command(argv))], end)
    config = configure(text, "file", DIRECTORIES)
    assert config.problems == ()
    assert config.apps[0].argv == argv


@pytest.mark.parametrize("word", ["a\rb", "a\0b", "\udcff"])
def test_what_no_ini_file_can_hold_is_refused(word: str) -> None:
    with pytest.raises(section.UnwritableError):
        section.command(["x", word])


@given(st.text("ab \n#x", max_size=20), st.booleans())
def test_a_block_comes_out_of_a_file_as_it_went_in(text: str, exits: bool) -> None:
    before = (
        "#!/bin/sh\n" + "".join(f"{line}\n" for line in text.splitlines()) + ("exit 0\n" if exits else "")
    )
    new = marks.put(before, "kegmaster", "start it", ("", ""), script=True)
    assert marks.put(new, "kegmaster", "start it", ("", ""), script=True) == new
    assert marks.cut(new, "kegmaster") == before
    if exits:
        assert new.index("start it") < new.index("exit 0\n")


def test_an_exit_inside_an_if_is_not_the_end_of_the_script() -> None:
    text = "#!/bin/sh\nif false; then\n  exit 0\nfi\necho\n"
    assert marks.put(text, "k", "mine", ("", ""), script=True).endswith(marks.block("k", "mine"))
    assert marks.put(None, "k", "mine", ("#!/bin/sh\n", "exit 0\n")).endswith(
        "install` wrote for k\nexit 0\n"
    )
