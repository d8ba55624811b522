"""One script of verbs, the same words and exit statuses whatever the machine's init system is."""

from __future__ import annotations

import os
import re

import pytest

from tests.boxes.box import Box
from tests.boxes.product import MASTER, witnesses

SCRIPT = (
    "install", "install", "status", "start", "start", "status", "stop two", "status", "start two", "restart one",
    "try-restart", "reload", "stop", "stop", "status", "start", "stop_and_restart", "remove", "remove", "status",
)  # fmt: skip


def transcript(box: Box) -> list[tuple[str, int, str]]:
    """Verb, exit status and output of each; numbers and the init system's own places left out."""
    found = []
    for line in SCRIPT:
        done = box.run(MASTER, *line.split(), expect=None)
        # What install and remove say of the init system is its own affair.
        said = "" if line in ("install", "remove") else re.sub(r"\d+(\.\d+)?", "N", done.stdout + done.stderr)
        found.append((line, done.returncode, re.sub(" +", " ", said)))
    assert witnesses(box) == []
    return found


@pytest.mark.skipif(os.environ.get("BOXES") != "all", reason="takes some seconds: python -m tests.boxes")
@pytest.mark.parametrize("other", ["plain", "openrc"])
def test_the_verbs_say_the_same_on_every_init_system(
    systemd: Box, other: str, request: pytest.FixtureRequest
) -> None:
    box = request.getfixturevalue(other)
    with systemd, box:
        assert transcript(box) == transcript(systemd)
