"""Whether a Python program's modules are there, asked of its own interpreter, without importing or running them.

Knows Python's command line and processes. Must not know apps or INI.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from .files import read_plain
from .lean import Final, dataclass

_TIMEOUT_S: Final = 10.0
_PYTHON = re.compile(r"(python|pypy)[0-9.]*\Z")
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")

# Runs under the app's interpreter, whatever its version. A parent package is not imported to find what is in it: its
# search path stands in its specification. Of a script, what it imports before it begins to do things is asked for:
# these may be changes to where it imports from.
_PROBE = r"""
import sys
def find(name, path):
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
def there(name):
    path = None
    parts = name.split(".")
    for index, part in enumerate(parts):
        spec = find(".".join(parts[:index + 1]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
        if path is None and index + 1 < len(parts):
            return False
    return True
kind, what = sys.argv[1:]
if kind == "module":
    names = [what]
else:
    import ast, os
    sys.path[0] = os.path.dirname(os.path.realpath(what))
    names = []
    with open(what, "rb") as file:
        for node in ast.parse(file.read(1 << 20)).body:
            if isinstance(node, ast.Import):
                names += [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module.split(".")[0])
            elif not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.Expr)):
                break
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                break
for name in names:
    if name != "__future__" and not there(name):
        sys.exit("MISSING " + name)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """A Python program: its interpreter, and the module it is (`-m`) or the script."""

    interpreter: str
    kind: str
    what: str


def python_program(path: str, argv: Sequence[str]) -> Python | None:
    """What Python would run, if `argv`, whose program lies at `path`, is a Python program; else None."""
    if _PYTHON.match(os.path.basename(path)):
        return _told(path, argv[1:])
    try:
        first = read_plain(path, 256, follow=True).split(b"\n", 1)[0]
    except OSError:
        return None
    words = os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []
    if words and os.path.basename(words[0]) == "env":
        words = words[1:]
    if words and _PYTHON.match(os.path.basename(words[0])):
        return Python(interpreter=words[0], kind="script", what=path)
    return None


def _told(interpreter: str, words: Sequence[str]) -> Python | None:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "-m":
            return Python(interpreter=interpreter, kind="module", what=rest[0]) if rest else None
        if word in _WITH_VALUE and rest:
            rest.pop(0)
        elif word.startswith("-m"):
            return Python(interpreter=interpreter, kind="module", what=word[2:])
        elif word in ("-", "-c") or word.startswith("-c"):
            return None
        elif not word.startswith("-"):
            return Python(interpreter=interpreter, kind="script", what=word)
    return None


def lacking(
    program: Python,
    *,
    environment: Mapping[str, str],
    directory: str,
    uid: int | None = None,
    gid: int | None = None,
    groups: Sequence[int] = (),
) -> str:
    """The module that its interpreter does not find, or ""; as this user, since what runs there may be that user's.

    Also "" where the question cannot be asked: no such user's rights, no interpreter, no answer in time.
    """
    try:
        done = subprocess.run(
            [program.interpreter, "-c", _PROBE, program.kind, program.what],
            # It must leave nothing behind, and not think itself the app.
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT_S,
            check=False,
            user=uid,
            group=gid,
            extra_groups=list(groups) if uid is not None else None,
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    said = done.stderr.decode(errors="replace").splitlines()
    last = said[-1] if said else ""
    return last.removeprefix("MISSING ")[:200] if last.startswith("MISSING ") else ""
