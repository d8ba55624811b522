"""A program that writes down what it was given: words, variables, directory, umask; and stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SOURCE = """#!{python} -IS
import json, os, signal, sys
umask = os.umask(0)
os.umask(umask)
seen = {{"argv": sys.argv[2:], "environment": dict(os.environ), "directory": os.getcwd(), "umask": umask, "uid": os.getuid(),
        "pid": os.getpid()}}
with open(sys.argv[1] + ".new", "w", encoding="utf-8") as file:
    json.dump(seen, file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    signal.pause()
"""


def make(path: Path, python: str) -> Path:
    """The program, at `path`; its first word says where to write."""
    path.write_text(SOURCE.format(python=python))
    path.chmod(0o755)
    return path


def seen(path: Path) -> dict[str, Any]:
    """What it wrote; empty as long as it did not."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
