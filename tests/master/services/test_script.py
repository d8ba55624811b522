"""Lines that are added to somebody else's script run: each is tried with the shell itself."""

from __future__ import annotations

import subprocess

import pytest

from kegmaster.services import marks
from kegmaster.services.script import ScriptError, end

SCRIPTS = [
    "#!/bin/sh -e\necho one\nexit\n",
    "#!/bin/sh\nexit 0\necho never\nexit 0\n",
    "#!/bin/sh\necho a\nexec /bin/true\n",
    "#!/bin/sh\necho a; exit 0\n",
    "#!/bin/sh\necho a\nexit 0\r\n",
    "echo no shebang\n",
    "#!/usr/bin/env bash\necho a\nexit 1 # bad\n",
    "#!/bin/sh\nif false; then\n  exit 0\nfi\nexit 0\n",
    "#!/bin/sh\nfalse && exit 0\necho on\nexit 0",
    "#!/bin/sh\nfalse ||\n  false && exit\nexit 0",
    "#!/bin/sh\nexec >/dev/null 2>&1\necho on\nexit 0\n",
    "#!/bin/sh\ncat <<'EOF'\nexit 0\nif it's\nEOF\necho 'exit 0\nexit 0'\nx=$((1 << 2))\nexit\n",
    "#!/bin/sh\ncase a in\n  b) exit 0 ;;\n  (a) echo a;;\nesac\n(exit 3)\nexit 0 | cat\nf() { exit 0; }\nexit 0\n",
    "#!/bin/sh\nfor x in exit exec; do echo $x; done\nwhile false; do exit 0; done\n{ echo a; }\necho exit 0\necho ${x#y} `echo \"it's\"`\nexit 0\n",
    "#!/bin/sh\nA=1 exec \\\n  /bin/true\n",
    "#!/bin/sh -e\n[ -e /nothing ] || {\n true\n}\nexit 0\n",
    "",
]  # fmt: skip


@pytest.mark.parametrize("text", SCRIPTS)
def test_what_is_added_runs_and_what_was_there_stays(text: str) -> None:
    new = marks.put(text, "keg", "echo OURS >&3", ("", ""), script=True)
    done = subprocess.run(
        ["sh", "-c", 'exec 3>&1; exec sh -c "$0" >/dev/null 2>&1', new], capture_output=True, text=True, check=False,
        timeout=20,
    )  # fmt: skip
    assert done.stdout == "OURS\n"
    assert marks.cut(new, "keg") == (
        text if text.endswith("\n") or end(text) < len(text) or not text else f"{text}\n"
    )
    assert marks.put(new, "keg", "echo OURS >&3", ("", ""), script=True) == new


def test_lines_that_came_to_stand_behind_the_end_are_put_before_it() -> None:
    new = marks.put("#!/bin/sh\necho a\n", "keg", "echo ours", ("", ""), script=True)
    changed = new.replace("echo a\n", "echo a\nexit 0\n")
    again = marks.put(changed, "keg", "echo ours", ("", ""), script=True)
    assert again.index("echo ours") < again.index("exit 0")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/usr/bin/python3\nprint(1)\n", "is no shell script"),
        ("#!/usr/bin/env -S perl -w\n", "is no shell script"),
        ("#!/bin/sh\r\necho a\r\nexit 0\r\n", "Windows line ends"),
        ("#!/bin/sh\nif true; then\n", "fi is missing"),
        ("#!/bin/sh\necho 'open\n", "not understood from line 2"),
    ],
)
def test_what_cannot_take_lines_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ScriptError, match=reason):
        end(text)
