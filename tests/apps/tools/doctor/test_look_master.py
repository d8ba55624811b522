"""Which master is asked, told from the processes that run."""

from __future__ import annotations

import os
from dataclasses import replace

from kegapps.tools.doctor.facts import Process
from kegapps.tools.doctor.look_master import default_places, flags_for
from tests.apps.tools.doctor.test_settings import process

ME = os.geteuid()


def owned(made: Process, *, uid: int, parent: int) -> Process:
    return replace(made, uid=uid, parent_pid=parent)


def master(pid: int, *flags: str, uid: int = ME) -> tuple[Process, Process]:
    """A master and its keeper, which is called the same."""
    made = process(pid, "/usr/bin/python3", "master.py", *flags, "start")
    return owned(made, uid=uid, parent=1), owned(replace(made, pid=pid + 1), uid=uid, parent=pid)


def core(pid: int, parent: int, *flags: str, uid: int = ME) -> Process:
    return owned(process(pid, "/usr/bin/python3", "kegbot_core.py", *flags), uid=uid, parent=parent)


def test_the_parent_of_the_stack_is_asked_and_not_another() -> None:
    app = core(20, 11)
    found = (*master(10, "--config=/a.cfg", "--pidfile_dir", "/a"), *master(14, "--config=/b.cfg"), app)
    assert flags_for(found, [app]) == ["--master_config=/a.cfg", "--pidfile_dir=/a"]


def test_without_a_stack_the_only_master_is_asked_and_of_several_none() -> None:
    assert flags_for(master(10, "--config=/a.cfg"), []) == ["--master_config=/a.cfg"]
    assert flags_for((*master(10, "--config=/a.cfg"), *master(14)), []) == []
    assert flags_for((), []) == []


def test_another_users_master_is_asked_where_its_apps_say_that_it_is() -> None:
    app = core(20, 11, "--pidfile=/home/ann/run/kegbot_core.pid", uid=ME + 5000)
    flags = flags_for((*master(10, uid=ME + 5000), app), [app])
    assert flags[0] == "--pidfile_dir=/home/ann/run"
    assert flags_for((*master(10), replace(app, uid=ME)), [app]) == [], "its defaults are ours, too"


def test_flags_that_are_the_defaults_are_not_repeated() -> None:
    usual = default_places(ME)
    flags = [f"--{name}={value}" for name, value in usual.items()]
    assert flags_for(master(10, *flags), []) == []
    elsewhere = [flags[0], "--pidfile_dir=/a", flags[2], "--state_dir=/a"]
    assert flags_for(master(10, *elsewhere), []) == ["--pidfile_dir=/a"]
    apart = [flags[0], "--pidfile_dir=/a", flags[2], flags[3]]
    assert flags_for(master(10, *apart), []) == ["--pidfile_dir=/a", flags[3]]
