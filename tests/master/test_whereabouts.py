"""Paths in the configuration: homes, and what is beside the file, in every place where a path may stand."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from kegmaster.config import Directories, configure
from kegmaster.spec import App, Config
from kegmaster.whereabouts import Disk

from .conftest import Box

THERE = {
    "/etc/k/env",
    "/etc/k/app.ini",
    "/etc/k/sub/x",
    "/etc/k/work",
    "/srv/work",
    "/srv/work/app.ini",
    "/etc/k/work/sub/x",
}
HOMES = {"": "/root", "keg": "/srv/keg", "other": "/home/other"}
DISK = Disk(exists=THERE.__contains__, is_file=THERE.__contains__, home=lambda user: HOMES.get(user, ""))


def read(text: str) -> Config:
    directories = Directories(pidfile_dir="/run/k", logfile_dir="/log/k")
    return configure(f"[app]\n{text}", "/etc/k/k.cfg", directories, DISK)


def one(text: str) -> App:
    config = read(text)
    assert not config.problems, [str(problem) for problem in config.problems]
    return config.apps[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("~/x", "/root/x"), ("~other/x", "/home/other/x"), ("./x", "/etc/k/x"), ("../x", "/etc/x"), ("env", "/etc/k/env"),
     ("sub/x", "/etc/k/sub/x"), ("/x/./y", "/x/./y"), (".", "/etc/k"), ("'~/x'", "/root/x")],
)  # fmt: skip
def test_a_key_that_is_a_path_takes_homes_and_what_is_beside_the_file(written: str, meant: str) -> None:
    app = one(f"_command = x\n_environment_file = {written}\n_working_directory = {written}\n_wait_for = {written}\n"
              f"pidfile = {written}\nlogfile = ./log\n")  # fmt: skip
    context = app.context
    assert (context.environment_file, context.working_directory, app.wait_for, app.pidfile) == (meant,) * 4
    assert one(f"_pidfile_dir = {written}").pidfile == f"{meant}/app.pid"


@pytest.mark.parametrize("written", ["nowhere", "sub/nowhere", "~nobody/x", "$HOME/x"])
def test_a_relative_path_that_is_not_there_is_an_error_with_the_cure(written: str) -> None:
    (problem,) = read(f"_environment_file = {written}").problems
    assert str(problem) == (
        f"/etc/k/k.cfg:2: [app] _environment_file: '{written}' is no good; expected an absolute path, or ./ and a path"
        " from the configuration's directory"
    )


def test_the_home_is_that_of_the_user_the_app_runs_as_wherever_the_key_stands() -> None:
    app = one("data = ~/d\n_environment_file = ~/e\n_args = ~/a ~other/b '~' --c=~/c\n_user = keg\n")
    assert app.argv[-5:] == (
        "--pidfile=/run/k/app.pid",
        "/srv/keg/a",
        "/home/other/b",
        "/srv/keg",
        "--c=/srv/keg/c",
    )
    assert "--data=/srv/keg/d" in app.argv
    assert app.context.environment_file == "/srv/keg/e"


def test_a_flag_s_value_of_a_tilde_alone_and_what_else_a_shell_would_do_is_plain_text() -> None:
    app = one("_type = simple\na = ~\nb = $HOME/x\nc = x~/y\nd = ~keg\n_args = $HOME *.ini a~/b")
    assert set(app.argv) > {"--a=~", "--b=$HOME/x", "--c=x~/y", "--d=~keg", "$HOME", "*.ini", "a~/b"}


def test_each_word_that_changes_is_told_with_its_place() -> None:
    config = read("_command = ./sub/x app.ini start\n_args = --o=sub/x\n  ~/y\n")
    assert config.apps[0].argv == ("/etc/k/sub/x", "/etc/k/app.ini", "start", "--o=/etc/k/sub/x", "/root/y")
    assert [str(note) for note in config.notes] == [
        "/etc/k/k.cfg:2: note: [app] _command: ./sub/x goes out as /etc/k/sub/x",
        "/etc/k/k.cfg:2: note: [app] _command: app.ini goes out as /etc/k/app.ini",
        "/etc/k/k.cfg:3: note: [app] _args: --o=sub/x goes out as --o=/etc/k/sub/x",
        "/etc/k/k.cfg:3: note: [app] _args: ~/y goes out as /root/y",
    ]
    config = read("_program_name = sub/x\nconf = app.ini\nlogfile = ./l\n_args = sub/x")
    assert {(note.key, note.line) for note in config.notes} == {
        ("_program_name", 2),
        ("conf", 3),
        ("_args", 5),
    }
    assert "--logfile=/etc/k/l" in config.apps[0].argv


def test_what_exists_in_the_apps_own_directory_is_meant_there() -> None:
    assert one("_command = x app.ini sub/x\n_working_directory = /srv/work").argv == (
        "x",
        "app.ini",
        "/etc/k/sub/x",
    )
    app = one("_command = ./sub/x sub/x\n_working_directory = ./work")
    assert app.argv == ("/etc/k/sub/x", "sub/x")
    assert app.context.working_directory == "/etc/k/work"


def test_a_path_that_another_key_contains_is_there_what_it_is_here() -> None:
    app = one("_type = forking\n_pidfile = ~/%(x)s/pid\nx = 50%%\nlogfile = ./log\n_user = %(y)s\ny = keg\n"
              "_command = prog --pidfile %(_pidfile)s -l%(logfile)s --x=%(_pidfile)s %(x)s")  # fmt: skip
    assert app.pidfile == "/srv/keg/50%/pid"
    assert app.argv == (
        "prog",
        "--pidfile",
        "/srv/keg/50%/pid",
        "-l/etc/k/log",
        "--x=/srv/keg/50%/pid",
        "50%",
    )


def test_the_other_command_lines_of_an_app_are_read_alike() -> None:
    app = one(
        "_command = x\n_stop_command = sub/x app.ini ~/y\n_on_failure = ~other/alarm\n_on_change = ./sub/x"
    )
    assert app.stop_command == ("/etc/k/sub/x", "/etc/k/app.ini", "/root/y")
    assert (app.on_failure, app.on_change) == (("/home/other/alarm",), ("/etc/k/sub/x",))


def test_without_a_machine_every_path_stays_as_written() -> None:
    directories = Directories(pidfile_dir="/run/k", logfile_dir="/log/k")
    config = configure("[app]\n_command = ./sub/x app.ini ~/y\n", "k.cfg", directories)
    assert config.apps[0].argv == ("./sub/x", "app.ini", "~/y")
    assert config.notes == ()


def test_what_runs_sees_absolute_paths_from_wherever_it_was_started(box: Box) -> None:
    box.program("probe")
    for name in ("x.ini", "data", "start"):
        (box.directory / name).touch()
    box.write(
        """
        [app]
        _enabled = True
        _command = ./probe ./x.ini x.ini start --in=./data ~/here ~root/there $HOME
        _working_directory = ~
        """
    )
    shown = box.master("configtest")
    base, root = box.directory, pwd.getpwuid(0).pw_dir
    expected = [f"{base}/probe", f"{base}/x.ini", f"{base}/x.ini", "start", f"--in={base}/data", f"{box.home}/here",
                f"{root}/there", "$HOME"]  # fmt: skip
    assert shown.stdout == " ".join([*expected[:-1], "'$HOME'"]) + "\n"
    box.master("start")
    pid = box.pid("app")
    assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[2:-1] == [
        word.encode() for word in expected
    ]
    assert Path(os.readlink(f"/proc/{pid}/cwd")) == box.home
