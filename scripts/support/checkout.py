"""What quickstart and run-tests share: a virtualenv that holds this checkout.

Python alone is enough, root is not needed.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ("pyproject.toml", "setup.py", "master", "apps", "scripts")


def prepare(name: str, *what: str, follow_sources: bool) -> Path:
    """The `bin` of the virtualenv `name`, with `what` installed by pip, anew only if the sources changed.

    `follow_sources`: `what` includes the sources themselves, so any change of theirs counts, not only of pyproject.
    Ends the program with one line if Python is too old or something is missing.
    """
    if sys.version_info < (3, 11):  # noqa: UP036  # this very file runs under whatever python3 is there
        sys.exit(
            f"Python 3.11 or later is needed, this is {sys.version.split()[0]}; run it with a newer python3"
        )
    if any(letter.isspace() for letter in str(ROOT)):
        sys.exit(f"{ROOT}: scripts of a virtualenv do not run from a path with blanks; move the checkout")
    venv = ROOT / name
    # Two runs at once must not install into each other's steps.
    with open(ROOT / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = venv / "installed"
        state = _fingerprint(SOURCES if follow_sources else SOURCES[:2])
        if not stamp.exists() or stamp.read_text() != state:
            print(f"installing into {name} (this takes a while the first time) ...", flush=True)
            _run(
                [sys.executable, "-m", "venv", str(venv)], "apt install python3-venv, or use another python3"
            )
            _run([str(venv / "bin" / "pip"), "install", "--quiet", *what], "is this machine online?")
            stamp.write_text(state)
    return venv / "bin"


def _run(command: list[str], cure: str) -> None:
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}; {cure}")


def _fingerprint(sources: tuple[str, ...]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in _files(sources):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _files(sources: tuple[str, ...]) -> Iterator[Path]:
    for source in sources:
        path = ROOT / source
        if path.is_file():
            yield path
        for below in sorted(path.rglob("*")):
            if (
                below.is_file()
                and not {"__pycache__", "build"} & set(below.parts)
                and ".egg-info" not in str(below)
            ):
                yield below
