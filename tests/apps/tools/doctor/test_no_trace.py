"""The doctor changes nothing: a store is as it was, file by file, whoever looks and whatever state it is in."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.core.store import Store
from tests.apps.core.bar import reading
from tests.apps.core.programs import App, CoreProgram
from tests.apps.tools.doctor.kegerator import Kegerator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look at another user's store")


def files(folder: Path) -> dict[str, tuple[int, int, int, int, bytes]]:
    """Every file with owner, mode, size, time of its last change, and content; what SQLite shares is not content."""
    found = {}
    for path in sorted(folder.iterdir()):
        status = path.stat()
        content = b"" if path.name.endswith("-shm") else path.read_bytes()
        found[path.name] = (status.st_uid, status.st_mode, status.st_size, status.st_mtime_ns, content)
    return found


def test_a_store_that_nobody_uses(kegerator: Kegerator, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    Store(str(folder / "kegbot.sqlite"), boot_id="").close()
    before = files(folder)
    found = kegerator.doctor(f"--store={folder}/kegbot.sqlite")
    assert "sound" in found.of("store", "ok")[0]
    assert files(folder) == before


def test_a_store_that_a_core_is_using(kegerator: Kegerator, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    kegerator.store = folder / "kegbot.sqlite"
    core = kegerator.core()
    app = kegerator.app()
    app.send(reading(100), reading(300))
    app.listen_until(lambda: app.heard)  # what is announced is on the disk
    before = files(folder)
    found = kegerator.doctor("--noprobe")
    assert f"held by kegbot_core (process {core.process.pid})" in found.of("store", "ok")[0]
    assert "sound" in found.of("store", "ok")[0]
    assert files(folder) == before


def test_a_store_that_a_core_left_in_the_middle_of_its_work_is_read_to_the_last_commit(
    kegerator: Kegerator, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    with CoreProgram(folder / "kegbot.sqlite") as core:
        app = App(core.port)
        app.send(reading(100), reading(300))
        app.listen_until(lambda: app.heard)  # what is announced is on the disk
        app.close()
        core.end(signal.SIGKILL)
    assert (folder / "kegbot.sqlite-wal").stat().st_size > 0
    before = files(folder)
    found = kegerator.doctor(f"--store={folder}/kegbot.sqlite")
    assert "kegboard.flow0" in found.of("last tick")[0], found.answer
    assert "at reading 300" in found.of("last tick")[0]
    assert files(folder) == before


@needs_root
def test_root_looks_at_the_store_of_a_core_of_another_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    nobody = pwd.getpwnam("nobody")
    with contextlib.ExitStack() as stack:
        kegerator = Kegerator(tmp_path_factory.mktemp("nobodys"), stack)
        folder = kegerator.folder / "store"
        folder.mkdir()
        kegerator.store = folder / "kegbot.sqlite"
        Store(str(kegerator.store), boot_id="").close()
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "nobody", nobody.pw_gid)
        before = files(folder)
        kegerator.doctor("--noprobe")
        assert files(folder) == before
        core = kegerator.core()  # of root, which SQLite forgives: its files belong to the store's owner
        found = kegerator.doctor("--noprobe")
        assert found.of("store", "ok")
        assert {path.owner() for path in folder.iterdir() if not path.name.endswith(".lock")} == {"nobody"}
        assert core.end() == 0


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A folder that any user gets to, unlike those of pytest, and that no other test has a say in."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@needs_root
def test_files_beside_the_store_that_its_user_may_not_write_are_named(
    coreless: Kegerator, anybodys: Path
) -> None:
    store = anybodys / "kegbot.sqlite"
    Store(str(store), boot_id="").close()
    for path in (anybodys, store, anybodys / "kegbot.sqlite.lock"):
        shutil.chown(path, "nobody")
    wal = anybodys / "kegbot.sqlite-wal"
    wal.touch(mode=0o600)
    device = coreless.device.resolve()
    os.chmod(device, 0o666)
    try:
        found = coreless.doctor(f"--store={store}", "--user=nobody", f"--kegboard_device={device}")
    finally:
        os.chmod(device, 0o620)
    found.must_be_cut_at("store", saying=f"may not write {wal}", cure=f"sudo chown nobody {wal}")
