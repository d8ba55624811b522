"""The init script, run by hand around a real master: the exit statuses of the Linux Standard Base."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kegmaster.boot import kinds
from kegmaster.boot.plan import Service

from ..conftest import Box, kill_masters, wait_for_end

FUNCTIONS = "/lib/lsb/init-functions"
GENERATOR = "/usr/lib/systemd/system-generators/systemd-sysv-generator"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an init script is root's")


class Script:
    """The init script of a box's master."""

    def __init__(self, box: Box, *, functions: bool) -> None:
        self.box = box
        self.path = box.directory / "kegmaster-lsb"
        self.master = box.directory / "master.py"
        self.master.symlink_to(box.script)
        state = box.directory / "run"
        flags = (f"--master_config={box.config}", f"--pidfile_dir={box.run}", f"--logfile_dir={box.log}")
        service = Service(
            name="kegmaster-lsb", argv=(sys.executable, str(self.master)), flags=(*flags, f"--state_dir={state}"),
            config=str(box.config), pidfile_dir=str(box.run), logfile_dir=str(box.log), state_dir=str(state),
            home=str(box.home),
        )  # fmt: skip
        (artefact,) = kinds.plan("sysv", service).artefacts
        assert artefact.mode == 0o755
        self.path.write_text(artefact.text if functions else artefact.text.replace(FUNCTIONS, "/nonexistent"))
        self.path.chmod(0o755)

    def __call__(self, verb: str, uid: int = 0) -> int:
        ran = subprocess.run(
            [str(self.path), verb], env={}, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60, check=False, user=uid,
        )  # fmt: skip
        assert "not found" not in ran.stderr, ran.stderr
        return ran.returncode


@pytest.fixture(params=[True, False], ids=["with-init-functions", "without"])
def script(request: pytest.FixtureRequest, box: Box) -> Script:
    if request.param and not Path(FUNCTIONS).exists():
        pytest.skip(f"{FUNCTIONS} is not installed")
    box.write("""
        [app]
        _enabled = True
        _command = sleep 1000
    """)
    return Script(box, functions=request.param)


def test_each_verb_gives_the_exit_status_of_the_standard_in_each_state(script: Script) -> None:
    told = [(verb, script(verb)) for verb in ("status", "stop", "start", "status", "start")]
    assert told == [("status", 3), ("stop", 0), ("start", 0), ("status", 0), ("start", 0)]
    told = [(verb, script(verb)) for verb in ("reload", "restart", "try-restart", "force-reload", "status")]
    assert [code for _, code in told] == [0, 0, 0, 0, 0], told
    app = script.box.pid("app")
    kill_masters(script.box)
    assert script("status") == 1
    assert script("start") == 0
    assert script("status") == 0
    assert script.box.pid("app") == app  # adopted, not doubled
    told = [(verb, script(verb)) for verb in ("stop", "status", "stop", "try-restart", "status", "reload")]
    assert [code for _, code in told] == [0, 3, 0, 0, 3, 7], told
    wait_for_end(app)


def test_a_wrong_verb_is_told_how_it_is_used(script: Script) -> None:
    assert [script(verb) for verb in ("bogus", "", "*")] == [2, 2, 2]


def test_a_program_that_is_not_installed_has_statuses_of_its_own(script: Script) -> None:
    script.master.unlink()
    told = {verb: script(verb) for verb in ("start", "restart", "reload", "status", "stop", "bogus")}
    assert told == {"start": 5, "restart": 5, "reload": 5, "status": 4, "stop": 0, "bogus": 2}


def test_without_a_configuration_it_is_not_configured(script: Script) -> None:
    script.box.config.unlink()
    assert script("start") == 6


def test_only_root_may(script: Script) -> None:
    # Where another user reaches it; and as if he could see the interpreter, which the tests' own may be hidden from.
    seen = script.path.read_text().replace('[ ! -x "$INTERPRETER" ] || [ ! -f "$MASTER" ]', "false")
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        script.path = Path(directory) / "kegmaster-lsb"
        script.path.write_text(seen)
        script.path.chmod(0o755)
        codes = [script(verb, uid=65534) for verb in ("start", "stop", "restart", "try-restart", "reload")]
    assert codes == [4, 4, 4, 4, 4]


def test_a_pidfile_that_names_a_stranger_harms_nobody(script: Script) -> None:
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        try:
            script.box.run.mkdir()
            (script.box.run / "kegbot_master.pid").write_text(f"{stranger.pid}\n")
            assert script("stop") == 0
            assert stranger.poll() is None
        finally:
            stranger.send_signal(signal.SIGKILL)


def test_systemd_reads_the_header_as_it_is_meant(script: Script, tmp_path: Path) -> None:
    if not Path(GENERATOR).exists():
        pytest.skip("systemd-sysv-generator is not installed")
    scripts, links, out = (tmp_path / name for name in ("init.d", "rc.d", "out"))
    for directory in (scripts, links / "rc2.d", out):
        directory.mkdir(parents=True)
    shutil.copy(script.path, scripts / "kegmaster")
    (links / "rc2.d" / "S01kegmaster").symlink_to(scripts / "kegmaster")
    environment = {"SYSTEMD_SYSVINIT_PATH": str(scripts), "SYSTEMD_SYSVRCND_PATH": str(links)}
    subprocess.run([GENERATOR, *[str(out)] * 3], env=environment, check=True, timeout=20)
    unit = (out / "kegmaster.service").read_text()
    assert "Description=LSB: multi-app launcher and watchdog" in unit
    for target in ("remote-fs.target", "network-online.target", "nss-lookup.target"):
        assert target in unit
    assert (out / "multi-user.target.wants" / "kegmaster.service").is_symlink()


def test_the_header_has_every_field(script: Script) -> None:
    header = script.path.read_text().split("### END INIT INFO")[0].splitlines()
    fields = dict(line[2:].split(":", 1) for line in header if line.startswith("# ") and ":" in line)
    assert {name: value.strip() for name, value in fields.items() if name.startswith("Default")} == {
        "Default-Start": "2 3 4 5",
        "Default-Stop": "0 1 6",
    }
    for name in (
        "Provides",
        "Required-Start",
        "Required-Stop",
        "Should-Start",
        "Short-Description",
        "Description",
    ):
        assert fields[name].strip()
