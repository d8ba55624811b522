"""Which init system `auto` means: from facts, and the facts from a tree that has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kegmaster import flags
from kegmaster.boot import detect, kinds
from kegmaster.boot.kinds import Machine
from kegmaster.boot.plan import BootError
from kegmaster.boot.presence import absent

from .samples import service

CRON = frozenset({"crontab"})
RUNS = frozenset({"cron"})
INIT_D = frozenset({"/etc/init.d"})


@pytest.mark.parametrize(
    ("machine", "system", "expected"),
    [
        (Machine(booted_systemd=True, pid1="systemd", programs=CRON), True, "systemd"),
        (Machine(booted_systemd=True, pid1="systemd", programs=CRON), False, "systemd-user"),
        (Machine(pid1="init", paths=INIT_D, programs=frozenset({"update-rc.d", "crontab"})), True, "sysv"),
        (Machine(pid1="init", paths=INIT_D, programs=frozenset({"chkconfig"})), True, "sysv"),
        (Machine(pid1="init", paths=INIT_D | {"/run/openrc/softlevel"}, programs=frozenset({"rc-update"})), True, "openrc"),
        (Machine(pid1="init", paths=INIT_D, programs=frozenset({"rc-update", "crontab"}), scanned=RUNS), True, "cron"),
        (Machine(pid1="runit", programs=CRON), True, "runit"),
        (Machine(pid1="docker-init", scanned=frozenset({"runsvdir"})), True, "runit"),
        (Machine(pid1="s6-svscan", programs=CRON), True, "s6"),
        (Machine(pid1="bash", paths=INIT_D, programs=CRON | {"update-rc.d"}, scanned=RUNS), True, "cron"),
        (Machine(pid1="init", paths=INIT_D, programs=CRON | {"update-rc.d"}, scanned=RUNS), False, "cron"),
        (Machine(booted_systemd=True, pid1="systemd", programs=CRON, scanned=RUNS, session=False), False, "cron"),
        (Machine(pid1="linuxrc", paths=frozenset({"/etc/rc.local"}), programs=CRON), True, "rc.local"),
        (Machine(platform="darwin"), True, "launchd"),
        (Machine(platform="win32"), False, "windows-task"),
    ],
)  # fmt: skip
def test_what_the_machine_has_is_chosen(machine: Machine, system: bool, expected: str) -> None:
    assert kinds.choose(machine, system=system) == expected


def test_a_container_without_any_is_told_what_to_do() -> None:
    with pytest.raises(BootError, match=r"process 1 is sleep.*master.py run"):
        kinds.choose(Machine(pid1="sleep"), system=True)


def test_where_none_runs_what_is_installed_is_taken() -> None:
    there = Machine(pid1="bash", paths=INIT_D | {"/etc/rc.local"}, programs=CRON | {"update-rc.d"})
    assert kinds.choose(there, system=True) == "sysv"
    assert kinds.choose(there, system=False) == "cron"
    assert kinds.choose(Machine(pid1="bash", programs=CRON), system=True) == "cron"


def test_a_user_whose_systemd_does_not_run_is_told_how_it_would() -> None:
    with pytest.raises(BootError, match="enable-linger"):
        kinds.choose(Machine(booted_systemd=True, pid1="systemd", session=False), system=False)


@pytest.mark.parametrize(
    "kind", ["systemd", "systemd-user", "sysv", "openrc", "runit", "s6", "cron", "rc.local"]
)
def test_in_a_container_every_init_system_is_absent_and_on_its_own_machine_it_is_not(kind: str) -> None:
    assert absent(kind, Machine(pid1="bash"))
    every = Machine(booted_systemd=True, pid1="init", paths=frozenset({"/run/openrc/softlevel"}),
                    scanned=frozenset({"crond", "runsvdir", "s6-svscan"}))  # fmt: skip
    assert absent(kind, every) == ""


def test_the_machine_is_read_from_its_tree(tmp_path: Path) -> None:
    for directory in (
        "run/systemd/system",
        "run/openrc",
        "etc/init.d",
        "proc/1",
        "proc/77",
        "proc/sys",
        "bin",
    ):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "run/openrc/softlevel").touch()
    (tmp_path / "proc/1/comm").write_text("systemd\n")
    (tmp_path / "proc/77/comm").write_text("runsvdir\n")
    (tmp_path / "bin/rc-update").touch(mode=0o755)
    found = detect.machine(f"{tmp_path}/", {"PATH": str(tmp_path / "bin")})
    assert not found.session
    (tmp_path / f"run/user/{os.geteuid()}/systemd/private").mkdir(parents=True)
    assert detect.session(f"{tmp_path}/", {}) == f"{tmp_path}/run/user/{os.geteuid()}"
    assert found.booted_systemd
    assert found.pid1 == "systemd"
    assert found.paths == {"/run/openrc/softlevel", "/etc/init.d"}
    assert "rc-update" in found.programs
    assert found.scanned == ({"runsvdir"} if tmp_path.stat().st_uid == 0 else set())
    assert detect.machine(f"{tmp_path}/nothing/").pid1 == ""


def test_every_kind_that_can_be_asked_for_has_a_plan() -> None:
    for kind in flags.BOOTS:
        if kind not in ("auto", "none"):
            assert kinds.plan(kind, service(user="lab", home="/home/lab")).kind == kind
    with pytest.raises(BootError, match="not known"):
        kinds.plan("auto", service())


def test_a_user_cannot_install_what_is_the_machine_s() -> None:
    for kind in ("systemd", "sysv", "openrc", "runit", "s6", "rc.local"):
        with pytest.raises(BootError, match="for root to install"):
            kinds.plan(kind, service(system=False, home="/home/lab"))
    for kind in ("systemd-user", "cron", "launchd"):
        assert kinds.plan(kind, service(system=False, home="/home/lab")).artefacts
