"""The pages for newcomers say nothing that the launcher does not know: verbs, flags, and configurations as they stand.

That a user who follows them gets there is shown by `scripts/run-real-apps coming-from-bots` and so on.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from kegmaster.flags import FLAGS, VERBS
from tests.master.conftest import Box
from tests.real.pages import Step, steps
from tests.real.rounds import EXAMPLES, moved
from tests.real.walks import WALKS, Walk

PAGES = sorted((EXAMPLES.parents[1] / "docs").glob("coming-from*.rst"))
KNOWN = {word for flag in FLAGS for word in flag.words}
NOT_VERBS = {"has", "VERB"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_verb_and_flag_that_a_page_types_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    # Behind `--` are the words of another program.
    typed = [line.partition(" -- ")[0] for line in re.findall(r"\bmaster\.py ([^`\n#>]*)", text)]
    verbs = {line.split()[0].replace("-", "_") for line in typed if line.split() and line[0].isalpha()}
    assert verbs <= set(VERBS), verbs - set(VERBS)
    flags = {
        word.rstrip(".,;:)").partition("=")[0]
        for line in typed
        for word in line.split()
        if word.startswith("--")
    }
    assert flags <= KNOWN, flags - KNOWN


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_configuration_on_a_page_is_sound_but_for_what_is_not_installed(page: Path, tmp_path: Path) -> None:
    box = Box(tmp_path)
    blocks = re.findall(r"(?m)^((?:   )+)(\[[\w.-]+\]\n(?:(?:\1.*)?\n)*)", page.read_text(encoding="utf-8"))
    root = tmp_path / "root"
    (root / "var/lib/bots").mkdir(parents=True)
    for indent, block in blocks:
        text = moved(textwrap.dedent(indent + block), root, {}).replace("_user = bots\n", "")
        box.write(text)
        done = box.master("configtest", expect=None)
        problems = [line for line in done.stderr.splitlines() if line.startswith(f"{box.config}:")]
        strange = [line for line in problems if not re.search(r": there is no program |: note: ", line)]
        assert strange == [], f"{text}\n{done.stderr}"


def test_steps_are_read_as_they_are_written() -> None:
    text = (
        "A page\n======\n\nWord by word\n------------\n1. Do this; it has a remark::\n\n    one --a=b   # remark\n"
        "    two \\\n        three\n\n2. Write::\n\n    [app]\n    _enabled = True\n\n   and look::\n\n    four '#x'\n\n"
        "3. Reboot.\n\nNot a step::\n\n    five\n\nTyped before\n------------\n::\n\n    six\n"
    )
    assert steps(text) == [
        Step(number=1, commands=("one --a=b", "two three"), configuration=""),
        Step(number=2, commands=("four '#x'",), configuration="[app]\n_enabled = True\n"),
        Step(number=3, commands=(), configuration=""),
    ]
    with pytest.raises(ValueError, match="no steps"):
        steps("A page\n======\n")


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.page)
def test_what_a_walk_types_instead_is_on_its_page(walk: Walk) -> None:
    found = steps((EXAMPLES.parents[1] / "docs" / f"{walk.page}.rst").read_text(encoding="utf-8"))
    assert [step.number for step in found] == list(range(1, len(found) + 1))
    commands = [command for step in found for command in step.commands]
    for pattern, _ in walk.typed:
        assert any(re.fullmatch(pattern, command) for command in commands), pattern
    assert bool(walk.config) == any(step.configuration for step in found)
