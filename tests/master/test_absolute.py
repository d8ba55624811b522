"""Which words of a command line are paths, and what becomes of them."""

from __future__ import annotations

import pytest

from kegmaster.absolute import at_home, make_absolute, word_at_home

FILES = {
    "/etc/app/app.ini",
    "/etc/app/sub/x",
    "/etc/up",
    "/etc/app/run.py",
    "/etc/app/plain",
    "/etc/app/é b.yml",
}
DIRECTORIES = {
    "/etc/app/start",
    "/etc/app/data",
    "/etc/app/data/",
    "/etc/app/example.com",
    "/etc/app",
    "/etc/app/-x",
}
HOMES = {"": "/home/me", "keg": "/srv/keg", "root": "/root", "top": "/"}


def exists(path: str) -> bool:
    return path in FILES | DIRECTORIES


def changed(*words: str, every_name: bool = False) -> list[str]:
    after, changes = make_absolute(
        ("program", *words), "/etc/app", exists, is_file=FILES.__contains__, every_name=every_name
    )
    assert after[0] == "program"
    assert [change.before for change in changes] == [words[change.index - 1] for change in changes]
    assert {change.index: change.after for change in changes} == {
        index: word for index, word in enumerate(after) if word != ("program", *words)[index]
    }
    return list(after[1:])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("./app.ini", "/etc/app/app.ini"),
        ("app.ini", "/etc/app/app.ini"),
        ("../up", "/etc/up"),
        ("sub/x", "/etc/app/sub/x"),
        ("./data", "/etc/app/data"),
        ("data/", "/etc/app/data/"),
        ("./.", "/etc/app"),
        ("--config=app.ini", "--config=/etc/app/app.ini"),
        ("-c=./app.ini", "-c=/etc/app/app.ini"),
        ("--a.b-c=sub/x", "--a.b-c=/etc/app/sub/x"),
        ("é b.yml", "/etc/app/é b.yml"),
    ],
)
def test_a_relative_path_that_exists_is_made_absolute(before: str, after: str) -> None:
    assert changed(before) == [after]


@pytest.mark.parametrize(
    "word",
    [
        "start", "data", "plain", "example.com", "--host=example.com", "--mode=start", "nowhere.ini", "./nowhere", "a/b/c",
        "http://x/sub/x", "/etc/app/app.ini", "-capp.ini", "key=app.ini", "app.ini:x", "--config=", "--config", "-", "--", ".",
        "..", "", "$HOME/app.ini", "*.ini", "~/app.ini", "sub/x\0", "--x=--y=app.ini", "-x",
    ],
)  # fmt: skip
def test_a_word_that_may_be_none_stays_as_it_is(word: str) -> None:
    assert changed(word) == [word]


def test_a_module_and_the_program_itself_are_names_but_with_a_slash_they_are_paths() -> None:
    assert changed("-m", "run.py") == ["-m", "run.py"]
    for program, expected in (
        ("run.py", "run.py"),
        ("./run.py", "/etc/app/run.py"),
        ("sub/x", "/etc/app/sub/x"),
    ):
        assert make_absolute((program,), "/etc/app", exists, is_file=exists)[0] == (expected,)


def test_whoever_shows_each_change_may_have_every_name_that_exists() -> None:
    assert changed("data", "start", "--in=data", "nothing", "-x", every_name=True) == [
        "/etc/app/data", "/etc/app/start", "--in=/etc/app/data", "nothing", "-x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("~", "/home/me"),
        ("~/", "/home/me/"),
        ("~/x y", "/home/me/x y"),
        ("~keg", "/srv/keg"),
        ("~keg/a/~", "/srv/keg/a/~"),
        ("~top/x", "/x"),
        ("~top", "/"),
        ("--dir=~/x", "--dir=/home/me/x"),
        ("--dir=~keg/x", "--dir=/srv/keg/x"),
    ],
)
def test_a_tilde_at_the_beginning_is_a_home(word: str, expected: str) -> None:
    assert word_at_home(word, lambda user: HOMES.get(user, "")) == expected


@pytest.mark.parametrize("word", ["~nobody/x", "a~", "a/~/b", "--dir=~", "--dir=~keg", "~ ", "~x y/z", "--a=b~/x", "x=~/y", "$HOME", "~+", "~-/x"])  # fmt: skip
def test_any_other_tilde_is_plain_text(word: str) -> None:
    assert word_at_home(word, lambda user: HOMES.get(user, "")) == word


def test_an_unknown_home_leaves_the_tilde() -> None:
    assert at_home("~/x", lambda _: "") == "~/x"
