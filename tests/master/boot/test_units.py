"""systemd's units and launchd's property lists, through their own checkers or one written from their manual."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest

from kegmaster.boot import kinds
from kegmaster.boot.plan import BootError, Service

from .readers import systemd_words
from .samples import AWKWARD, artefact, service, text

KINDS = [("systemd", True), ("systemd-user", False)]
# launchd.plist(5)
LAUNCHD = {
    "Label": str, "ProgramArguments": list, "RunAtLoad": bool, "KeepAlive": dict, "ThrottleInterval": int,
    "ExitTimeOut": int, "WorkingDirectory": str, "ProcessType": str, "AbandonProcessGroup": bool,
    "EnvironmentVariables": dict, "StandardOutPath": str, "StandardErrorPath": str, "UserName": str, "GroupName": str,
}  # fmt: skip


def values(unit: str, option: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.partition("=")[0] == option]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize(("kind", "system"), KINDS)
@pytest.mark.parametrize("awkward", [False, True], ids=["plain", "awkward"])
def test_systemd_has_nothing_to_say_about_the_unit(
    kind: str, system: bool, awkward: bool, tmp_path: Path
) -> None:
    base = tmp_path / (AWKWARD.replace("/", "").replace("=", "") if awkward else "srv")
    base.mkdir()
    program = base / "python"
    program.symlink_to("/bin/true")
    asked = service(
        base=str(base), argv=(str(program), str(base / "master.py")), user="lab" if system else "", system=system,
        group="lab" if awkward and system else "", home="/home/lab", pidfile_dir="/run/kegbot" if system else "",
        description="100 % \"beer\" 'n' $HOME\\" if awkward else "multi-app launcher and watchdog",
    )  # fmt: skip
    unit = tmp_path / "kegmaster.service"
    unit.write_text(text(kinds.plan(kind, asked)))
    command = [
        "systemd-analyze",
        *([] if system else ["--user"]),
        "verify",
        "--man=no",
        "--recursive-errors=no",
    ]
    ran = subprocess.run(
        [*command, str(unit)], env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize(("kind", "system"), KINDS)
def test_the_unit_runs_the_master_and_reloads_it(kind: str, system: bool) -> None:
    asked = service(base=AWKWARD.replace("=", ""), home="/home/lab", system=system)
    unit = text(kinds.plan(kind, asked))
    (start,), (reload,) = values(unit, "ExecStart"), values(unit, "ExecReload")
    assert systemd_words(start) == list(asked.command("run"))
    assert systemd_words(reload) == list(asked.command("reload"))


def test_the_death_of_the_master_is_not_that_of_the_apps() -> None:
    unit = text(kinds.plan("systemd", service(user="lab", pidfile_dir="/run/kegbot")))
    for option, value in (
        ("KillMode", "process"), ("RuntimeDirectory", "kegbot"), ("RuntimeDirectoryPreserve", "yes"),
        ("Restart", "on-failure"), ("WatchdogSec", "60"), ("StartLimitIntervalSec", "0"),
        ("OOMPolicy", "continue"), ("Delegate", "yes"),
        ("Type", "notify"), ("NotifyAccess", "main"), ("User", "lab"), ("WantedBy", "multi-user.target"),
    ):  # fmt: skip
        assert values(unit, option) == [value], option


def test_a_user_s_unit_names_nothing_that_only_the_machine_has() -> None:
    plan = kinds.plan(
        "systemd-user", service(user="lab", home="/home/lab", pidfile_dir="/run/user/1000/kegbot")
    )
    unit = text(plan)
    for option in ("User", "Group", "RuntimeDirectory", "StateDirectory", "LogsDirectory", "After", "Wants"):
        assert not values(unit, option), option
    assert values(unit, "WantedBy") == ["default.target"]
    assert plan.artefacts[0].path == "/home/lab/.config/systemd/user/kegmaster.service"
    assert not plan.needs_root
    (linger,) = plan.attempts
    assert linger.command == ("loginctl", "enable-linger", "lab")
    assert "at login, not at boot" in linger.otherwise


def test_directories_are_systemd_s_to_make_only_where_they_are_its_own() -> None:
    asked = service(user="lab")
    unit = text(kinds.plan("systemd", asked))
    assert not values(unit, "RuntimeDirectory")
    assert not values(unit, "LogsDirectory")
    assert kinds.plan("systemd", asked).made == ()


@pytest.mark.parametrize("system", [True, False])
def test_launchd_s_property_list_is_one(system: bool) -> None:
    asked = service(base=AWKWARD, user="lab", home="/Users/lab", system=system)
    plan = kinds.plan("launchd", asked)
    found = artefact(plan)
    listed = plistlib.loads(found.text.encode())
    for key, value in listed.items():
        assert isinstance(value, LAUNCHD[key]), key
    assert found.path.endswith(f"/{listed['Label']}.plist")
    assert found.path.startswith("/Library/LaunchDaemons/" if system else "/Users/lab/Library/LaunchAgents/")
    assert listed["ProgramArguments"] == list(asked.command("run"))
    assert ("UserName" in listed) is system
    assert plan.foreign
    assert any(("at boot" if system else "at login, not at boot") in note for note in plan.notes)


def test_an_agent_without_a_home_is_refused() -> None:
    for kind in ("systemd-user", "launchd"):
        asked: Service = service(system=False)
        with pytest.raises(BootError, match="no home directory"):
            kinds.plan(kind, asked)
