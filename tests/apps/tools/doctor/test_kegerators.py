"""Of several kegerators on a machine one's own is meant, and no other is ever part of a cure."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from kegapps.tools.doctor.facts import Process
from kegapps.tools.doctor.kegerators import meant_master, own_processes
from tests.apps.core.programs import CoreProgram
from tests.apps.kegboard.programs import free_port
from tests.apps.tools.doctor.kegerator import Diagnosis, Kegerator
from tests.apps.tools.doctor.test_look_master import ME, core, master
from tests.master.conftest import Box, eventually

BOB = ME + 5000


def meant(processes: Sequence[Process], *, has_configuration: bool = False) -> int | None:
    """The number of the master that is meant."""
    found = meant_master(processes, ME, default_config="/d.cfg", has_configuration=has_configuration)
    return found.pid if found else None


def own(processes: Sequence[Process], pid: int | None, *apps: int, configured: bool = False) -> list[int]:
    """Numbers of the cores that are one's own."""
    ours, others = own_processes(
        processes, ME, master_pid=pid, app_pids=set(apps), has_configuration=configured
    )
    cores = [process.pid for process in ours if process.program == "kegbot_core"]
    rest = {process.pid for process in others}
    assert rest | set(cores) == {p.pid for p in processes if p.program == "kegbot_core"}
    return cores


def test_of_ones_masters_that_of_the_default_configuration_is_meant() -> None:
    quickstart, default = master(10, "--master_config=/quick.cfg"), master(14)
    assert meant((*quickstart, *default, core(20, 11))) == 15
    assert meant((*quickstart, *master(14, "--master_config=/d.cfg"), core(20, 11))) == 15
    assert meant((*quickstart, core(20, 11))) == 11
    assert meant((*master(12, "--config=/b.cfg"), *quickstart, core(20, 11))) == 11, "whose core runs"


def test_another_users_master_is_meant_only_by_who_has_nothing() -> None:
    bobs = (*master(10, uid=BOB), core(20, 11, uid=BOB))
    assert meant(bobs) == 11
    assert meant(bobs, has_configuration=True) is None
    assert meant((*bobs, core(21, 1))) is None
    assert meant((*bobs, *master(14, "--config=/mine.cfg"))) == 15


def test_what_another_master_or_user_runs_is_not_ones_own() -> None:
    bobs, mine = (*master(10, uid=BOB), core(20, 11, uid=BOB)), master(14, "--config=/mine.cfg")
    assert own((*bobs, *mine), 15) == [], "mine is in backoff"
    assert own((*bobs, *mine, core(22, 15)), 15) == [22]
    assert own((*bobs, *mine, core(23, 1)), 15) == [23], "started by hand"
    assert own((*bobs, *mine, core(22, 15), core(23, 1)), 15) == [22]
    assert own((*bobs,), None, configured=True) == [], "mine is configured, and stopped"
    assert own((*master(10), core(20, 11), *mine, core(22, 15)), 15) == [22]


def test_who_has_nothing_looks_at_what_there_is() -> None:
    assert own((*master(10, uid=BOB), core(20, 11, uid=BOB)), 11) == [20]
    assert own((core(20, 1, uid=BOB),), None) == [20]
    assert own((core(20, 1, uid=BOB), core(21, 1)), None) == [21]


def test_apps_that_outlived_their_master_are_still_its_own() -> None:
    assert own((core(20, 1), core(21, 1)), None, 20) == [20]


def configured(box: Box, port: int, device: Path) -> None:
    box.write(
        f"""
        [kegbot_core]
        _enabled = True
        kb_core_bind_addr = localhost:{port}
        store = {box.directory}/kegbot.sqlite
        [kegboard_daemon]
        _enabled = False
        kb_core_addr = localhost:{port}
        kegboard_device = {device}
        """
    )


def looked_at(kegerator: Kegerator, box: Box) -> Diagnosis:
    """What the doctor says of the kegerator of a configuration, told of nothing else."""
    kegerator.looks = lambda: [f"--master_config={box.config}", f"--pidfile_dir={box.run}"]  # type: ignore[method-assign]
    return kegerator.doctor()


def test_a_core_that_another_master_of_ones_own_keeps_from_listening(
    kegerator: Kegerator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    quickstart, default = (Box(tmp_path_factory.mktemp(name)) for name in ("quickstart", "default"))
    port = free_port()
    try:
        for box in (quickstart, default):
            configured(box, port, kegerator.device)
            box.master("start", expect=None)
            if box is quickstart:
                eventually(lambda: quickstart.app("kegbot_core")["state"] == "running")
        eventually(lambda: default.app("kegbot_core")["state"] == "backoff")
        holder, keeper = quickstart.pid("kegbot_core"), quickstart.master_pid()
        found = looked_at(kegerator, default)
        well = looked_at(kegerator, quickstart)
    finally:
        for box in (quickstart, default):
            box.master("stop", expect=None)
            box.close()
    (text,) = found.of("core", "trouble")
    assert f"the core of another kegerator, kegbot_core (process {holder})" in text, found.answer
    assert f"kept running by the master (process {keeper})" in text
    assert f"master.py stop --master_config={quickstart.config} --pidfile_dir={quickstart.run}" in str(
        found.answer["findings"]
    )
    assert not found.of("master", "trouble")
    assert str(quickstart.directory / "kegbot.sqlite") not in str(found.answer), "the other's store"
    assert well.of("core", "ok"), well.answer


def test_another_users_core_is_not_taken_for_ones_own(kegerator: Kegerator, as_nobody: list[str]) -> None:
    port, theirs = free_port(), free_port()
    box = Box(kegerator.folder)
    configured(box, port, kegerator.device)
    with tempfile.TemporaryDirectory() as folder:  # where the other user gets to
        shutil.chown(folder, "nobody")
        store = Path(folder, "kegbot.sqlite")
        with CoreProgram(store, address=f"localhost:{theirs}", launcher=as_nobody) as core:
            found = looked_at(kegerator, box)
    assert found.answer["settings"][0]["value"] == f"localhost:{port}"
    assert found.answer["cut"] == "master", found.answer
    assert "nothing of the stack runs" in found.of("master", "trouble")[0]
    (mention,) = [text for text in found.of("core", "hint") if f"localhost:{theirs} " in text]
    assert f"kegbot_core (process {core.process.pid})" in mention
    assert "user nobody" in mention
    assert str(theirs) not in str(found.answer["verdict"])
