"""install and remove that fail or are killed at any of their steps: all or nothing, and the next one puts it right."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from . import fault_points
from .conftest import Services

EVERY = 7


@pytest.mark.parametrize("how", ["fail", "kill"])
def test_an_install_that_is_cut_short_leaves_the_old_or_the_new_and_never_half(
    box: Services, how: str
) -> None:
    assert fault_points.install(box, how, EVERY) > 30


@pytest.mark.parametrize("how", ["fail", "kill"])
def test_a_remove_that_is_cut_short_can_be_done_again(box: Services, how: str) -> None:
    assert fault_points.remove(box, how, EVERY) > 30


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_changes_nothing(box: Services) -> None:
    place = box.directory / "small"
    place.mkdir()
    script = f"""
    mount -t tmpfs -o size=64k none {place}
    cd {place}
    printf '[x]\\n_enabled = no\\n_command = /bin/true\\n' > apps.cfg
    cp apps.cfg {box.directory}/before
    mkdir -m 700 run run/services
    cat /dev/zero > full 2>/dev/null
    {box.script} install web --boot=none --master_config={place}/apps.cfg --pidfile_dir={place}/run \
        --logfile_dir={place}/log -- /bin/true
    echo "status $?"
    cmp apps.cfg {box.directory}/before && find . -name '*new*' -o -name '*~'
    """
    done = subprocess.run(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] == "status 1", done.stdout + done.stderr
    assert "No space left on device" in done.stderr


def test_a_command_of_the_init_system_that_fails_undoes_what_was_written(
    box: Services, tmp_path: Path
) -> None:
    """The machine's systemd is one that refuses to enable anything."""
    from kegmaster.services.store import Store
    from kegmaster.services.transaction import StepError, Transaction

    store = Store(str(tmp_path))
    store.open(make=True)
    work = Transaction(store)
    target = tmp_path / "deep" / "file"
    work.directory(str(target.parent))
    work.write(str(target), b"new")
    with pytest.raises(StepError, match="status 1"):
        work.command(["false"])
    work_undone = tmp_path / "undone"
    work.command(["true"], ["touch", str(work_undone)])
    assert work.roll_back() == []
    assert not target.parent.exists()
    assert work_undone.exists()


def test_what_somebody_changed_meanwhile_is_left_alone(box: Services) -> None:
    box.config.write_text("[x]\n_enabled = no\n_command = /bin/true\n")
    for nth in range(8, 60):
        fault_points.at(box, "kill", nth, ("install", "web", "--boot=none"), ("/bin/true",))
        if "[web]" in box.config.read_text():
            break
        box.services("remove", "web", expect=None)
    box.config.write_text(box.config.read_text() + "# changed\n")
    box.services("remove", "x")
    assert box.config.read_text().endswith("# changed\n")
    assert "[web]" in box.config.read_text()
