"""One script of verbs, the same words and exit statuses whatever the machine's init system is."""

from __future__ import annotations

import os
import re

import pytest

from tests.boxes.box import Box
from tests.boxes.product import MASTER, witnesses

SCRIPT = (
    "install", "install", "status", "start", "start", "status", "stop two", "status", "start two", "restart one",
    "try-restart", "reload", "install three -- /srv/witness three", "start three", "stop_and_restart three",
    "stop_and_reinstall three", "status three", "stop_and_remove three", "remove three", "reload", "stop", "stop", "status",
    "start", "stop_and_restart", "reinstall", "remove", "remove", "status", "reinstall", "status bogus", "bogus",
    "stop_and_remove --remove_install_args", "reinstall",
)  # fmt: skip


OF_THE_INIT = ("note: ", "written: /etc/", "removed: /etc/", "master: systemd has it; ")
"""The lines about the init system's own places and manners."""
STARTS = re.compile(
    r"systemctl start kegmaster\.service|/etc/init\.d/kegmaster start|rc-service kegmaster start"
)


def transcript(box: Box) -> list[tuple[str, int, list[str]]]:
    """Verb, exit status and output of each; numbers left out."""
    found = []
    for line in SCRIPT:
        done = box.run(MASTER, *line.split(), expect=None)
        said = [
            re.sub(" +", " ", re.sub(r"\d+(\.\d+)?", "N", re.sub(r"\b(systemd|sysv|openrc)\b", "INIT", row)))
            for row in STARTS.sub("START", done.stdout + done.stderr).splitlines()
            if not row.startswith(OF_THE_INIT)
        ]
        found.append((line, done.returncode, said))
    assert witnesses(box) == []
    return found


@pytest.mark.skipif(os.environ.get("BOXES") != "all", reason="takes some seconds: python -m tests.boxes")
@pytest.mark.parametrize("other", ["sysvinit", "openrc"])
def test_the_verbs_say_the_same_on_every_init_system(
    systemd: Box, other: str, request: pytest.FixtureRequest
) -> None:
    box = request.getfixturevalue(other)
    with systemd, box:
        assert transcript(box) == transcript(systemd)
