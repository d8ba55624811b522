"""The INI dialect: Python's configparser is the judge of what a file means."""

from __future__ import annotations

import configparser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegmaster import ini

WORDS = st.text("ab=:%;#[]'\"\\ $()\t", max_size=8)
LINES = st.one_of(
    st.sampled_from(["[a]", "[b]", "[DEFAULT]", "", "  ", "# note", "; note", "  # inside"]),
    st.builds(
        "{}{} {} {}".format,
        st.sampled_from(["", "  ", "\t"]),
        st.sampled_from("pqrst"),
        st.sampled_from("=:"),
        WORDS,
    ),
    WORDS,
)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_a_file_means_what_configparser_says_it_means(text: str) -> None:
    judge = configparser.RawConfigParser(strict=True)
    judge.optionxform = str  # type: ignore[assignment,method-assign]
    document = ini.read(text, "f")
    try:
        judge.read_string(text)
    except configparser.Error:
        assert document.problems
        return
    assert not document.problems
    assert list(document.sections) == judge.sections()
    for name in judge.sections():
        ours = {**document.default.entries, **document.sections[name].entries}
        assert {key: entry.value for key, entry in ours.items()} == dict(judge.items(name))


@given(st.text())
def test_no_text_makes_the_reader_raise(text: str) -> None:
    ini.read(text, "f")


def test_every_mistake_is_found_at_once_with_its_line() -> None:
    document = ini.read("x = 1\n[a]\nk = 1\nk = 2\nnonsense\n[b]\n[a]\n", "f.cfg")
    assert [str(problem) for problem in document.problems] == [
        "f.cfg:1: 'x = 1' stands before any section; put a [section] line above it",
        "f.cfg:4: [a] k: set in line 3 already; keep one of the two",
        "f.cfg:5: [a]: 'nonsense' is no setting; write key = value",
        "f.cfg:7: [a]: this section stands in line 2 already; give it another name",
    ]


@pytest.mark.parametrize(
    ("value", "filled_in"),
    [
        ("/tmp/%(__name__)s.log", "/tmp/app.log"),
        ("%(base)s/x", "/opt/app/x"),
        ("%(quoted)s!", "a b!"),
        ("100%", "100%"),
        ("100%%", "100%"),
        ("%()s", "%()s"),
        ("%2B %d %(open %()", "%2B %d %(open %()"),
        ("%%(base)s", "%(base)s"),
        ("%(__name__)d", "%(__name__)d"),
    ],
)
def test_only_percent_parenthesis_name_s_is_a_substitution(value: str, filled_in: str) -> None:
    names = {"__name__": "app", "base": "/opt/%(__name__)s", "quoted": "'a b'"}
    assert ini.substitute(value, names, set()) == filled_in


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("%(nobody)s", "names no key"),
        ("%(circle)s", "leads back to itself: circle -> back -> circle"),
        ("%(laugh9)s", "more than 65536 characters"),
        ("%(hollow0)s", "more than 1000 substitutions"),
        ("%(deep0)s", "substitutions more than 50 deep"),
    ],
)
def test_a_substitution_that_cannot_be_filled_in_says_why(value: str, why: str) -> None:
    names = {"circle": "%(back)s", "back": "%(circle)s", "laugh0": "ha" * 50}
    names |= {f"hollow{n}": f"%(hollow{n + 1})s" * 2 for n in range(40)} | {"hollow40": ""}
    names |= {f"deep{n}": f"%(deep{n + 1})s" for n in range(3000)}
    names |= {f"laugh{n + 1}": f"%(laugh{n})s" * 10 for n in range(9)}
    with pytest.raises(ini.SubstitutionError, match=why):
        ini.substitute(value, names, set())


@pytest.mark.parametrize(
    ("value", "bare"),
    [
        ("'a'", "a"),
        ('"a b"', "a b"),
        ("'a\"", "'a\""),
        ("'", "'"),
        ("''", ""),
        ("\"'a'\"", "'a'"),
        ("a'", "a'"),
        ("", ""),
    ],
)
def test_one_pair_of_matching_quotes_is_taken_off(value: str, bare: str) -> None:
    assert ini.unquote(value) == bare


def test_a_long_line_that_is_no_setting_is_refused_at_once() -> None:
    assert len(ini.read("[a]\nfoo" + " " * 200_000 + "bar", "f").problems) == 1
