"""What an init system passes on is what was meant, whatever the paths are called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kegmaster.boot import kinds, quoting, windows_quoting
from kegmaster.boot.plan import BootError

from . import readers
from .samples import service, text

WORDS = st.text(alphabet=" ab%$h'\"\\&|<>()^;`~#=!*?@:{},üß€🍺/-.", min_size=1, max_size=24)
PATHS = WORDS.map(lambda word: "/" + word)
COMMANDS = st.tuples(PATHS, st.lists(WORDS, max_size=5)).map(lambda pair: [pair[0], *pair[1]])


@given(COMMANDS)
def test_systemd_passes_on_just_these_words(argv: list[str]) -> None:
    if re.search(r"[\\\"'$]", argv[0]):
        if "=" in argv[0]:
            with pytest.raises(BootError, match="systemd cannot run"):
                quoting.systemd_exec(argv)
            return
        argv = ["/usr/bin/env", *argv]
    assert readers.systemd_words(quoting.systemd_exec(argv)) == argv


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=30))
def test_cron_and_its_shell_pass_on_just_these_words(words: list[str]) -> None:
    try:
        line = quoting.cron_command(quoting.sh_words(words))
    except BootError:
        return
    command, read = readers.cron_command(line)
    assert read is None
    assert readers.sh_words(command) == words


@given(COMMANDS)
def test_windows_programs_are_passed_just_these_words(argv: list[str]) -> None:
    if '"' in argv[0]:
        with pytest.raises(BootError, match="no file name"):
            windows_quoting.windows_words(argv)
        return
    line = windows_quoting.windows_words(argv)
    assert readers.windows_argv(line) == argv
    assert readers.windows_argv(readers.cmd_line(windows_quoting.batch_line(line))) == argv


@given(COMMANDS)
def test_a_command_line_within_a_command_line_survives_both(argv: list[str]) -> None:
    inner = windows_quoting.arguments(argv)
    outer = windows_quoting.batch_line(f"nssm set x AppParameters {windows_quoting.windows_word(inner)}")
    *_, value = readers.windows_argv(readers.cmd_line(outer))
    assert readers.windows_words(value) == argv


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"name": "a b"}, "letters, digits"),
        ({"name": "../x"}, "letters, digits"),
        ({"name": "x.service"}, "letters, digits"),
        ({"name": ""}, "letters, digits"),
        ({"base": "srv/keg"}, "not absolute"),
        ({"base": "/srv/a\nb"}, "control character"),
        ({"base": "/srv/\udcff"}, "no UTF-8"),
        ({"description": " \n "}, "description is empty"),
        ({"user": "a b"}, "no name of a Unix user"),
        ({"argv": ("python", "/m.py")}, "not absolute"),
        ({"argv": ("/usr/bin/python",)}, "must name the interpreter"),
    ],
)
@pytest.mark.parametrize(
    "kind", ["systemd", "sysv", "cron", "rc.local", "openrc", "runit", "s6", "upstart", "launchd"]
)
def test_what_no_init_system_can_hold_is_refused_with_the_reason(
    kind: str, changed: dict[str, str], complaint: str
) -> None:
    with pytest.raises(BootError, match=complaint):
        kinds.plan(kind, service(**changed))  # type: ignore[arg-type]


def test_a_description_of_many_lines_becomes_one() -> None:
    for kind in ("systemd", "sysv", "openrc", "upstart"):
        written = text(kinds.plan(kind, service(description="Beer\n[Service]\nExecStart=/bin/rm\\")))
        assert "\n[Service]\nExecStart=/bin/rm" not in written


def test_a_line_too_long_for_cron_is_refused_with_a_way_out() -> None:
    with pytest.raises(BootError, match="cron takes no more than"):
        kinds.plan("cron", service(base="/" + "x" * 300))


def test_a_runtime_directory_that_systemd_could_not_make_is_refused() -> None:
    with pytest.raises(BootError, match="choose such a name"):
        kinds.plan("systemd", service(pidfile_dir="/run/a b"))


def test_cron_is_not_given_a_directory_that_goes_at_logout() -> None:
    with pytest.raises(BootError, match="goes with the last logout"):
        kinds.plan("cron", service(pidfile_dir="/run/user/1000/kegbot"))
