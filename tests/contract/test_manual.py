"""The manual pages: made of docs/ and the tables of master.py, and readable by man without complaint."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kegmaster.flags import FLAGS, VERBS

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("man")
    subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "support" / "man_pages.py"), str(directory)], check=True
    )
    return directory


def shown(page: Path) -> str:
    if shutil.which("man") is None:
        pytest.skip("there is no man")
    done = subprocess.run(
        ["man", "--warnings", "-l", str(page)], capture_output=True, text=True, check=True, cwd=page.parent.parent,
        env={**os.environ, "MANWIDTH": "160", "LC_ALL": "C.UTF-8", "MANPAGER": "cat", "GROFF_NO_SGR": "1"},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def test_every_program_and_every_page_of_docs_has_one(pages: Path) -> None:
    for program in (ROOT / "scripts").glob("*.py"):
        name = "kegboard_tester.py" if program.name == "kegboard-tester.py" else program.name
        assert (pages / "man1" / f"{name}.1").exists(), program.name
    for page in (ROOT / "docs").glob("*.rst"):
        name = "man5/kegbot_master.cfg.5" if page.stem == "configuration" else f"man7/kegmaster-{page.stem}.7"
        assert (pages / name).exists()


def test_the_launchers_page_has_all_verbs_and_flags(pages: Path) -> None:
    text = shown(pages / "man1" / "master.py.1")
    for word in (*VERBS, *(word for flag in FLAGS if flag.help for word in flag.words)):
        assert word in text


def test_man_takes_all_of_them_without_complaint(pages: Path) -> None:
    for page in sorted(pages.glob("man[57]/*")):
        text = shown(page)
        assert "docs/" not in text.replace("pages in docs/", ""), (
            f"{page.name} refers to a page that is not installed"
        )


def test_pages_of_programs_lead_to_pages_that_are_there(pages: Path) -> None:
    for page in (pages / "man1").iterdir():
        text = page.read_text()
        if text.startswith(".so "):
            assert (pages / text.split()[1]).exists()
