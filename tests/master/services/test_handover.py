"""Directories that root's master has used are given to the user whose master takes over, and nothing else is."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from kegmaster.services import handover
from kegmaster.services.store import Store
from kegmaster.services.transaction import Transaction

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("kegbot_master.records", "services"):
        (tmp_path / "run" / name).mkdir(parents=True)
    for name in ("kegbot_master.pid", "kegbot_master.records/web", "web.pid", "services/master.json"):
        (tmp_path / "run" / name).write_text("")
    return tmp_path


def owners(place: Path) -> dict[str, int]:
    return {str(path.relative_to(place)): path.lstat().st_uid for path in place.rglob("*")}


def planned(place: Path) -> tuple[handover.Handover, list[str]]:
    return handover.plan(NOBODY, [str(place / "run")], [str(place / "web.env")], {"web"})


def test_the_masters_files_change_hands_and_what_root_believes_stays_roots(place: Path) -> None:
    (place / "web.env").write_text("KEY=v\n")
    before = owners(place)
    found, problems = planned(place)
    assert problems == []
    store = Store(str(place / "run"))
    store.open(make=True)
    work = Transaction(store)
    handover.carry_out(work, found)
    now = owners(place)
    assert {name for name, uid in now.items() if uid == 0} == {
        "run/services", "run/services/master.json", "run/services/undo",
    }  # fmt: skip
    assert work.roll_back() == []
    assert owners(place) == before


@pytest.mark.parametrize("strange", ["file", "link", "hardlink", "anothers", "open"])
def test_where_anything_else_lies_nothing_changes_hands_and_the_command_is_told(
    place: Path, strange: str
) -> None:
    run = place / "run"
    if strange == "file":
        (run / "precious").write_text("")
    elif strange == "link":
        (run / "web.log").symlink_to("/etc/passwd")
    elif strange == "hardlink":
        (place / "elsewhere").write_text("")
        (run / "web.log").hardlink_to(place / "elsewhere")
    elif strange == "anothers":
        os.chown(run / "web.pid", 1, 1)
    else:
        run.chmod(0o1777)
    found, problems = planned(place)
    assert found.files == ()
    assert f"or: chown nobody {run}" in problems[0]
