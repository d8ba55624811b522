"""The examples in conf/examples are sound, and the light programs among them live and die well under the launcher."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.master.conftest import Box
from tests.real.catalogue import PROGRAMS, Program, installed
from tests.real.rounds import EXAMPLES, moved, sections, trial

LIGHT = [program for program in PROGRAMS if program.binary and not program.root_only]


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.cfg")), ids=lambda path: path.stem)
def test_an_example_is_sound_but_for_what_is_not_installed(example: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    text = moved(example.read_text(encoding="utf-8"), root, {})
    for folder in ("srv/hello", "srv/data", "var/lib/bots", "etc/openmsistream"):
        (root / folder).mkdir(parents=True)
    (root / "etc/openmsistream/upload.env").touch(0o600)
    box = Box(tmp_path)
    box.config.write_text(text, encoding="utf-8")
    done = box.master("configtest", expect=None)
    problems = [line for line in done.stderr.splitlines() if line.startswith(f"{box.config}:")]
    assert [line for line in problems if ": there is no program " not in line] == []


def test_every_section_of_every_example_is_run_by_the_command() -> None:
    written = {
        (path.stem, name)
        for path in EXAMPLES.glob("*.cfg")
        for name in sections(path.read_text(encoding="utf-8"))
        if name != "DEFAULT"
    }
    assert written == {(program.example, program.section) for program in PROGRAMS}


@pytest.mark.parametrize("program", LIGHT, ids=lambda program: program.section)
def test_a_real_program_is_one_and_comes_back_and_goes_without_a_trace(
    program: Program, tmp_path: Path
) -> None:
    if not installed(program.binary):
        pytest.skip(f"{program.binary} is not installed")
    with trial(program, tmp_path / "box", None) as made:
        for _, check in made.checks():
            check()


@pytest.mark.skipif(os.geteuid() != 0, reason="cron's tables are hidden from it by root only")
def test_cron_runs_in_the_foreground(tmp_path: Path) -> None:
    if not installed("cron"):
        pytest.skip("cron is not installed")
    cron = next(program for program in PROGRAMS if program.section == "cron")
    with trial(cron, tmp_path / "box", None) as made:
        made.one_instance()
        made.stopped()
        made.nothing_left()
