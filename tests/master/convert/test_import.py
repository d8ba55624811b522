"""Other launchers' files, imported: what comes out passes our own parser, and what has no counterpart is said."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kegmaster.config import configure
from kegmaster.convert import inifile
from kegmaster.convert.draft import Notes, configuration, join
from kegmaster.convert.recognize import recognize
from kegmaster.keys import words
from tests.master.conftest import Box
from tests.master.convert.importing import (
    DIRECTORIES,
    FILES,
    READERS,
    SAMPLES,
    imported,
)

# Every sample, by the command itself


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SAMPLES)))
def test_what_is_imported_passes_configtest_and_every_note_names_its_place(path: Path, box: Box) -> None:
    done = box.master("import", str(path), "--json", expect=None)
    report = json.loads(done.stdout)
    for note in report["notes"]:
        assert re.match(rf"{re.escape(str(path.parent))}[^:]*(:\d+)?:", note), note
        assert "; " in note
    if done.returncode:
        assert (done.returncode, report["ini"]) == (6, "") or "@." in path.name
        return
    box.write(report["ini"])
    problems = json.loads(box.master("configtest", "--json", expect=None).stdout)["problems"]
    # What is not on this machine is all that may be wrong.
    for problem in problems:
        assert re.search(
            "there is no (program|user|group|directory)|directory .* can be written|cannot be (read|written to|made)|"
            "can be written by others|symlink|its (logfile|pidfile)",
            problem,
        ), problem


# Reading as configparser does

INI_TEXT = st.lists(
    st.sampled_from(
        [
            "[a]",
            "[b]",
            "[a:b]",
            "key = value",
            "key: other",
            "x=y ; no",
            "  more # no",
            " indented",
            "",
            " ",
            "; c",
            "# c",
            "Key=1",
            "\tz = 3",
            "q==",
            "a=b=c",
            "[x]y",
            "k = [v]",
            "x = ;y",
            "x= #y",
            "empty =",
        ]
    ),
    max_size=12,
)


@given(INI_TEXT)
def test_sections_and_values_are_those_that_configparser_reads(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    judge = configparser.RawConfigParser(
        strict=False, inline_comment_prefixes=(";", "#"), default_section="NONE"
    )
    try:
        judge.read_string(text)
    except configparser.Error:
        return
    parts = inifile.read(text, "file", Notes())
    found = {
        name: {key: setting.value for key, setting in part.settings.items()} for name, part in parts.items()
    }
    assert found == {name: dict(judge[name]) for name in judge.sections()}


# Words and INI


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20), min_size=1, max_size=5
    )
)
def test_any_word_comes_back_from_the_file_as_it_was(argv: list[str]) -> None:
    from kegmaster.convert.draft import Draft

    draft = Draft(name="a", file="f", line=1, words={"_command": ["prog", *argv]}, environment={"A": argv[0]})
    (app,) = configure(configuration([draft], Notes(), "# made\n"), "INI", DIRECTORIES).apps
    assert app.argv == ("prog", *argv)
    assert app.context.environment == (("A", argv[0]),)
    assert words(join(argv)) == tuple(argv)


# Whose file it is


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SAMPLES)))
def test_a_file_is_recognized(path: Path) -> None:
    expected = {".conf": "supervisord", ".ini": "circus", ".cfg": "kegbot_master", "": "procfile"}
    assert recognize(path.read_text(), path.name) == expected.get(path.suffix, "systemd")


def test_what_is_nobodys_file_is_a_mistake_that_names_the_flag(box: Box) -> None:
    file = box.directory / "what"
    file.write_text("hello\n")
    assert "--from=" in box.master("import", str(file), expect=2).stderr
    box.master("import", str(file), "--from=procfile", expect=6)
    box.master("import", expect=2)
    assert "no such file" in box.master("import", str(box.directory / "gone"), expect=6).stderr.lower()
    file.write_bytes(b"[program:a]\n\xff")
    assert "UTF-8, line 2" in box.master("import", str(file), expect=6).stderr
    assert "no plain file" in box.master("import", str(box.directory), expect=6).stderr


# What others may have written

PIECES = sorted({line for path in FILES for line in path.read_text().splitlines()})


@settings(max_examples=60)
@given(st.data())
def test_no_mutation_of_a_sample_breaks_the_reader_or_gets_past_our_parser(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(FILES))
    text = path.read_text()
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        piece = data.draw(
            st.one_of(st.text(max_size=8), st.sampled_from(PIECES), st.just("%(x)s"), st.just("\0"))
        )
        text = text[:start] + piece + text[end:]
    for kind in READERS:
        imported(text, kind, f"/srv/{path.name}")


@settings(max_examples=60)
@given(st.text(max_size=200), st.sampled_from(sorted(READERS)))
def test_no_text_breaks_a_reader(text: str, kind: str) -> None:
    heads = {
        "supervisord": "[program:a]\n",
        "circus": "[watcher:a]\n",
        "systemd": "[Service]\nExecStart=",
        "procfile": "a: ",
        "kegbot_master": "[a]\n",
    }
    imported(heads[kind] + text, kind)
    recognize(text, "file")
