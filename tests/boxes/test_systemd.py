"""The machine's systemd has the master: installed, started, killed, stopped, removed, rebooted."""

from __future__ import annotations

import json
import signal

from tests.boxes import product
from tests.boxes.box import Box
from tests.boxes.product import IN_ORDER, MASTER, ends, kept, pids, status, witnesses
from tests.master.conftest import eventually

UNIT = "kegmaster.service"
THREE = "[three]\n_enabled = True\n_command = /srv/witness three\n"


def prop(box: Box, name: str) -> str:
    return box.run("systemctl", "show", UNIT, f"--property={name}", "--value").stdout.strip()


def kill_main(box: Box) -> None:
    """Returns when systemd has started another."""
    before = prop(box, "MainPID")
    box.run("kill", f"-{signal.SIGKILL}", before)
    eventually(lambda: prop(box, "MainPID") not in (before, "0") and prop(box, "ActiveState") == "active")


def test_install_enables_and_does_not_start_and_a_reboot_starts(systemd: Box) -> None:
    with systemd as box:
        box.run(MASTER, "install", "--boot=systemd")
        assert box.run("systemctl", "is-enabled", UNIT).stdout == "enabled\n"
        assert box.run("systemctl", "is-active", UNIT, expect=3).stdout == "inactive\n"
        assert UNIT in box.run("systemctl", "list-unit-files", "--no-pager").stdout
        verified = box.run("systemd-analyze", "verify", f"/etc/systemd/system/{UNIT}")
        assert verified.stdout + verified.stderr == ""
        assert witnesses(box) == []
        box.reboot()
        assert box.run("systemctl", "is-active", UNIT).stdout == "active\n"
        assert sorted(pids(box)) == witnesses(box) == ["one", "two"]
        box.poweroff()
        assert ends(box) == IN_ORDER


def test_auto_is_systemd_where_systemd_runs(systemd: Box) -> None:
    with systemd as box:
        box.run(MASTER, "install", "--now")
        assert box.run("systemctl", "is-active", UNIT).stdout == "active\n"
        assert witnesses(box) == ["one", "two"]


def test_a_killed_master_comes_back_and_its_apps_never_notice(systemd: Box) -> None:
    with systemd as box:
        box.run(MASTER, "install", "--boot=systemd", "--now")
        before = pids(box)
        assert sorted(before) == ["one", "two"]
        for _ in range(2):
            kill_main(box)
            assert pids(box) == before
            assert witnesses(box) == ["one", "two"]
        box.run("kill", "-9", str(before["one"]))
        eventually(lambda: pids(box).get("one", before["one"]) != before["one"], "the adopted is restarted")
        box.run("systemctl", "stop", UNIT)
        assert witnesses(box) == []
        assert ends(box) == IN_ORDER
        box.run(MASTER, "status", expect=3)


def test_reload_starts_what_is_new_and_leaves_the_rest(systemd: Box) -> None:
    with systemd as box:
        box.run(MASTER, "install", "--boot=systemd", "--now")
        before = pids(box)
        with box.path(product.CONFIG).open("a") as file:
            file.write(THREE)
        box.run("systemctl", "reload", UNIT)
        assert eventually(lambda: pids(box).get("three")) not in before.values()
        assert pids(box).items() >= before.items()
        assert prop(box, "ActiveState") == "active"


def test_what_a_person_stopped_stays_stopped_over_a_reboot(systemd: Box) -> None:
    with systemd as box:
        box.run(MASTER, "install", "--boot=systemd", "--now")
        box.run(MASTER, "stop", "two")
        box.reboot()
        assert sorted(pids(box)) == witnesses(box) == ["one"]
        box.run(MASTER, "start", "two")
        assert witnesses(box) == ["one", "two"]
        # The service is stopped, not its apps by name: as with every unit, the next boot starts it.
        box.run("systemctl", "stop", UNIT)
        box.reboot()
        assert witnesses(box) == ["one", "two"]


def test_a_stop_of_the_launchers_own_is_no_death(systemd: Box) -> None:
    with systemd as box:
        box.run(MASTER, "install", "--boot=systemd", "--now")
        box.run(MASTER, "stop")
        eventually(lambda: prop(box, "ActiveState") == "inactive")
        assert prop(box, "SubState") == "dead"
        assert witnesses(box) == []
        box.run("systemctl", "start", UNIT)
        assert witnesses(box) == ["one", "two"]


def test_start_has_the_unit_started_so_that_no_master_runs_beside_it(systemd: Box) -> None:
    with systemd as box:
        said = box.run(MASTER, "install", "three", "--", "/srv/witness", "three").stdout
        assert "systemctl start kegmaster.service" in said
        assert "run as root; install --user=NAME" in said
        box.run(MASTER, "start", "three")
        assert witnesses(box) == ["one", "three", "two"]
        assert prop(box, "ActiveState") == "active"
        assert status(box)["master"]["pid"] == int(prop(box, "MainPID"))
        box.run(MASTER, "stop")
        eventually(lambda: prop(box, "ActiveState") == "inactive")
        box.run(MASTER, "restart")
        assert status(box)["master"]["pid"] == int(prop(box, "MainPID"))
        refused = box.run(MASTER, "install", "--boot=sysv", expect=1)
        assert "was started by systemd" in refused.stderr
        assert prop(box, "ActiveState") == "active"
        box.run(MASTER, "stop")
        box.path(product.CONFIG).write_text("garbage\n")
        box.run(MASTER, "start", expect=6)


def test_a_master_that_was_there_before_its_unit_is_told_of(systemd: Box) -> None:
    with systemd as box:
        box.run(MASTER, "start")
        said = box.run(MASTER, "install", "--boot=systemd").stdout
        assert (
            "was not started by systemd; to have it do so: master.py stop, then systemctl start kegmaster"
            in said
        )
        box.run(MASTER, "stop")
        box.run("systemctl", "start", UNIT)
        assert "was not started" not in box.run(MASTER, "install", "--boot=systemd").stdout


def test_remove_leaves_the_tree_as_it_was(systemd: Box) -> None:
    with systemd as box:
        before = kept(box)
        for _ in range(2):
            box.run(MASTER, "install", "--boot=systemd", "--now")
        assert witnesses(box) == ["one", "two"]
        for _ in range(2):
            box.run(MASTER, "remove", "--remove_install_args")
            assert witnesses(box) == []
        assert kept(box) == before
        assert not box.path("/run/kegbot").exists()
        assert "kegmaster" not in box.run("systemctl", "list-unit-files", "--no-pager").stdout
        assert box.run("systemctl", "--failed", "--no-legend").stdout == ""
        box.reboot()
        assert witnesses(box) == []


def test_what_was_left_behind_by_a_power_cut_is_in_nobodys_way(systemd: Box) -> None:
    """Lock, pidfiles and records of the boot before are there again at boot; their pids are other processes now."""
    with systemd as box:
        box.run(MASTER, "install", "--boot=systemd", "--now")
        box.run("cp", "-a", "/run/kegbot", "/srv/left")
        box.cut_power()
        for pidfile in box.disk("/srv/left").glob("*.pid"):
            pidfile.write_text("1\n")
        records = list(box.disk("/srv/left").glob("*.records/*.run"))
        assert len(records) == 2
        for record in records:
            record.write_text(json.dumps(json.loads(record.read_text()) | {"pid": 1}))
        box.disk("/etc/tmpfiles.d/left.conf").write_text("C /run/kegbot - - - - /srv/left\n")
        box.boot()
        assert prop(box, "NRestarts") == "0"
        assert sorted(pids(box)) == witnesses(box) == ["one", "two"]
        assert status(box)["master"]["pid"] == int(prop(box, "MainPID"))
