"""The command that a refusal names does exactly what was asked, as a shell reads it."""

from __future__ import annotations

import shlex

from kegmaster.services.elevation import Asked, line

HARD = ("/bin/echo", "a b", "it's", '"', "$X", "", "é", "--now")
PLACES = ("--master_config=/home/u/my apps.cfg", "--state_dir=/home/u/s")


def test_what_is_roots_alone_is_asked_of_root_with_all_paths() -> None:
    asked = Asked(
        script="/opt/m", verb="install", typed=("install", "--boot=sysv", "web"), program=HARD, places=PLACES
    )
    words = ["/opt/m", "install", "--boot=sysv", "web", *PLACES, "--", *HARD]
    assert shlex.split(line(asked, sudo=True)) == ["sudo", *words]
    outer = shlex.split(line(asked, sudo=False))
    assert outer[:2] == ["su", "-c"]
    assert shlex.split(outer[2]) == words


def test_a_program_of_ones_own_stays_ones_own_and_only_the_boot_entry_is_roots() -> None:
    asked = Asked(
        script="/opt/m", verb="install", typed=("install", "--boot=sysv", "web", "--now"), program=HARD, places=PLACES,
        own=True, boot="sysv", caller="u", entry=("--boot_name=x",), now=True,
    )  # fmt: skip
    words = shlex.split(line(asked, sudo=True))
    at = words.index("&&")
    assert words[:at] == ["/opt/m", "install", "--boot=sysv", "web", "--boot=none", *PLACES, "--", *HARD]
    root = ["sudo", "/opt/m", "install", "--boot=sysv", "--user=u", "--boot_name=x", "--now", *PLACES]
    assert words[at + 1 :] == root
