"""Scripts and lines for init systems that are shells: checked, and run, from a directory with an awkward name."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegmaster.boot import kinds
from kegmaster.boot.plan import Plan, Service

from .readers import cron_command
from .samples import AWKWARD, service, text

PATHS = {
    "sysv": "kegmaster",
    "openrc": "kegmaster",
    "runit": "/run",
    "s6": "/run",
    "rc.local": "",
    "upstart": ".conf",
}
RECORDER = """#!/bin/sh
{ printf '%s\\0' "$0" "$@"; } >"${0%/*}/argv"
printf '%s\\0' "$PATH" "$LANG" "$PYTHONUTF8" "$HOME" "$PWD" >"${0%/*}/environment"
"""


def recorder(directory: str) -> Service:
    """A service whose interpreter writes down what it is given."""
    base = Path(directory) / r"""a b%h$x\%'d"`f;&<(!ü\%"""  # short enough for cron
    (base / "bin").mkdir(parents=True)
    program = base / "bin" / "python"
    program.write_text(RECORDER)
    program.chmod(0o755)
    (base / "master.py").touch()
    return service(base=str(base), argv=(str(program), str(base / "master.py")), home=str(base))


@pytest.fixture
def short() -> Iterator[str]:
    """A directory with a name that leaves room on cron's line."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield directory


def as_run(kind: str, plan: Plan) -> str:
    """What the init system's shell is given."""
    if kind == "cron":
        command, read = cron_command(text(plan).rstrip("\n").removeprefix("@reboot "))
        assert read is None
        return command
    written = text(plan, PATHS[kind])
    if kind == "openrc":
        return f"ebegin() {{ :; }}; eend() {{ return $1; }}\n{written}\nstart_pre && start\n"
    if kind == "upstart":
        return next(line for line in written.splitlines() if line.startswith("exec "))
    return f"set -- start\n{written}"


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
@pytest.mark.parametrize("kind", ["sysv", "openrc", "runit", "s6", "rc.local", "cron", "upstart"])
def test_it_starts_the_master_with_just_these_words(kind: str, shell: str, short: str) -> None:
    if not shutil.which(shell.split()[0]):
        pytest.skip(f"{shell} is not installed")
    if os.geteuid() and kind == "sysv":
        pytest.skip("the init script is root's")
    asked = recorder(short)
    script = as_run(kind, kinds.plan(kind, asked))
    # As rc.local may have it, and with as little as an init system gives.
    ran = subprocess.run(
        [*shell.split(), "-e", "-c", script], env={}, cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    place = Path(asked.argv[0]).parent
    verb = "run" if kind in ("runit", "s6", "upstart") else "start"
    assert (place / "argv").read_bytes().decode().split("\0")[:-1] == list(asked.command(verb))
    path, lang, utf8, home, directory = (place / "environment").read_bytes().decode().split("\0")[:-1]
    if kind != "upstart":  # whose stanzas set them
        assert "/usr/bin" in path.split(":")
        assert (lang, utf8) == ("C.UTF-8", "1")
        assert home == ("" if kind == "cron" else asked.home)
        assert directory == (asked.logfile_dir if kind == "cron" else "/")
        assert Path(asked.logfile_dir).is_dir()


@pytest.mark.parametrize("kind", ["sysv", "openrc", "runit", "s6", "rc.local"])
@pytest.mark.parametrize("user", ["", "lab"])
def test_checkers_of_shell_scripts_find_nothing(kind: str, user: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    written = text(
        kinds.plan(kind, service(base="/srv/a b%h$HOME'd\"e;&", user=user, group=user, home="/home/lab")),
        PATHS[kind],
    )
    script.write_text(written if written.startswith("#!") else f"#!/bin/sh -e\n{written}exit 0\n")
    for checker in (["dash", "-n"], ["shellcheck", "-s", "sh"]):
        if shutil.which(checker[0]):
            ran = subprocess.run(
                [*checker, str(script)], capture_output=True, text=True, timeout=60, check=False
            )
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("change", ["runuser", "su"])
def test_the_user_is_changed_with_or_without_runuser(change: str, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    written = text(kinds.plan("sysv", service(base="/usr", user="nobody")))
    function = written[written.index("as_user() {") : written.index("make_directories() {")]
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in ("id", "sh", "printf", change):
        (programs / program).symlink_to(shutil.which(program) or pytest.skip(f"{program} is not installed"))
    script = f"RUNAS=nobody\n{function}\nas_user /bin/sh -c '/usr/bin/id -un; printf \"%s|\" \"$@\"' x '--a b' '$c' \"d'e\""
    ran = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ran.stdout.split("\n") == ["nobody", "--a b|$c|d'e|"], ran.stderr


def test_a_crontab_with_the_line_is_accepted(tmp_path: Path) -> None:
    if not shutil.which("crontab"):
        pytest.skip("there is no crontab")
    for asked in (service(base=AWKWARD), service(base="/srv/k", user="lab", home="/home/lab")):
        plan = kinds.plan("cron", asked)
        assert text(plan).count("\n") == 1
        assert text(plan).startswith("@reboot ")
        table = tmp_path / "crontab"
        table.write_text(text(plan))
        ran = subprocess.run(
            ["crontab", "-n", str(table)], capture_output=True, text=True, timeout=20, check=False
        )
        assert ran.returncode == 0, ran.stderr


def test_rc_local_stands_between_marks_and_says_that_nothing_stops_it() -> None:
    plan = kinds.plan("rc.local", service())
    (block,) = plan.artefacts
    assert (block.role, block.path, block.mode) == ("block", "/etc/rc.local", 0o755)
    assert block.frame == ("#!/bin/sh\n", "exit 0\n")
    assert any("nothing stops it" in note for note in plan.notes)


def test_upstart_has_its_stanzas_and_counts_no_forks() -> None:
    plan = kinds.plan("upstart", service(user="lab", pidfile_dir="/run/kegbot"))
    lines = text(plan, "kegmaster.conf").splitlines()
    for stanza in (
        "description",
        "author",
        "start on",
        "stop on",
        "respawn",
        "kill timeout",
        "setuid lab",
        "exec",
    ):
        assert any(line.startswith(stanza) for line in lines), stanza
    assert not any(line.startswith("expect") for line in lines)
    assert " run " in lines[-1]
    # setuid would hold for its pre-start too, and the user may not write below /run.
    assert "start on starting kegmaster\ntask\n" in text(plan, "-directories.conf")
    assert plan.foreign
