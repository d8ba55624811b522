from __future__ import annotations

import re

import pytest

from kegapps.bridge.mqtt_topics import Topics, is_name, is_prefix, object_id, part

TOPICS = Topics(prefix="bar/kegbot")


@pytest.mark.parametrize(
    "name", ["kegboard.flow0", "a/b", "#", "+", "ä", "a_b", "a.b", "a-b", "a b", "_2e_", "$SYS", "\0"]
)
def test_any_name_becomes_one_level_of_a_topic_and_an_id_of_home_assistant(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._:-]+", part(name))
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", object_id(name))


def test_two_names_never_become_the_same() -> None:
    names = ["a.b", "a_b", "a_2e_b", "a-b", "a b", "ab", "aB", "a_5f_b", "a/b", "a_2f_b", "_2/", "\2" + "2f_"]
    assert part("a_b.flow-0:c") == "a_b.flow-0:c"
    for made in (part, object_id):
        assert len({made(name) for name in names}) == len(names)


def test_two_bridges_are_never_the_same_client() -> None:
    ids = [
        Topics(prefix=prefix).client_id(name)
        for prefix in ("keg/a", "keg-a", "keg_a", "keg_2f_a", "keg", "keg/boards", "keg-boards-a")
        for name in ("", "a", "core", "boards", "a-b")
    ]
    assert len(set(ids)) == len(ids)
    assert not any(char in made for made in ids for char in "/+#")


@pytest.mark.parametrize("what", ["up", "status", "beat", "availability", "taken", "down"])
def test_who_is_meant_is_read_from_the_topic(what: str) -> None:
    assert TOPICS.who(TOPICS.machine("cellar", what)) == ("cellar", what)


@pytest.mark.parametrize(
    "topic",
    [
        "", "kegbot/machines/cellar/up", "x/bar/kegbot/machines/cellar/up", "bar/kegbot/machines//up",
        "bar/kegbot/machines/cellar/up/more", "bar/kegbot/machines/a b/up", "bar/kegbot/machines/",
        f"bar/kegbot/machines/{'x' * 65}/up",
    ],
)  # fmt: skip
def test_and_from_no_other(topic: str) -> None:
    assert TOPICS.who(topic) is None


def test_names_and_prefixes_are_plain() -> None:
    assert all(map(is_name, ["cellar", "Bar-2", "a_b", "x" * 64]))
    assert not any(map(is_name, ["", "a/b", "a b", "+", "#", "ä", "x" * 65, "a\n"]))
    assert all(map(is_prefix, ["kegbot", "home/kegbot", "a/b/c"]))
    assert not any(map(is_prefix, ["", "/kegbot", "kegbot/", "a//b", "a/+", "#", "$SYS"]))
