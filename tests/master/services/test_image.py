"""DESTDIR: what is installed into an image lies below it, all of it, and the machine that builds it is not touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Services

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="boot entries of a machine are root's")


@pytest.fixture
def built(box: Services) -> Services:
    """A machine with an app and a boot entry, and an image beside it with a configuration of its own."""
    box.install("host", "/bin/true")
    box.services("install", "--boot=systemd")
    place = box.directory / "dest" / str(box.config).lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_text("[x]\n_enabled = True\n_command = /opt/x\n")
    return box


def host(box: Services) -> dict[str, tuple[int, bytes]]:
    found = box.tree(kept=("dest", "home"))
    for path in sorted((box.run / "services").rglob("*")):
        if path.name != "actions.log":
            found[str(path)] = (path.stat().st_mode, path.read_bytes())
    return found


@ROOT
@pytest.mark.parametrize("kind", ["systemd", "sysv", "rc.local"])
def test_an_image_gets_entry_section_and_state_and_the_machine_none_of_them(
    built: Services, kind: str
) -> None:
    dest = built.directory / "dest"
    before, image = host(built), built.tree(kept=("run", "log", "home", "apps.cfg", "apps.env.d", "image"))
    done = built.services(
        "install", "web", f"--boot={kind}", "--env=KEY=v", "--user=nobody-here", program=["/opt/no/such", "$KEY"],
        DESTDIR=str(dest),
    )  # fmt: skip
    assert f"not active yet: it lies below {dest}" in done.stdout
    config = dest / str(built.config).lstrip("/")
    section = config.read_text().partition("\n\n")[2]
    assert "_command = /opt/no/such '$KEY'" in section
    assert str(dest) not in section
    assert (config.parent / "apps.env.d" / "web.env").exists()
    again = built.services("install", f"--boot={kind}", "--user=nobody-here", DESTDIR=str(dest))
    assert "written:" in again.stdout
    assert [path for path in dest.rglob("etc/*") if path.name != "apps.cfg"]
    for path in (dest / "etc").rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert str(dest) not in path.read_text()
    assert host(built) == before
    assert (dest / str(built.run).lstrip("/") / "services" / "master.json").exists()
    built.services("remove", "web", "--remove_env_vars", DESTDIR=str(dest))
    built.services("remove", DESTDIR=str(dest))
    assert host(built) == before
    kept = f"dest/{str(built.run).lstrip('/')}"
    now = built.tree(kept=("run", "log", "home", "apps.cfg", "apps.env.d", "image"))
    left = {
        name
        for name in now
        if not (name + "/").startswith(kept + "/") and not (kept + "/").startswith(name + "/")
    }
    assert left == set(image) - {name for name in image if (kept + "/").startswith(name + "/")}
    assert f"removed: {built.directory}/image/etc/systemd" in built.services("remove").stdout


def test_what_is_on_the_way_out_of_the_image_is_refused(built: Services) -> None:
    dest = built.directory / "dest"
    flags = ("--boot=systemd",) if os.geteuid() == 0 else ("--boot=none",)
    (dest / "etc").symlink_to(built.directory)
    config = dest / str(built.config).lstrip("/")
    config.unlink()
    config.symlink_to(built.config)
    before = host(built)
    done = built.services("install", "web", *flags, program=["/opt/x"], expect=1, DESTDIR=str(dest))
    assert "leads out of DESTDIR" in done.stderr
    assert host(built) == before


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("install", "--boot=systemd", "--now"), "nothing of an image runs"),
        (("stop_and_remove", "host"), "nothing of an image runs"),
    ],
)
def test_nothing_of_an_image_is_started_or_stopped(built: Services, words: tuple[str, ...], why: str) -> None:
    before = host(built)
    assert why in built.services(*words, expect=2, DESTDIR=str(built.directory / "dest")).stderr
    assert host(built) == before


@pytest.mark.parametrize("verb", ["install", "remove", "reinstall"])
def test_a_relative_destination_is_refused(built: Services, verb: str) -> None:
    before = host(built)
    done = built.services(
        verb, *(("--boot=systemd",) if verb == "install" else ()), expect=2, DESTDIR="relative"
    )
    assert "DESTDIR is 'relative'; it must be an absolute path" in done.stderr
    assert host(built) == before
    assert not Path("relative").exists()
