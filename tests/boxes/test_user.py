"""One user's own systemd has the master: without anybody's login only if the user may linger."""

from __future__ import annotations

import os

import pytest

from tests.boxes import product
from tests.boxes.box import Box
from tests.boxes.product import IN_ORDER, MASTER, USER, ends, pids, witnesses
from tests.master.conftest import eventually

UNIT = "kegmaster.service"
OWN = ("systemctl", "--user")
LINGERS = f"/var/lib/systemd/linger/{USER}"


def log_in(box: Box) -> dict[str, str]:
    """Do as a login does; what it sets."""
    uid = box.run("id", "-u", USER).stdout.strip()
    box.run("systemctl", "start", f"user@{uid}")
    return {"XDG_RUNTIME_DIR": f"/run/user/{uid}"}


def test_a_user_who_may_not_linger_is_told_what_root_must_run(systemd: Box) -> None:
    product.configure(systemd, inside=f"/home/{USER}/.config/kegbot/kegbot_master.cfg", owner=USER)
    systemd.on_disk("systemctl", "mask", "polkit.service")  # nobody is there who could allow it
    with systemd as box:
        session = log_in(box)
        said = box.run(MASTER, "install", "--boot=systemd-user", user=USER, environment=session)
        assert f"loginctl enable-linger {USER}" in said.stdout + said.stderr
        assert box.run(*OWN, "is-enabled", UNIT, user=USER, environment=session).stdout == "enabled\n"
        box.run(*OWN, "is-active", UNIT, user=USER, environment=session, expect=3)
        unit = f"/home/{USER}/.config/systemd/user/{UNIT}"
        verified = box.run("systemd-analyze", "--user", "verify", unit, user=USER, environment=session)
        assert verified.stdout + verified.stderr == ""
        box.reboot()
        assert witnesses(box) == []

        box.run("loginctl", "enable-linger", USER)
        box.reboot()
        # The machine is up before each user's own systemd is.
        eventually(
            lambda: (
                box.run(*OWN, "is-active", UNIT, user=USER, environment=session, expect=None).returncode == 0
            )
        )
        running = pids(box, USER, session)
        assert sorted(running) == witnesses(box) == ["one", "two"]
        uid = int(box.run("id", "-u", USER).stdout)
        assert {box.path(f"/proc/{pid}").stat().st_uid for pid in running.values()} == {uid}
        box.reboot()
        assert ends(box) == IN_ORDER
        box.run(MASTER, "remove", "--remove_install_args", user=USER, environment=session)
        assert witnesses(box) == []
        assert box.path(LINGERS).exists()  # it was root's decision


def test_a_user_without_a_login_is_told_how_his_systemd_would_run(systemd: Box) -> None:
    product.configure(systemd, inside=f"/home/{USER}/.config/kegbot/kegbot_master.cfg", owner=USER)
    systemd.on_disk("systemctl", "disable", "cron")
    with systemd as box:
        for words, code in ((("--boot=systemd-user",), 1), ((), 1)):
            done = box.run(MASTER, "install", *words, user=USER, expect=code)
            assert "loginctl enable-linger" in done.stderr
        log_in(box)
        box.run(MASTER, "install", user=USER)  # without XDG_RUNTIME_DIR, as su has it
        assert box.path(f"/home/{USER}/.config/systemd/user/{UNIT}").exists()
        box.run(MASTER, "start", user=USER)
        assert witnesses(box) == ["one", "two"]
        running = box.run(*OWN, "is-active", UNIT, user=USER, environment=log_in(box))
        assert running.stdout == "active\n"


@pytest.mark.skipif(not os.path.exists("/usr/lib/polkit-1/polkitd"), reason="no polkit")
def test_a_user_who_may_linger_needs_no_login_and_no_root(systemd: Box) -> None:
    product.configure(systemd, inside=f"/home/{USER}/.config/kegbot/kegbot_master.cfg", owner=USER)
    with systemd as box:
        session = log_in(box)
        box.run(MASTER, "install", "--boot=systemd-user", user=USER, environment=session)
        box.reboot()
        eventually(lambda: sorted(pids(box, USER, session)) == witnesses(box) == ["one", "two"])
        box.run(MASTER, "remove", "--remove_install_args", user=USER, environment=session)
        assert witnesses(box) == []
        assert not box.path(LINGERS).exists()
        box.reboot()
        assert witnesses(box) == []


def test_whoever_has_no_configuration_of_his_own_means_the_machines_master_and_makes_no_second(
    systemd: Box,
) -> None:
    with systemd as box:
        box.run(MASTER, "install", "--boot=systemd", "--now")
        for verb in ("status", "start", "stop", "reload"):
            said = box.run(MASTER, verb, user=USER, expect=4).stderr
            assert "/run/kegbot/kegbot_master.sock: permission denied" in said
            assert "use sudo" in said
        assert box.run(MASTER, "logs", "one", user=USER).stdout == "one is up\n"
        assert witnesses(box) == ["one", "two"]
        # With a file of his own he has a master of his own, as before.
        path = box.path(f"/home/{USER}/.config/kegbot/kegbot_master.cfg")
        path.parent.mkdir(parents=True)
        path.write_text("[mine]\n_enabled = True\n_command = /srv/witness mine\n")
        box.run("chown", "-R", f"{USER}:", f"/home/{USER}")
        box.run(MASTER, "start", user=USER)
        assert witnesses(box) == ["mine", "one", "two"]
