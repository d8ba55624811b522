"""Where things are by default: the same for cron, a login shell and an init system."""

from __future__ import annotations

import pytest

from kegmaster.paths import NoHomeError, defaults

SHELL = {"HOME": "/home/ann", "XDG_RUNTIME_DIR": "/run/user/1000", "TERM": "xterm"}
CRON = {"HOME": "/home/ann"}


def test_a_users_run_directory_is_the_same_from_cron_and_from_a_login_shell() -> None:
    cron, shell = defaults(CRON, 1000), defaults(SHELL, 1000)
    assert cron == shell
    assert cron.pidfile_dir == "/home/ann/.local/state/kegbot/run"
    assert cron.logfile_dir == "/home/ann/.local/state/kegbot/log"
    assert cron.config == "/home/ann/.config/kegbot/kegbot_master.cfg"
    assert cron.other_run_dirs == ("/run/user/1000/kegbot",)


def test_a_master_in_the_runtime_directory_is_looked_for_wherever_that_is() -> None:
    moved = defaults(CRON | {"XDG_RUNTIME_DIR": "/tmp/rt/"}, 1000)
    assert moved.other_run_dirs == ("/tmp/rt/kegbot", "/run/user/1000/kegbot")
    assert defaults(CRON | {"XDG_RUNTIME_DIR": "relative"}, 1000).other_run_dirs == ("/run/user/1000/kegbot",)


@pytest.mark.parametrize("uid", [0, 1000])
def test_one_variable_moves_everything(uid: int) -> None:
    found = defaults({"KEGBOT_HOME": "/srv/keg/"}, uid)
    assert (found.config, found.pidfile_dir, found.logfile_dir, found.state_dir, found.other_run_dirs) == (
        "/srv/keg/kegbot_master.cfg", "/srv/keg/run", "/srv/keg/log", "/srv/keg", (),
    )  # fmt: skip


def test_root_has_the_systems_places_whatever_home_it_was_given() -> None:
    found = defaults(SHELL | {"XDG_STATE_HOME": "/home/ann/state"}, 0)
    assert (found.config, found.pidfile_dir, found.logfile_dir, found.state_dir) == (
        "/etc/kegbot/kegbot_master.cfg", "/run/kegbot", "/var/log/kegbot", "/var/lib/kegbot",
    )  # fmt: skip


@pytest.mark.parametrize(
    "environment", [{}, {"HOME": ""}, {"HOME": "ann"}, {"KEGBOT_HOME": "keg", "HOME": "/home/ann"}]
)
def test_without_a_home_there_is_one_clear_error(environment: dict[str, str]) -> None:
    with pytest.raises(NoHomeError, match="HOME is"):
        defaults(environment, 1000)
