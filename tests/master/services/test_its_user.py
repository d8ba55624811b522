"""Root's start of a master that is installed to run as another user: as that user, never as root."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kegmaster import flags, orders
from kegmaster.boot.plan import Artefact, Plan
from kegmaster.command import Command
from kegmaster.services import answers, its_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


def command(place: Path, *words: str, config: str = "apps.cfg", run: str = "run") -> Command:
    (place / "apps.cfg").write_text("[x]\n_enabled = True\n_command = /bin/true\n")
    places = (
        f"--master_config={place}/{config}",
        f"--pidfile_dir={place}/{run}",
        f"--logfile_dir={place}/log",
    )
    argv = [*words, *places, f"--state_dir={place}/state"]
    return Command(flags.parse(argv, "master.py"), "/usr/bin/master.py")


def install(place: Path, kind: str, user: str, path: str = "") -> None:
    """What `install` has written down; the entry itself may be gone."""
    part = Artefact(
        role="file" if path else "crontab", path=path, text=f"start '--pidfile_dir={place}/run'\n"
    )
    boot = answers.Boot(
        plan=Plan(kind=kind, artefacts=(part,), start=((path, "start"),)), name="kegmaster", user=user,
        config=f"{place}/apps.cfg", before=(None,), after=(None,),
    )  # fmt: skip
    store = place / "state" / "services"
    store.mkdir(parents=True, mode=0o700)
    (store / "master.json").write_text(json.dumps(answers.to_json(boot)))


class Ran:
    """What would have been run, and how it would have ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.words: tuple[str, ...] = ()
        self.how: dict[str, Any] = {}
        self.error: OSError | None = None
        monkeypatch.setattr(its_user.subprocess, "run", self)  # type: ignore[attr-defined]
        monkeypatch.setenv("LD_PRELOAD", "")
        monkeypatch.setattr(orders.making, "master", self.never)  # type: ignore[attr-defined]

    def __call__(self, words: tuple[str, ...], **how: Any) -> subprocess.CompletedProcess[str]:
        self.words, self.how = words, how
        if self.error:
            raise self.error
        return subprocess.CompletedProcess(words, 6, "out\n", "error\n")

    def never(self, *_: object, **__: object) -> None:
        raise AssertionError("a master of root's was made")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    return Ran(monkeypatch)


@pytest.mark.parametrize("verb", ["start", "restart"])
@pytest.mark.parametrize("kind", ["cron", "rc.local", "openrc"])
def test_it_is_started_as_its_user_with_nothing_of_roots(
    verb: str, kind: str, tmp_path: Path, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, kind, "nobody", "" if kind == "cron" else str(tmp_path / "gone"))
    account = pwd.getpwnam("nobody")
    assert orders.start(command(tmp_path, verb, "x")) == 6
    said = capsys.readouterr()
    assert (said.out.splitlines()[-1], said.err) == ("out", "error\n")
    assert (ran.words[2], ran.words[-1]) == (verb, "x")
    assert f"--pidfile_dir={tmp_path}/run" in ran.words
    assert (ran.how["user"], ran.how["group"]) == (account.pw_uid, account.pw_gid)
    assert 0 not in ran.how["extra_groups"]
    assert set(ran.how["env"]) == {"PATH", "LANG", "PYTHONUTF8", "HOME", "USER", "LOGNAME"}
    assert ran.how["start_new_session"]
    owners = {name: (tmp_path / name).stat().st_uid for name in ("run", "log", "state")}
    assert owners == {"run": account.pw_uid, "log": account.pw_uid, "state": 0}


def test_who_cannot_be_made_that_user_is_told_the_command(
    tmp_path: Path, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, "cron", "nobody")
    ran.error = PermissionError(1, "Operation not permitted")
    assert orders.start(command(tmp_path, "start", "x")) == 4
    assert "do it yourself: runuser -u nobody -- " in capsys.readouterr().err


def test_another_configuration_is_not_started_in_its_directories(
    tmp_path: Path, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, "cron", "nobody")
    assert orders.start(command(tmp_path, "start", config="other.cfg")) == 2
    assert f"the master of {tmp_path}/apps.cfg runs as nobody" in capsys.readouterr().err
    assert not ran.words


@pytest.mark.parametrize(("user", "run"), [("", "run"), ("root", "run"), ("nobody", "ru")])
def test_a_master_of_roots_own_is_not_given_away(user: str, run: str, tmp_path: Path, ran: Ran) -> None:
    install(tmp_path, "cron", user)
    assert its_user.start(command(tmp_path, "start", run=run)) is None
    assert not ran.words


def test_the_script_that_has_us_started_is_not_called_again(
    tmp_path: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody wrote root into it: then root it is."""
    install(tmp_path, "sysv", "nobody", "/etc/init.d/kegmaster")
    monkeypatch.setattr(its_user, "_called_by", lambda _boot: True)
    assert its_user.start(command(tmp_path, "start")) is None
    assert not ran.words
