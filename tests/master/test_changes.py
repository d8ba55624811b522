"""What a reload decides, as a table: what runs, what a person stopped, what the file says, what must happen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegmaster.changes import Running, decide, details, headline, row, withheld
from kegmaster.config import Directories, configure
from kegmaster.lean import replace
from kegmaster.settings import OWN, changed, checksums, settings
from kegmaster.spec import App, Check, Config, Context


def app(name: str, *words: str, **fields: object) -> App:
    made = App(
        name=name, line=1, enabled=True, argv=("probe", *words), type="simple",
        pidfile=f"/run/{name}.pid", logfile=f"/log/{name}.log",
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]


ONE, TWO = app("one"), app("two")
OFF = replace(ONE, enabled=False)

# running now, stopped by hand, in the file -> what happens
CASES: dict[str, tuple[list[App], set[str], list[App], list[str]]] = {
    "nothing changed": ([ONE, TWO], set(), [ONE, TWO], []),
    "another order is no change": ([ONE, TWO], set(), [TWO, ONE], []),
    "other lines are no change": ([ONE], set(), [replace(ONE, line=99, key_lines={"a": 3})], []),
    "a new section": ([ONE], set(), [ONE, TWO], ["two start"]),
    "a new section that is not enabled": ([], set(), [OFF], []),
    "a section is gone": ([ONE, TWO], set(), [TWO], ["one stop"]),
    "not enabled any more": ([ONE], set(), [OFF], ["one stop"]),
    "started by name, though not enabled": ([OFF], set(), [OFF], []),
    "started by name, changed": ([OFF], set(), [replace(OFF, argv=("other",))], ["one restart"]),
    "started by name, section gone": ([OFF], set(), [], ["one stop"]),
    "started by name, enabled now": ([OFF], set(), [ONE], ["one update"]),
    "another command line": ([ONE, TWO], set(), [app("one", "x"), TWO], ["one restart"]),
    "another log": ([ONE], set(), [replace(ONE, logfile="/log/other")], ["one restart"]),
    "another user": ([ONE], set(), [replace(ONE, context=Context(user="beer"))], ["one restart"]),
    "more time to stop": ([ONE], set(), [replace(ONE, timeout_stop_sec=5.0)], ["one update"]),
    "both": ([ONE], set(), [app("one", "x", timeout_stop_sec=5.0)], ["one restart"]),
    "stopped by hand": ([TWO], {"one"}, [ONE, TWO], []),
    "stopped by hand, and changed": ([TWO], {"one"}, [app("one", "x"), TWO], []),
    "requires one that is stopped by hand": ([], {"one"}, [ONE, app("two", requires=("one",))], []),
    "requires one that is not enabled": (
        [ONE], set(), [OFF, app("two", requires=("one",))], ["one update", "two start"]
    ),
    "renamed": ([ONE], set(), [TWO], ["two start", "one stop"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_reload_touches_only_what_changed(case: str) -> None:
    running, held, file, expected = CASES[case]
    found = decide({a.name: Running(app=a) for a in running}, held, Config(file="f", apps=tuple(file)))
    assert [f"{change.name} {change.kind}" for change in found] == expected


def test_work_that_is_done_is_not_done_again_because_its_line_changed() -> None:
    found = decide({"one": Running(app=ONE, over=True)}, (), Config(file="f", apps=(app("one", "x"),)))
    assert [change.kind for change in found] == ["later"]


def test_what_is_known_to_have_changed_counts_though_its_old_value_is_lost() -> None:
    stale = Running(app=ONE, stale=frozenset({"_environment", "_restart"}))
    (change,) = decide({"one": stale}, (), Config(file="f", apps=(ONE,)))
    assert (change.kind, change.keys) == ("restart", ("_environment",))
    assert details(row(change)) == ["  _environment: changed"]
    policy_alone = Running(app=ONE, stale=frozenset({"_restart"}))
    assert decide({"one": policy_alone}, (), Config(file="f", apps=(ONE,))) == []


def test_what_requires_a_stopped_app_is_held_back_with_it() -> None:
    chain = [ONE, app("two", requires=("one",)), app("three", requires=("two",)), app("four")]
    assert withheld(chain, {"one"}) == {"one", "two", "three"}
    assert withheld(chain, ()) == frozenset()


def test_a_change_reads_as_old_and_new() -> None:
    new = app("one", "a b", timeout_stop_sec=5.0, kill_signal=2, context=Context(umask=0o077))
    (change,) = decide({"one": Running(app=ONE)}, (), Config(file="f", apps=(new,)))
    assert headline(row(change)) == "one: restart"
    assert details(row(change)) == [
        "  - probe", "  + probe 'a b'", "  _timeout_stop_sec: 10 -> 5", "  _kill_signal: TERM -> INT", "  _umask: 022 -> 077",
    ]  # fmt: skip


def test_a_setting_that_was_not_there_reads_as_none() -> None:
    new = replace(
        ONE, wait_for="/dev/kegboard", health=Check(kind="tcp", text="tcp", written="tcp://:80 every=5")
    )
    (change,) = decide({"one": Running(app=ONE)}, (), Config(file="f", apps=(new,)))
    assert change.kind == "update"
    assert details(row(change)) == [
        "  _wait_for: none -> /dev/kegboard",
        "  _health: none -> tcp://:80 every=5",
    ]


def test_a_secret_is_never_shown() -> None:
    old, new = (replace(ONE, context=Context(environment=(("KEY", value),))) for value in ("hush", "quiet"))
    (change,) = decide({"one": Running(app=old)}, (), Config(file="f", apps=(new,)))
    shown = repr(row(change)) + "".join(details(row(change)))
    assert "hush" not in shown
    assert "quiet" not in shown
    assert details(row(change)) == ["  _environment: changed"]


def test_no_control_character_of_a_command_line_reaches_the_terminal() -> None:
    (change,) = decide({}, (), Config(file="f", apps=(app("one", "\x1b[2J\nx"),)))
    assert all(line.isprintable() for line in details(row(change)))


def test_the_policy_keys_are_settings_by_the_name_they_have_in_the_file() -> None:
    assert set(settings(ONE)) >= OWN


SECTIONS = """
[one]
_enabled = {enabled}
_command = probe {word}
_timeout_stop_sec = {stop}
_success_exit_status = {statuses}
_environment = {environment}
"""
FIELDS = st.fixed_dictionaries({
    "enabled": st.booleans(), "word": st.sampled_from("ab"), "stop": st.integers(1, 2),
    "statuses": st.permutations(["0", "1", "9", "17", "TERM"]).map(" ".join), "environment": st.sampled_from(["A=1", "A=2"]),
})  # fmt: skip


def _read(fields: dict[str, object], spoil: Callable[[str], str] = str) -> App:
    text = spoil(SECTIONS.format_map(fields))
    return configure(text, "f", Directories(pidfile_dir="/run", logfile_dir="/log")).apps[0]


@given(FIELDS, FIELDS)
def test_checksums_tell_exactly_what_comparing_tells(
    before: dict[str, object], after: dict[str, object]
) -> None:
    old, new = _read(before), _read(after)
    differing = {key for key, value in settings(old).items() if settings(new)[key] != value}
    assert changed(new, checksums(old)) == differing
    assert changed(new, {}) == frozenset()


@given(FIELDS)
def test_comments_order_and_spacing_are_no_change(fields: dict[str, object]) -> None:
    def spoil(text: str) -> str:
        head, *lines = text.strip().splitlines()
        return "\n".join(
            ["# beer", head, *(f"\n; {line}\n{line.replace(' = ', '=')}" for line in reversed(lines))]
        )

    old = _read(fields)
    assert decide({"one": Running(app=old)}, (), Config(file="f", apps=(_read(fields, spoil),))) == []
