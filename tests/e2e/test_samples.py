"""What the project hands out works as it stands: the sample configurations, and the quickstart on a bare copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.master.conftest import BIN

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("sample", sorted((ROOT / "conf").glob("*.cfg")), ids=lambda path: path.name)
def test_every_sample_configuration_is_sound(sample: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "master.py", "configtest", f"--config={sample}", f"--pidfile_dir={tmp_path}", f"--logfile_dir={tmp_path}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_quickstart_that_fails_says_how_what_it_started_is_stopped() -> None:
    begin = "import runpy; runpy.run_path('scripts/quickstart', run_name='tried')['run'](['false'])"
    done = subprocess.run(
        [sys.executable, "-c", begin], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "that failed (status 1); the logs are in " in done.stderr
    assert "stop it all: " in done.stderr
    assert "/.venv/bin/master.py stop --config=" in done.stderr


@pytest.mark.timeout(240)
def test_the_quickstart_pours_a_pint_on_a_bare_copy(tmp_path: Path) -> None:
    copy, home = tmp_path / "copy", tmp_path / "home"
    home.mkdir()
    shutil.copytree(
        ROOT,
        copy,
        ignore=shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "__pycache__", "build"),
    )
    shutil.rmtree(copy / "quickstart", ignore_errors=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment = {**kept, "HOME": str(home), "PATH": os.defpath}
    try:
        # Twice: the second run must be harmless.
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "scripts/quickstart"],
                cwd=copy, env=environment, capture_output=True, text=True, timeout=200, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            assert "1000" in done.stdout
            assert "454.5" in done.stdout
    finally:
        stop = [str(copy / ".venv/bin/master.py"), "stop", "--config=quickstart/kegbot_master.cfg"]
        stopped = subprocess.run(
            [*stop, "--pidfile_dir=quickstart", "--logfile_dir=quickstart"],
            cwd=copy, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
