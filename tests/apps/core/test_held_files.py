"""The store's files are taken away, replaced or left without room under a running core: nothing announced is lost."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kegapps.core.store import Store
from tests.apps.core.bar import reading, request
from tests.apps.core.programs import App, CoreProgram
from tests.apps.core.test_program import drinks
from tests.apps.small_disk import mounted as small_disk_at


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "kegbot.sqlite"


def pour(app: App, ticks: int) -> None:
    """A drink, up to this reading, and its announcement."""
    before = app.lines().count("drink guest")
    app.send(reading(ticks - 100), reading(ticks), request("stop_flow"))
    app.listen_until(lambda: app.lines().count("drink guest") > before)


def _remove(store: Path) -> None:
    store.unlink()


def _remove_all(store: Path) -> None:
    for path in store.parent.glob("kegbot.sqlite*"):
        path.unlink()


def _move(store: Path) -> None:
    (store.parent / "before").mkdir()
    for path in store.parent.glob("kegbot.sqlite*"):
        path.rename(store.parent / "before" / path.name)


def _remove_wal(store: Path) -> None:
    Path(f"{store}-wal").unlink()


@pytest.mark.parametrize("take_away", [_remove, _remove_all, _move, _remove_wal])
def test_files_that_are_taken_away_are_written_anew(take_away: Callable[[Path], None], store: Path) -> None:
    with CoreProgram(store) as core:
        app = App(core.port)
        pour(app, 100)
        pour(app, 200)
        take_away(store)
        pour(app, 300)
        core.wait_for("status: nothing can be stored: store")
        core.wait_for("storing again")
        pour(app, 400)
        core.end(signal.SIGKILL)
    assert [drink.ticks for drink in drinks(store)] == [100] * 4
    with CoreProgram(store) as core:
        pour(App(core.port), 500)
    assert len(drinks(store)) == 5
    left = sorted(path.name for path in store.parent.iterdir() if path.name != "before")
    assert left == ["kegbot.sqlite", "kegbot.sqlite.lock"]


def test_a_folder_that_was_away_is_used_again_when_it_is_back(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    store = folder / "kegbot.sqlite"
    with CoreProgram(store) as core:
        app = App(core.port)
        pour(app, 100)
        folder.rename(elsewhere)
        app.send(reading(200))
        core.wait_for(f"its folder was taken away while the core used it; have {folder} back")
        elsewhere.rename(folder)
        pour(app, 300)
        core.end(signal.SIGKILL)
    assert sum(drink.ticks for drink in drinks(store)) == 300


def test_a_core_that_ends_leaves_the_store_although_it_was_removed(store: Path) -> None:
    with CoreProgram(store) as core:
        pour(App(core.port), 100)
        pour(App(core.port), 200)
        _remove_all(store)
        assert core.end() == 0
        assert "is written anew; all is in it" in core.output
    assert len(drinks(store)) == 2


def test_another_file_in_its_place_is_left_alone_and_the_store_is_saved_beside_it(store: Path) -> None:
    other = store.parent / "other.sqlite"
    Store(str(other), boot_id="").close()
    with CoreProgram(store) as core:
        app = App(core.port)
        pour(app, 100)
        pour(app, 200)
        content = other.read_bytes()
        other.replace(store)
        app.close()  # the core looks into the store when something happens
        core.wait_for("another file was put in its place while the core used it")
        core.end()
    assert store.read_bytes() == content
    (saved,) = store.parent.glob("kegbot.sqlite.saved-*")
    assert (len(drinks(store)), len(drinks(saved))) == (0, 2)


def test_a_lock_that_is_removed_is_taken_again(store: Path) -> None:
    with CoreProgram(store) as core:
        Path(f"{store}.lock").unlink()
        App(core.port).close()
        core.wait_for("is made anew")
        with pytest.raises(Exception, match=rf"another kegbot_core \(pid {core.process.pid}\) uses it"):
            Store(str(store), boot_id="")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path / "disk", 700) as path:
        yield path


def test_a_small_disk_is_not_filled_by_the_write_ahead_log(small_disk: Path) -> None:
    store = small_disk / "kegbot.sqlite"
    with CoreProgram(store) as core:
        app = App(core.port)
        pour(app, 100)
        with suppress(OSError), open(small_disk / "ballast", "wb", buffering=0) as ballast:
            while ballast.write(bytes(4096)):
                pass
        for number in range(2, 242):
            app.send(reading(100 * number), request("stop_flow"))
        core.wait_for("no room left")
        (small_disk / "ballast").unlink()
        core.wait_for("storing again")
        for number in range(242, 282):
            pour(app, 100 * number)
        assert core.end() == 0
    assert sum(drink.ticks for drink in drinks(store)) == 28_100
    shutil.rmtree(small_disk, ignore_errors=True)
