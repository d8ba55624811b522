"""The init script by hand and at boot, on a machine without systemd: the exit statuses are those of the LSB's table.

Source: Linux Standard Base, "Init Script Actions".
"""

from __future__ import annotations

import pytest

from tests.boxes.box import Box
from tests.boxes.product import CONFIG, IN_ORDER, MASTER, USER, ends, kept, kill_master, pids, witnesses

SCRIPT = "/etc/init.d/kegmaster"


def call(box: Box, verb: str, user: str = "") -> int:
    return box.run(SCRIPT, verb, user=user, expect=None).returncode


def test_exit_statuses_are_the_lsbs(plain: Box) -> None:
    with plain as box:
        box.run(MASTER, "install", "--boot=sysv")
        assert [call(box, verb) for verb in ("status", "stop", "try-restart", "reload")] == [3, 0, 0, 7]
        assert witnesses(box) == []
        assert [call(box, verb) for verb in ("start", "status", "start", "reload")] == [0, 0, 0, 0]
        first = pids(box)
        assert sorted(first) == witnesses(box) == ["one", "two"]
        assert [call(box, verb) for verb in ("restart", "try-restart", "force-reload")] == [0, 0, 0]
        assert witnesses(box) == ["one", "two"]
        assert not pids(box).items() & first.items()
        assert [call(box, verb) for verb in ("bogus", "")] == [2, 2]
        before = pids(box)
        kill_master(box)
        assert call(box, "status") == 1
        assert [call(box, verb) for verb in ("start", "status")] == [0, 0]
        assert pids(box) == before
        kill_master(box)
        assert [call(box, verb) for verb in ("stop", "status", "stop")] == [0, 3, 0]
        assert witnesses(box) == []


def test_root_starts_the_master_as_the_user_it_was_installed_for(plain: Box) -> None:
    with plain as box:
        box.run(MASTER, "install", "--boot=sysv", f"--user={USER}")
        for verb in ("start", "restart"):
            box.run(MASTER, verb)
            owners = {
                box.run("ps", "-o", "user=", "-p", str(pid)).stdout.strip() for pid in pids(box).values()
            }
            assert owners == {USER}
            box.run(MASTER, "stop")
        assert [call(box, verb) for verb in ("start", "status", "stop")] == [0, 0, 0]


def test_exit_statuses_without_rights_program_or_configuration(plain: Box) -> None:
    with plain as box:
        box.run(MASTER, "install", "--boot=sysv")
        assert [call(box, verb, user="lab") for verb in ("start", "stop", "restart", "reload")] == [
            4,
            4,
            4,
            4,
        ]
        box.run("mv", CONFIG, f"{CONFIG}.away")
        assert call(box, "start") == 6
        box.run("mv", f"{CONFIG}.away", CONFIG)
        box.run("mv", MASTER, f"{MASTER}.away")
        assert [call(box, verb) for verb in ("start", "status", "stop", "bogus")] == [5, 4, 0, 2]


@pytest.mark.parametrize(("init", "way"), [("plain", "sysv"), ("sysvinit", "auto")])
def test_the_machines_own_tools_know_it_and_a_boot_starts_and_a_shutdown_stops_it(
    init: str, way: str, request: pytest.FixtureRequest
) -> None:
    with request.getfixturevalue(init) as box:
        before = kept(box)
        box.run(MASTER, "install", f"--boot={way}")
        assert "[ - ]  kegmaster" in box.run("service", "--status-all").stdout
        links = box.run("sh", "-c", "ls -d /etc/rc?.d/*kegmaster").stdout.split()
        assert [link.removeprefix("/etc/") for link in links] == [
            "rc0.d/K01kegmaster", "rc1.d/K01kegmaster", "rc2.d/S01kegmaster", "rc3.d/S01kegmaster", "rc4.d/S01kegmaster",
            "rc5.d/S01kegmaster", "rc6.d/K01kegmaster",
        ]  # fmt: skip
        assert witnesses(box) == []
        box.reboot()
        assert "[ + ]  kegmaster" in box.run("service", "--status-all").stdout
        assert sorted(pids(box)) == witnesses(box) == ["one", "two"]
        box.reboot()
        assert ends(box) == IN_ORDER
        box.run(MASTER, "remove", "--remove_install_args")
        assert witnesses(box) == []
        assert kept(box) == before


def test_the_script_wrapped_by_systemd_starts_and_stops_with_the_machine(systemd: Box) -> None:
    with systemd as box:
        box.run(MASTER, "install", "--boot=sysv")
        box.reboot()
        assert (
            "/run/systemd/generator.late"
            in box.run("systemctl", "show", "kegmaster", "-P", "FragmentPath").stdout
        )
        assert witnesses(box) == ["one", "two"]
        box.poweroff()
        assert ends(box) == IN_ORDER


def test_a_way_that_the_machine_has_not_is_written_and_said_to_be_idle(plain: Box) -> None:
    with plain as box:
        said = box.run(MASTER, "install", "--boot=systemd", expect=3).stdout
        assert "systemd does not run here" in said
        assert box.path("/etc/systemd/system/kegmaster.service").exists()
        box.run(MASTER, "remove", "--remove_install_args")
        assert not box.path("/etc/systemd/system/kegmaster.service").exists()
