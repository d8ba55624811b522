"""The rules of the configuration file."""

from __future__ import annotations

import pytest

from kegmaster.config import Directories, configure
from kegmaster.spec import App, Config

SAMPLE = """
[kegbot_core]
_enabled = True
api_url = 'http://example.com/api'
api_key = 'API_KEY'

[kegboard_daemon]
_enabled = True
kegboard_device = /dev/ttyUSB0

[lcd_daemon]
_enabled = False
lcd_device_path = /dev/ttyUSB1

[sound_server]
_enabled = True

[second_kegboard]
_enabled = False
_program_name = kegboard_daemon.py
kegboard_name = second_tap
kegboard_device = /dev/ttyUSB2

[fb_publisher]
_enabled = False

[kegbot_twitter]
_enabled = False
"""


def read(text: str) -> Config:
    return configure(text, "f.cfg", Directories(pidfile_dir="/run/kegbot", logfile_dir="/var/log/kegbot"))


def one(text: str) -> App:
    config = read("[app]\n" + text)
    assert not config.problems, [str(problem) for problem in config.problems]
    return config.apps[0]


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read(text).problems]


def test_the_manuals_sample_gives_kegbot_masters_commands() -> None:
    config = read(SAMPLE)
    assert not config.problems
    core, board, sound = (" ".join(app.argv) for app in config.apps if app.enabled)
    assert core == (
        "kegbot_core.py --api_key=API_KEY --api_url=http://example.com/api --daemon=True --log_to_file=True"
        " --log_to_stdout=False --logfile=/var/log/kegbot/kegbot_core.log --pidfile=/run/kegbot/kegbot_core.pid"
    )
    assert board.startswith(
        "kegboard_daemon.py --daemon=True --kegboard_device=/dev/ttyUSB0 --log_to_file=True"
    )
    assert sound.endswith("--pidfile=/run/kegbot/sound_server.pid")
    second = config.find("second_kegboard")
    assert second is not None
    assert second.program == "kegboard_daemon.py"
    assert second.pidfile == "/run/kegbot/second_kegboard.pid"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("flag = plain", "--flag=plain"),
        ("flag = 'two words'", "--flag=two words"),
        ("flag = $HOME `id` ; touch X", "--flag=$HOME `id` ; touch X"),
        ("flag = 50%", "--flag=50%"),
        ("flag = a%%b", "--flag=a%b"),
        ("flag = %(__name__)s", "--flag=app"),
        ("flag =", "--flag"),
        ("flag = ''", "--flag="),
        ("Flag = x", "--Flag=x"),
        ("flag = x # no comment", "--flag=x # no comment"),
        ("flag = 🍺", "--flag=🍺"),
    ],
)
def test_a_value_goes_out_as_it_stands(line: str, word: str) -> None:
    assert word in one(line).argv


def test_keys_of_default_are_inherited_and_overridden() -> None:
    config = read("[DEFAULT]\n_timeout_stop_sec = 3\nx = 1\n[a]\n[b]\nx = 2\n_timeout_stop_sec = 1min\n")
    assert [app.timeout_stop_sec for app in config.apps] == [3.0, 60.0]
    assert [next(word for word in app.argv if word.startswith("--x")) for app in config.apps] == [
        "--x=1",
        "--x=2",
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "forking"),
        ("daemon = True", "forking"),
        ("daemon = False", "simple"),
        ("_command = sleep 9", "simple"),
        ("_type = notify", "notify"),
        ("_command = x\n_type = oneshot", "oneshot"),
    ],
)
def test_what_kind_of_program_it_is_follows_from_how_it_is_told_to_run(text: str, kind: str) -> None:
    assert one(text).type == kind


def test_in_the_foreground_the_launcher_keeps_log_and_pidfile() -> None:
    app = one("daemon = False")
    assert app.argv == ("app.py", "--daemon=False", "--log_to_file=False", "--log_to_stdout=True")
    assert app.pidfile == "/run/kegbot/app.pid"


def test_a_command_is_split_as_a_shell_would_and_run_by_none() -> None:
    app = one("dir = '/opt/my apps'\n_command = '%(dir)s/run' -c \"a b\" > $X\n_args = more")
    assert app.argv == ("/opt/my apps/run", "-c", "a b", ">", "$X", "more")


def test_pidfile_and_log_may_be_named_directly_or_by_directory() -> None:
    app = one("_pidfile_dir = /a\nlogfile = /var/tmp/%(__name__)s.log")
    assert (app.pidfile, app.logfile) == ("/a/app.pid", "/var/tmp/app.log")
    assert "--logfile=/var/tmp/app.log" in app.argv
    assert "--pidfile=/a/app.pid" in app.argv


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[a]\n_enabeld = 1", "f.cfg:2: [a] _enabeld: no such key; did you mean _enabled?"),
        ("[a]\n_enabled = Ture", "f.cfg:2: [a] _enabled: 'Ture' is no good; expected True or False"),
        ("[a]\n_enabled = maybe", "f.cfg:2: [a] _enabled: 'maybe' is no good; expected True or False"),
        ("[a]\n_enabled =", "f.cfg:2: [a] _enabled: '' is no good; expected True or False"),
        ("[a]\n_timeout_stop_sec = soon", "f.cfg:2: [a] _timeout_stop_sec: 'soon' is no good; expected seconds, such as 5, 0.5 or 2min"),
        ("[a]\nx = %(y)s", "f.cfg:2: [a] x: %(y)s names no key of this section or [DEFAULT]; define it, or write %% for a plain %"),
        ("[a]\n_after = b\n[b]\n_after = a", "f.cfg:2: [a] _after: a -> b -> a goes in a circle; take one of them out"),
        ("[a]\n_after = c\n[core]\n_x = 1", "f.cfg:2: [a] _after: there is no section [c]; name the section of an app"),
        ("[a]\nx = 1\n  y = 2", "f.cfg:2: [a] x: goes on over several lines; do not indent the line below it"),
        ("[a/b]", "f.cfg:1: [a/b]: this name makes no file name; use letters, digits and _ . @ : + -, at most 64"),
        ("[kegbot_master]", "f.cfg:1: [kegbot_master]: this name is the launcher's own; take another"),
        ("[a]\n_enabled = yes ; later", "f.cfg:2: [a] _enabled: 'yes ; later' is no good; expected True or False; a comment needs a line of its own"),
        ("[a", "f.cfg:1: '[a' stands before any section; close the section's name with ]"),
        ("", "f.cfg: there is no section; write one, such as [kegbot_core]"),
        ("[a]\n_enabled=1\npidfile=/run/kegbot//./kegbot_master.pid", "f.cfg:3: [a] pidfile: /run/kegbot/kegbot_master.pid is the launcher's own file; name another"),
        ("[a]\n\x1b[2J = 1", "f.cfg:2: [a] \\x1b[2J: is no name of a flag; use letters, digits, _ . and -"),
        ("[a]\nlogfile = x.log", "f.cfg:2: [a] logfile: 'x.log' is relative; give an absolute path"),
        ("[a]\n_command = 'open", "f.cfg:2: [a] _command: \"'open\" is no good; cannot be split into words (no closing quotation), close the quote"),
        ("[a]\n_command = x\nport = 1", "f.cfg:3: [a] port: is not used: _command passes no flags; write it into _command"),
        ("[a]\n_health = tcp://x:1", "f.cfg:2: [a] _health: 'tcp://x:1' is no good; expected localhost or an address in numbers, names are not looked up"),
        ("[a]\n_type = oneshot\n_command = x\n_ready = tcp://:1", "f.cfg:4: [a] _ready: means nothing to a oneshot, which is ready when its work is done; take it out"),
        ("[a]\n_timeout_stop_sec = \u0665", "f.cfg:2: [a] _timeout_stop_sec: '\u0665' is no good; expected seconds, such as 5, 0.5 or 2min"),
        ("[a]\n_nice = \u0665", "f.cfg:2: [a] _nice: '\u0665' is no good; expected a whole number from -20 to 19"),
        ("[a]\n_memory_max = \u0665M", "f.cfg:2: [a] _memory_max: '\u0665M' is no good; expected a size, such as 500k, 1MB or 10M"),
        ("[a]\n_memory_max = much", "f.cfg:2: [a] _memory_max: 'much' is no good; expected a size, such as 500k, 1MB or 10M"),
        (
            "[a]\n_enabled=1\npidfile = /x\n[b]\n_enabled=1\npidfile = //./x",
            "f.cfg:4: [b]: its pidfile //./x is that of [a] too; give each its own, such as %(__name__)s in pidfile",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_place_and_cure(text: str, line: str) -> None:
    assert line in problems(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_timeout_stop_sec", "５"), ("_restart_sec", "1_0"), ("_restart_sec", "1e3"), ("_restart_sec", "inf"), ("_log_max_bytes", "５M"),
        ("_memory_max", "٣"), ("_nice", "-５"), ("_umask", "０２２"), ("_start_limit_burst", "²"), ("_log_backups", "1_0"),
        ("_success_exit_status", "³"), ("_success_exit_status", "9" * 5000), ("_kill_signal", "１５"), ("_kill_signal", "ſIGTERM"),
        ("_kill_signal", "9" * 5000), ("_ready", "tcp://localhost:８０"), ("_health", "file:/x max_age=５"), ("_enabled", "１"),
        ("_environment", "é=1"), ("_pass_environment", "é"),
    ],
)  # fmt: skip
def test_digits_and_letters_of_other_scripts_are_no_numbers_signals_or_names(key: str, value: str) -> None:
    (problem,) = read(f"[a]\n_command = x\n{key} = {value}").problems
    assert problem.key == key
    assert problem.wrong.endswith("is no good")
    assert problem.cure.startswith(("expected", "'", "max_age= wants"))


def test_substitution_works_in_every_key() -> None:
    app = one("_command = %(__name__)s -x%(n)s\nn = 5\n_args = %(__name__)s\n_environment = N=%(n)s\n_nice = %(n)s\n"
              "_working_directory = /%(__name__)s\n_on_failure = %(__name__)s-alarm\n")  # fmt: skip
    assert app.argv == ("app", "-x5", "app")
    assert (app.context.environment, app.context.nice) == ((("N", "5"),), 5)
    assert (app.context.working_directory, app.on_failure) == ("/app", ("app-alarm",))


def test_all_mistakes_are_told_at_once_in_the_files_order() -> None:
    found = problems("[a]\n_enabled = x\n_after = b\n[b]\n_after = a\nk = %(no)s\n_foo = 1\n[b]\n")
    assert [line.split(": ")[0] for line in found] == ["f.cfg:2", "f.cfg:3", "f.cfg:6", "f.cfg:7", "f.cfg:8"]


def test_a_broken_section_leaves_out_itself_and_what_requires_it() -> None:
    config = read("[a]\n_bad = 1\n[b]\n_requires = a\n[c]\n_requires = b\n[d]\n_after = a\n")
    assert [app.name for app in config.apps] == ["d"]
