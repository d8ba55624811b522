"""The flags in docs/, taken from what each program's --helpshort says.

    python -m kegapps.daemon.reference scripts docs/*.rst

A page has them between the lines `.. flags: PROGRAM begin` and `.. flags: PROGRAM end`. Pure text but for `main`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial

_PART = re.compile(
    r"^\.\. flags: (?P<program>\S+) begin\n(?P<old>.*?)^\.\. flags: (?P=program) end$", re.S | re.M
)
_MARK = re.compile(r"^\.\. flags: ", re.M)


def refreshed(page: str, help_of: Callable[[str], str]) -> str:
    """The page with all its flags made anew from `help_of(program)`. Raises ValueError if a mark lacks its other."""
    new, parts = _PART.subn(lambda part: _part(part["program"], help_of(part["program"])), page)
    if len(_MARK.findall(page)) != 2 * parts:
        raise ValueError("each line '.. flags: PROGRAM begin' needs a line '.. flags: PROGRAM end' below it")
    return new


def _part(program: str, help_text: str) -> str:
    flags = help_text.partition("Flags of this program:\n")[2].partition("\n\n")[0]
    if not flags:
        raise ValueError(f"{program} has no flags of its own")
    block = textwrap.indent(flags, "  ")
    return f".. flags: {program} begin\n\n::\n\n{block}\n\n.. flags: {program} end"


def help_of(scripts: str, program: str) -> str:
    """What `program` in the folder `scripts` says of its flags; nothing of this environment has a say in it."""
    command = [sys.executable, f"{scripts}/{program}", "--helpshort"]
    return subprocess.run(
        command, env={}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout


def main() -> int:
    """Refresh the pages named on the command line."""
    scripts, *pages = sys.argv[1:]
    for path in pages:
        with open(path, encoding="utf-8") as file:
            page = file.read()
        new = refreshed(page, partial(help_of, scripts))
        if new != page:
            with open(path, "w", encoding="utf-8") as file:
                file.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
