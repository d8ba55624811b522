"""Real programs under the launcher, from conf/examples, and the pages for newcomers: one line for each check.

  scripts/run-real-apps                what can be run here
  scripts/run-real-apps redis pyrolab  these
  scripts/run-real-apps coming-from-bots
                                       docs/coming-from-bots.rst, followed step by step, by root only: in a machine
                                       of its own that is thrown away (tests/boxes)
  scripts/run-real-apps --list         which there are, and what of them is missing here

Ends with status 1 if a check fails. What is missing is installed: virtualenvs into real-apps/, Debian's packages by root
only; what cannot be installed is named and skipped. --json prints an object for each line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from tests.boxes.box import BoxError
from tests.boxes.box import why_not as why_no_box
from tests.real.catalogue import PROGRAMS, Program, Virtualenv, installed
from tests.real.rounds import trial
from tests.real.walks import KEGMASTER, WALKS, Walk, follow

FOLDER = Path(__file__).parents[2] / "real-apps"


class Report:
    """What is printed: lines for people, objects for programs, and what is being done where a terminal shows it."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.failures = 0
        self._at_work = sys.stdout.isatty() and not as_json

    def doing(self, what: str) -> None:
        if self._at_work:
            print(f"\r\x1b[K{what} ...", end="", flush=True)

    def line(self, program: str, check: str, result: str, what: str) -> None:
        """`result`: ok, FAILED or skipped."""
        self.failures += result == "FAILED"
        if self._at_work:
            print("\r\x1b[K", end="")
        if self.as_json:
            print(
                json.dumps({"program": program, "check": check, "result": result, "what": what}), flush=True
            )
        else:
            print(f"{program:<27}{check:<32}{result:<8}{what}", flush=True)


def _missing(program: Program) -> str:
    """Why it cannot be run here as things are; empty: it can."""
    if program.root_only and os.geteuid() != 0:
        return "needs root"
    if program.binary and not installed(program.binary):
        return f"{program.binary} is not installed: apt-get install {program.package}"
    if program.virtualenv and not program.virtualenv.interpreter():
        return f"no Python {program.virtualenv.python} here"
    return ""


def _install_package(program: Program, report: Report) -> None:
    if program.binary and not installed(program.binary) and os.geteuid() == 0 and shutil.which("apt-get"):
        report.doing(f"apt-get install {program.package}")
        subprocess.run(
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", program.package],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip


def _install_venv(venv: Virtualenv, report: Report) -> tuple[Path, str]:
    """Its folder, and why it could not be made."""
    place = FOLDER / venv.name
    stamp = place / "installed"
    wanted = "\n".join(venv.packages)
    if not venv.fresh and stamp.exists() and stamp.read_text() == wanted:
        return place, ""
    shutil.rmtree(place, ignore_errors=True)
    report.doing(f"installing {' '.join(venv.packages)}")
    for command in (
        [venv.interpreter(), "-m", "venv", str(place)],
        [str(place / "bin" / "pip"), "install", "--quiet", *venv.packages],
    ):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            return place, f"{' '.join(command)}: {lines[-1]}"
    stamp.write_text(wanted)
    return place, ""


def _run(program: Program, report: Report) -> None:
    _install_package(program, report)
    if why := _missing(program):
        report.line(program.section, "", "skipped", why)
        return
    venv = None
    if program.virtualenv:
        venv, why = _install_venv(program.virtualenv, report)
        if why:
            report.line(program.section, "", "skipped", why)
            return
    # Not below the checkout: paths of sockets are short.
    with (
        tempfile.TemporaryDirectory(prefix="real-") as place,
        trial(program, Path(place) / "box", venv) as made,
    ):
        _report(program.section, made.checks(), report)


def _report(of: str, checks: Generator[tuple[str, Callable[[], str]], None, None], report: Report) -> None:
    name = ""
    with closing(checks):
        try:
            for name, check in checks:
                report.doing(f"{of}: {name}")
                report.line(of, name, "ok", check())
        except (AssertionError, OSError, subprocess.SubprocessError, BoxError) as error:
            report.line(of, name, "FAILED", str(error).strip() or type(error).__name__)


def _follow(walk: Walk, report: Report) -> None:
    if why := why_no_box():
        report.line(walk.page, "", "skipped", why)
        return
    places = {}
    for venv in (KEGMASTER, *walk.virtualenvs):
        places[venv.name], why = (
            _install_venv(venv, report) if venv.interpreter() else (FOLDER, f"no Python {venv.python} here")
        )
        if why:
            report.line(walk.page, "", "skipped", why)
            return
    _report(walk.page, follow(walk, lambda venv: places[venv.name]), report)


def main(words: list[str]) -> int:
    summary, _, rest = str(__doc__).partition("\n")
    parser = argparse.ArgumentParser(
        prog="run-real-apps",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "program", nargs="*", help="sections of conf/examples, names of examples, or of pages; none: all"
    )
    parser.add_argument("--json", action="store_true", help="an object a line")
    parser.add_argument("--list", action="store_true", help="show the programs, and run none")
    asked = parser.parse_args(words)
    pages = [walk.page for walk in WALKS]
    names = {name for program in PROGRAMS for name in (program.section, program.example)} | set(pages)
    for name in asked.program:
        if name not in names:
            parser.error(f"{name!r} is none of {', '.join(sorted(names))}")
    chosen = [p for p in PROGRAMS if not asked.program or {p.section, p.example} & set(asked.program)]
    report = Report(as_json=asked.json)
    for program in chosen:
        if asked.list:
            report.line(
                program.section, f"conf/examples/{program.example}.cfg", "", _missing(program) or "can be run"
            )
        else:
            _run(program, report)
    for walk in WALKS:
        if asked.program and walk.page not in asked.program:
            continue
        if asked.list:
            report.line(walk.page, f"docs/{walk.page}.rst", "", why_no_box() or "can be followed")
        else:
            _follow(walk, report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
