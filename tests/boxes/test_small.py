"""cron, rc.local, and the supervisors of directories: the master is there after a boot, once, as the right user."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import pytest

from tests.boxes.box import Box
from tests.boxes.product import (
    IN_ORDER,
    MASTER,
    USER,
    configure,
    ends,
    kept,
    kill_master,
    pids,
    status,
    witnesses,
)
from tests.master.conftest import eventually

OWN_CRONTAB = "# mine\n5 4 * * 0 /bin/true # 100\\% mine\n"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"no {program}")


def started(box: Box, user: str = "") -> None:
    eventually(lambda: sorted(pids(box, user)) == ["one", "two"])
    assert witnesses(box) == ["one", "two"]


@needs("cron")
@pytest.mark.parametrize("crontab", ["", OWN_CRONTAB], ids=["no crontab", "with a crontab"])
def test_a_users_crontab_gets_one_line_that_starts_the_master_at_boot(systemd: Box, crontab: str) -> None:
    configure(systemd, inside=f"/home/{USER}/.config/kegbot/kegbot_master.cfg", owner=USER)
    systemd.on_disk("systemctl", "enable", "cron")
    with systemd as box:
        if crontab:
            box.run("crontab", "-", user=USER, text=crontab)
        before = kept(box)
        for _ in range(2):
            box.run(MASTER, "install", "--boot=cron", user=USER)
        listed = box.run("crontab", "-l", user=USER).stdout
        assert listed.count("@reboot") == 1
        assert crontab in listed
        box.reboot()
        started(box, USER)
        box.run("systemctl", "restart", "cron")
        started(box, USER)
        box.run(MASTER, "stop", user=USER)
        for _ in range(2):
            box.run(MASTER, "remove", "--remove_install_args", user=USER)
        assert box.run("crontab", "-l", user=USER, expect=None).stdout == crontab
        left = {
            path for path in kept(box).items() ^ before.items() if not path[0].startswith(f"/home/{USER}/")
        }
        assert not left


@needs("cron")
def test_cron_in_the_foreground_starts_the_master_of_the_machine(plain: Box) -> None:
    with plain as box:
        assert "no cron runs here" in box.run(MASTER, "install", "--boot=cron", expect=3).stdout
        box.run("sh", "-c", "setsid cron -f </dev/null >/dev/null 2>&1 &")
        started(box)
        box.run("pkill", "-x", "cron")
        box.run("sh", "-c", "setsid cron -f </dev/null >/dev/null 2>&1 &")
        box.run(MASTER, "start")
        started(box)


def test_rc_local_starts_the_master_as_its_user_and_the_rest_of_the_script_stays(systemd: Box) -> None:
    own = "#!/bin/sh -e\ntouch /run/before\n: \\\n  touch /run/never\nexit 0\n"
    script = systemd.disk("/etc/rc.local")
    script.write_text(own)
    script.chmod(0o755)
    with systemd as box:
        before = kept(box)
        box.run(MASTER, "install", "--boot=rc.local", f"--user={USER}")
        box.reboot()
        started(box)
        assert box.path("/run/before").exists()
        uid = int(box.run("id", "-u", USER).stdout)
        assert {box.path(f"/proc/{pid}").stat().st_uid for pid in pids(box).values()} == {uid}
        box.reboot()
        assert sorted(ends(box)) == sorted(IN_ORDER)
        box.run(MASTER, "remove", "--remove_install_args")
        assert witnesses(box) == []
        assert script.read_text() == own
        assert kept(box) == before


def test_rc_local_runs_under_sh_e_with_an_empty_environment(plain: Box) -> None:
    with plain as box:
        box.run(MASTER, "install", "--boot=rc.local")
        box.run("env", "-i", "/bin/sh", "-e", "/etc/rc.local")
        started(box)
        box.run("env", "-i", "/bin/sh", "-e", "/etc/rc.local")
        started(box)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """A supervisor of the directories in /etc/service: how to run it, see a directory of its, and start that."""

    words: str
    look: str
    start: str


SCANNERS = {
    "runit": Scanner(
        words="runsvdir -P /etc/service", look="sv status /etc/service/kegmaster",
        start="sv start /etc/service/kegmaster",
    ),
    "s6": Scanner(
        words="s6-svscan /etc/service", look="s6-svstat /etc/service/kegmaster",
        start="s6-svc -u /etc/service/kegmaster",
    ),
}  # fmt: skip


def stays_down(box: Box, scanner: Scanner) -> bool:
    said = box.run(*scanner.look.split()).stdout
    return said.startswith("down") and "want up" not in said


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=needs(scanner.words.split()[0])) for kind, scanner in SCANNERS.items()]
)
def test_a_supervisor_of_directories_has_the_master_and_never_doubles_its_apps(plain: Box, kind: str) -> None:
    scanner = SCANNERS[kind]
    at_boot = plain.disk("/etc/rc2.d/S01scan")
    at_boot.write_text(f"#!/bin/sh\n(setsid {scanner.words} </dev/null >/var/log/scan 2>&1 &)\n")
    at_boot.chmod(0o755)
    with plain as box:
        before = kept(box)
        box.run(MASTER, "install", f"--boot={kind}")
        box.reboot()
        started(box)
        running = pids(box)
        first = status(box)["master"]["pid"]
        kill_master(box)
        eventually(lambda: status(box)["master"]["pid"] not in (first, None))
        started(box)
        assert pids(box) == running
        box.run(MASTER, "stop")
        eventually(lambda: stays_down(box, scanner), "a stop is not undone")
        assert ends(box)[-4:] == IN_ORDER
        box.run(*scanner.start.split())
        started(box)
        box.run(MASTER, "remove", "--remove_install_args")
        eventually(lambda: witnesses(box) == [])
        assert ends(box)[-4:] == IN_ORDER
        assert kept(box) == before
