"""README's own session, typed as it stands: the configuration below "Launch your own", then each of its commands."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.ports import free_port

README = Path(__file__).parents[2] / "README.rst"
ENDLESS = re.compile(r"^(master\.py (?:logs|events).*) -f\b", re.MULTILINE)


def test_the_session_of_the_readme_is_a_real_one(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    chapter = text[text.index("\nLaunch your own\n") : text.index("\nAny program, from boot on\n")]
    configuration, commands = (
        textwrap.dedent(block).strip() for block in re.findall(r"::\n\n((?:    .*\n|\n)+)", chapter)
    )
    assert configuration.startswith("[clock]")
    # The port is everybody's, and a follower has no end.
    configuration += f"\nkb_core_bind_addr = localhost:{free_port()}\n"
    assert ENDLESS.search(commands)
    commands = ENDLESS.sub(r"\1", commands)
    (tmp_path / "kegbot_master.cfg").write_text(configuration, encoding="utf-8")
    environment = {
        "KEGBOT_HOME": str(tmp_path),
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    try:
        done = subprocess.run(
            ["sh", "-ec", commands], env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        for shown in (
            r"^sh -c 'while date; do sleep 1; done'$",
            r"^kegbot_core +running +\d+",
            r"^clock +running +\d+",
            r"clock +starting -> running, process \d+",
            r"^clock: stopped$",
        ):
            assert re.search(shown, done.stdout, re.MULTILINE), f"{shown}\n{done.stdout}"
        assert list((tmp_path / "log").glob("clock.log"))
        assert list((tmp_path / "run").glob("*.pid")) == []
    finally:
        subprocess.run(
            ["master.py", "stop"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
