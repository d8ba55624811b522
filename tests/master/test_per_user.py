"""A master of one's own, without root: whoever starts it, from whatever surroundings, it is one and the same."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import eventually, living, wait_for_end

ROOT = Path(__file__).resolve().parents[2]
ROOT_HERE = os.geteuid() == 0
_UIDS = itertools.count(1_000_000_000 + os.getpid() * 100)


class Person:
    """A user with a home and nothing else. As root one that exists nowhere else, so that all it owns is known."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.uid = next(_UIDS) if ROOT_HERE else os.geteuid()
        self.script = home / "master.py"
        self.script.write_text(
            f"import sys\nsys.path.insert(0, {str(ROOT / 'master')!r})\n"
            "from kegmaster.command import main\nsys.exit(main(sys.argv))\n"
        )
        self.cron = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        for path in (home, self.script):
            os.chown(path, self.uid, -1)

    def config(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[one]\n_enabled = True\n_command = {shutil.which('sleep')} 1000\n")

    def master(
        self,
        *words: str,
        environment: dict[str, str] | None = None,
        expect: int | None = 0,
        closed: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        # Root's own interpreter may lie where nobody else can read.
        python = "/usr/bin/python3" if ROOT_HERE else sys.executable
        as_user: dict[str, Any] = (
            {"user": self.uid, "group": self.uid, "extra_groups": []} if ROOT_HERE else {}
        )
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*(["sh", "-c", 'exec "$@" <&-', "sh"] if closed else []), python, "-I", str(self.script), *words],
            cwd="/", env=self.cron if environment is None else environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
            umask=0, **as_user,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert expect is None or done.returncode == expect, (
            f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def processes(self) -> list[int]:
        mark = f"HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found += [int(entry.name)] if living(int(entry.name)) else []
            except OSError:
                continue
        return found

    def close(self) -> None:
        for pid in [*self.processes(), *self.processes()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            wait_for_end(pid)


@pytest.fixture
def ann() -> Iterator[Person]:
    if ROOT_HERE:
        reads = ["/usr/bin/python3", "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'master')!r}); import kegmaster.command"]  # fmt: skip
        if subprocess.run(reads, user=65534, check=False, capture_output=True).returncode:
            pytest.skip("no Python that other users than root may run, or they may not read the sources")
    home = Path(tempfile.mkdtemp(prefix="ann-"))
    person = Person(home)
    try:
        yield person
        person.master("stop", expect=None)
    finally:
        person.close()
        shutil.rmtree(home)


def _own(person: Person) -> None:
    person.config(person.home / ".config/kegbot/kegbot_master.cfg")


def test_a_fresh_user_has_all_below_home_readable_by_nobody_else(ann: Person) -> None:
    _own(ann)
    ann.master("start")
    made = ann.home / ".local"
    for path in (
        made,
        made / "state",
        made / "state/kegbot",
        made / "state/kegbot/run",
        made / "state/kegbot/log",
    ):
        assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o700, ann.uid), path
    assert {path.stat().st_uid for path in made.rglob("*")} == {ann.uid}
    assert len(ann.processes()) == 3
    ann.master("stop")
    assert list((made / "state/kegbot/run").iterdir()) == []


@pytest.mark.parametrize("first", ["cron", "login"])
def test_cron_and_a_login_shell_find_the_same_master_whichever_made_it(ann: Person, first: str) -> None:
    _own(ann)
    runtime = ann.home / "runtime"
    runtime.mkdir(mode=0o700)
    os.chown(runtime, ann.uid, -1)
    login = ann.cron | {"XDG_RUNTIME_DIR": str(runtime), "TERM": "xterm", "USER": "ann", "LANG": "C.UTF-8"}
    ways = [ann.cron, login]
    for environment in ways if first == "cron" else ways[::-1]:
        ann.master("start", environment=environment, closed=environment is ann.cron)
    pids = set()
    for environment in ways:
        report = json.loads(ann.master("status", "--json", environment=environment).stdout)
        pids.add((report["master"]["pid"], report["apps"][0]["pid"]))
    assert len(pids) == 1
    assert len(ann.processes()) == 3
    # The last logout: without lingering the runtime directory goes.
    shutil.rmtree(runtime)
    for environment in ways:
        ann.master("status", environment=environment)
    ann.master("stop", environment=login)
    assert ann.processes() == []


def test_a_master_in_the_runtime_directory_is_found_and_no_second_one_made(ann: Person) -> None:
    _own(ann)
    runtime = ann.home / "runtime"
    runtime.mkdir(mode=0o700)
    os.chown(runtime, ann.uid, -1)
    login = ann.cron | {"XDG_RUNTIME_DIR": str(runtime)}
    ann.master("start", f"--pidfile_dir={runtime}/kegbot", environment=login)
    before = ann.processes()
    ann.master("start", environment=login)
    assert ann.processes() == before
    ann.master("stop", environment=login)
    assert ann.processes() == []
    ann.master("start", environment=login)
    assert list((runtime / "kegbot").iterdir()) == [], "once that one is gone, the usual place is taken"


def test_one_variable_moves_all_of_it_and_apps_are_told(ann: Person) -> None:
    ann.config(ann.home / "keg/kegbot_master.cfg")
    os.chown(ann.home / "keg", ann.uid, -1)
    moved = ann.cron | {"KEGBOT_HOME": str(ann.home / "keg")}
    ann.master("start", environment=moved)
    assert not (ann.home / ".local").exists()
    app = json.loads(ann.master("status", "--json", environment=moved).stdout)["apps"][0]["pid"]
    assert f"KEGBOT_HOME={ann.home}/keg".encode() in Path(f"/proc/{app}/environ").read_bytes().split(b"\0")
    ann.master("stop", environment=moved)
    told = ann.master("status", environment=ann.cron | {"KEGBOT_HOME": "keg"}, expect=6).stderr
    assert told.count("\n") == 1
    assert "KEGBOT_HOME is 'keg'; it must be an absolute path" in told


@pytest.mark.parametrize(
    ("environment", "flags", "code", "words"),
    [
        ({}, [], 6, "HOME is not set"),
        ({"HOME": "/nonexistent"}, [], 6, "/nonexistent/.config/kegbot/kegbot_master.cfg: no such file"),
        (
            {"HOME": "/nonexistent"},
            ["--master_config={config}"],
            4,
            "/kegbot/run: cannot be made, / belongs to user 0",
        ),
    ],
)
def test_without_a_home_one_line_says_what_to_do(
    ann: Person, environment: dict[str, str], flags: list[str], code: int, words: str
) -> None:
    config = ann.home / "apps.cfg"
    ann.config(config)
    given = [flag.format(config=config) for flag in flags]
    told = ann.master(
        "start", *given, environment={"PATH": "/usr/bin:/bin"} | environment, expect=code
    ).stderr
    assert words in told
    assert told.count("\n") == 1


@pytest.mark.skipif(not ROOT_HERE, reason="takes root")
def test_what_root_left_in_a_users_place_is_said_with_its_cure(ann: Person) -> None:
    _own(ann)
    state = ann.home / ".local/state/kegbot/run"
    state.mkdir(parents=True)
    told = ann.master("start", expect=4).stderr
    assert f"{state}: belongs to user 0, and we may not write there; chown it" in told
    assert ann.processes() == []


@pytest.mark.skipif(not ROOT_HERE, reason="takes root")
def test_two_users_have_a_master_each_and_neither_reaches_the_others(ann: Person) -> None:
    _own(ann)
    ann.master("start")
    home = Path(tempfile.mkdtemp(prefix="bob-"))
    bob = Person(home)
    try:
        bob.config(home / ".config/kegbot/kegbot_master.cfg")
        bob.master("start")
        assert (len(ann.processes()), len(bob.processes())) == (3, 3)
        run = f"--pidfile_dir={ann.home}/.local/state/kegbot/run"
        for words in (["status"], ["stop"], ["start", "--force"]):
            assert "permission denied" in bob.master(*words, run, expect=4).stderr.lower()
        bob.master("stop")
        assert (len(ann.processes()), len(bob.processes())) == (3, 0)
    finally:
        bob.close()
        shutil.rmtree(home)


def test_the_users_own_configuration_is_found_else_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kegmaster import paths
    from kegmaster.command import Command
    from kegmaster.flags import parse

    system, own = tmp_path / "etc.cfg", tmp_path / "config/kegbot/kegbot_master.cfg"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(paths.Defaults, "__init__", _reading(paths.Defaults.__init__, str(system)))

    def found() -> Command:
        return Command(parse(["configtest"], "master.py"), "master.py")

    assert found().config_file == str(own), "neither is there: the message is to name the user's own"
    system.touch()
    assert found().config_file == str(system)
    assert found().run_directory.path == str(tmp_path / ".local/state/kegbot/run"), (
        "but its apps run below the user's"
    )
    own.parent.mkdir(parents=True)
    own.touch()
    assert found().config_file == str(own)


def _reading(init: object, system: str) -> object:
    def replaced(self: object, **fields: object) -> None:
        init(self, **{"system_config": system, **fields})  # type: ignore[operator]

    return replaced


def test_killed_masters_are_followed_by_one_from_elsewhere(ann: Person) -> None:
    _own(ann)
    ann.master("start")
    report = json.loads(ann.master("status", "--json").stdout)
    app = report["apps"][0]["pid"]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in ann.processes():
            if pid != app:
                os.kill(pid, number)
    eventually(lambda: ann.processes() == [app])
    ann.master("start", environment=ann.cron | {"XDG_RUNTIME_DIR": "/run/user/1"})
    assert app in ann.processes()
    assert len(ann.processes()) == 3


VERBS = (
    ("status", 3), ("start --no_daemon_start", 7), ("start", 0), ("start", 0), ("status", 0), ("configtest", 0),
    ("stop one", 0), ("status one", 3), ("start one", 0), ("restart", 0), ("try-restart", 0), ("reload", 0),
    ("start nobody", 2), ("status nobody", 4), ("bogus", 2), ("start --force", 0), ("stop", 0), ("stop", 0),
    ("status", 3), ("reload", 7),
)  # fmt: skip


def test_every_verb_says_and_returns_the_same_whoever_calls(ann: Person) -> None:
    _own(ann)
    login = ann.cron | {
        "XDG_RUNTIME_DIR": "/run/user/1",
        "TERM": "xterm",
        "USER": "ann",
        "LANG": "de_DE.UTF-8",
    }
    said: list[list[str]] = []
    for environment in (ann.cron, login):
        told = []
        for verb, code in VERBS:
            done = ann.master(
                *verb.split(), environment=environment, expect=code, closed=environment is ann.cron
            )
            told.append(re.sub("[0-9 ]+", "_", f"{verb}: {done.stdout}{done.stderr}"))
        said.append(told)
    assert said[0] == said[1]


def test_a_shell_with_other_directories_finds_the_same_master(ann: Person) -> None:
    _own(ann)
    ann.master("start")
    before = ann.processes()
    moved = ann.cron | {"XDG_STATE_HOME": str(ann.home / "elsewhere")}
    ann.master("start", environment=moved)
    assert ann.processes() == before
    rows = json.loads(ann.master("status", "--json", environment=moved).stdout)["apps"]
    assert [row["state"] for row in rows] == ["running"]
    ann.master("stop", environment=moved)
    assert ann.processes() == []


@pytest.mark.parametrize(
    ("lay", "words"),
    [
        (lambda path: path.write_text(""), "{local} is no directory; remove it"),
        (lambda path: path.symlink_to("nowhere"), "{local} is a symlink that leads nowhere; remove it"),
    ],
)
def test_what_is_no_directory_is_called_that(ann: Person, lay: Callable[[Path], object], words: str) -> None:
    _own(ann)
    local = ann.home / ".local"
    lay(local)
    told = ann.master("start", expect=4).stderr
    assert f"cannot be made, {words.format(local=local)}" in told
