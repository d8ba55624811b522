"""Root reaches files by no symlink, and through no directory, that an app's user can lay or exchange."""

from __future__ import annotations

import grp
import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegmaster import applog, crashlog, files, footing, pidfiles

from .conftest import Box, eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root alone is so careful")
NOBODY = pwd.getpwnam("nobody").pw_uid
REFUSED = "is a symlink that others than root can lay or move"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory of root's, `root`, and one of nobody's, with symlinks of his to it and to a file in it."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "app.log").write_text("rootfile\n")
    (tmp_path / "root" / "app.pid").write_text(f"{pidfiles.MAX_PID}\n")
    own = tmp_path / "own"
    own.mkdir()
    for name, target in (("link", "root"), ("app.log", "root/app.log")):
        (own / name).symlink_to(tmp_path / target)
        os.chown(own / name, NOBODY, -1, follow_symlinks=False)
    os.chown(own, NOBODY, -1)
    return own


def _content(directory: Path) -> dict[str, tuple[str, int]]:
    return {path.name: (path.read_text(), path.stat().st_uid) for path in directory.iterdir()}


def test_nothing_is_made_removed_or_written_behind_a_users_symlink(own: Path) -> None:
    before = _content(own.parent / "root")
    with pytest.raises(OSError, match=REFUSED):
        footing.make_directory(f"{own}/link/sub", NOBODY)
    for log in (f"{own}/link/new.log", f"{own}/link/app.log"):
        with pytest.raises(OSError, match=REFUSED):
            applog.open_log(log, NOBODY, None)
    with pytest.raises(OSError, match=REFUSED):
        applog.rotate(f"{own}/link/app.log", 1)
    with pytest.raises(OSError, match=REFUSED):
        pidfiles.write(f"{own}/link/app.pid", 77)
    with pytest.raises(pidfiles.PidfileError, match=REFUSED):
        pidfiles.read(f"{own}/link/app.pid")
    pidfiles.clear_away(f"{own}/link/app.pid")
    pidfiles.remove(f"{own}/link/app.pid", pidfiles.MAX_PID)
    assert _content(own.parent / "root") == before


def test_what_a_user_laid_in_place_of_his_log_is_not_copied_into_the_crash_log(own: Path) -> None:
    for log in (f"{own}/app.log", f"{own}/link/app.log"):
        assert crashlog.tail(log, (0, 0)) == b""


def test_a_users_environment_file_is_no_symlink_of_his_but_may_be_one_of_roots(own: Path) -> None:
    with pytest.raises(OSError, match=REFUSED):
        files.open_plain(f"{own}/app.log", follow=True, safely=True)
    (own.parent / "env").symlink_to("root/app.log")
    os.close(files.open_plain(f"{own.parent}/env", follow=True, safely=True))


def test_roots_own_symlinks_are_followed_where_nobody_else_can_move_them(own: Path) -> None:
    root = own.parent
    (root / "var").symlink_to("./own/../root")
    (root / "run").symlink_to(root / "var")
    os.close(applog.open_log(f"{root}/run/two.log", None, None))
    assert (root / "root" / "two.log").exists()
    (own / "roots").symlink_to(root / "root")
    with pytest.raises(OSError, match=REFUSED):
        applog.open_log(f"{own}/roots/three.log", None, None)
    (root / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels"):
        applog.open_log(f"{root}/loop/a.log", None, None)


def test_a_new_directory_of_an_app_is_its_users_and_one_that_is_there_stays_whose_it_is(own: Path) -> None:
    footing.make_directory(f"{own}/run/app", NOBODY)
    assert [(own / path).stat().st_uid for path in ("run", "run/app")] == [NOBODY, NOBODY]
    (own / "roots").mkdir()
    footing.make_directory(f"{own}/roots", NOBODY)
    assert (own / "roots").stat().st_uid == 0


def test_what_is_made_in_a_users_directory_is_his_and_in_one_of_roots_it_stays_roots(own: Path) -> None:
    footing.make_directory(f"{own}/logs/deep")
    crashlog.write(
        f"{own}/logs/deep/app.crash.log", crashlog.Death(app="app", time="now", reason="", argv=("x",))
    )
    made = [own / "logs", own / "logs/deep", own / "logs/deep/app.crash.log"]
    assert [path.stat().st_uid for path in made] == [NOBODY] * 3
    assert {path.stat().st_gid for path in made} == {own.stat().st_gid}
    footing.make_directory(f"{own.parent}/root/logs/deep")
    footing.make_directory(f"{own.parent}/root/for/app", NOBODY)
    made = [own.parent / "root" / name for name in ("logs", "logs/deep", "for", "for/app")]
    assert [path.stat().st_uid for path in made] == [0, 0, 0, NOBODY]


@pytest.mark.parametrize("target", ["link", "plain"])
def test_a_group_may_write_to_roots_directory_as_on_ubuntu_unless_an_app_runs_with_it(
    box: Box, target: str
) -> None:
    log = box.directory / "log"
    (log / "plain").mkdir(parents=True)
    (log / "link").symlink_to(log / "plain")
    os.chown(log, 0, grp.getgrnam("daemon").gr_gid)
    log.chmod(0o775)

    def told(settings: str) -> str:
        box.write(f"""
            [app]
            _enabled = True
            _logfile_dir = {log}/{target}
            _command = {box.program("probe")}
            {settings}
        """)
        done = box.master("configtest", expect=None)
        assert done.returncode == (6 if REFUSED in done.stderr else 0), done.stderr
        return done.stderr

    assert REFUSED not in told("")
    assert REFUSED not in told("_user = nobody")
    assert (REFUSED in told("_user = nobody\n_group = daemon")) == (target == "link")
    assert (REFUSED in told("_user = daemon")) == (target == "link")
    log.chmod(0o1777 if target == "link" else 0o775)
    assert REFUSED not in told("")


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of nobody's; above pytest's own directory he cannot look."""
    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        home = Path(above, "home")
        home.mkdir()
        os.chown(home, NOBODY, -1)
        yield home


def test_what_roots_master_leaves_in_a_home_is_the_apps_users(box: Box, home: Path) -> None:
    box.write(f"""
        [app]
        _enabled = True
        _user = nobody
        _logfile_dir = {home}/new/logs
        _pidfile_dir = {home}/new/run
        _command = sh -c "echo own >{home}/new/logs/own.log; echo printed; exec sleep 1000"
    """)
    box.master("start")
    eventually(lambda: (home / "new/logs/own.log").exists())
    for name in ("new", "new/logs", "new/run", "new/run/app.pid", "new/logs/app.log", "new/logs/own.log"):
        assert (home / name).stat().st_uid == NOBODY, name
    assert pidfiles.read(f"{home}/new/run/app.pid")
    box.master("restart", "app")
    box.master("configtest")
    box.master("stop")
    assert not (home / "new/run/app.pid").exists()
    assert "printed" in (home / "new/logs/app.log").read_text()


def test_what_is_done_in_a_directory_is_done_there_though_another_bears_its_name_by_then(own: Path) -> None:
    (own / "logs").mkdir()
    with footing.hold(f"{own}/logs/app.log") as (directory, name):
        (own / "logs").rename(own / "away")
        (own / "logs").symlink_to(own.parent / "root")
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=directory))
    assert (own / "away" / "app.log").exists()


def test_an_app_with_such_a_symlink_is_refused_and_nothing_is_touched(box: Box, own: Path) -> None:
    before = _content(own.parent / "root")
    box.write(f"""
        [forks]
        _enabled = True
        _type = forking
        _user = nobody
        _pidfile = {own}/link/sub/x.pid
        _command = {box.program("forks")}
        [logs]
        _enabled = True
        _user = nobody
        _logfile_dir = {own}/link
        _command = sh -c "echo ATTACKER; exec sleep 1000"
    """)
    for verb in ("configtest", "start"):
        told = box.master(verb, expect=6).stderr
        assert f"_pidfile: its pidfile {own}/link/sub/x.pid cannot be reached: {own}/link {REFUSED}" in told
        assert f"{own}/link" in told.partition("[logs]")[2]
    assert _content(own.parent / "root") == before


@pytest.mark.parametrize("mode", [0o777, 0o755])
def test_a_run_directory_that_others_could_exchange_is_refused(box: Box, mode: int) -> None:
    above = box.directory / "above"
    above.mkdir()
    above.chmod(mode)
    os.chown(above, NOBODY if mode == 0o755 else 0, -1)
    box.run = above / "run"
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n")
    told = box.master("start", expect=None)
    assert told.returncode in (1, 6)
    assert f"chown root {above}" in told.stderr
    assert box.processes() == []
