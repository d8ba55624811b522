"""What install and remove refuse, wait for and tell, so that nobody loses what runs or what he wrote by hand."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from xml.etree import ElementTree

import pytest

from tests.master.conftest import eventually

from .conftest import Services
from .test_boot_entry import ROOT, in_namespace, ready, ready_for_others

__all__ = ("ready", "ready_for_others")  # fixtures

HOST = """
set -e
mount -t tmpfs none /run
for tree in /etc /root; do
    mkdir -p /run/upper$tree /run/work$tree
    mount -t overlay overlay -o lowerdir=$tree,upperdir=/run/upper$tree,workdir=/run/work$tree $tree
done
rm -f /etc/rc?.d/S??kegmaster
"""
"""A machine that systemd did not boot, whose /etc is a copy."""


def on_host(box: Services, script: str, **words: tuple[str, ...]) -> str:
    """Run the lines in a namespace of its own; `{name}` is a command line. What it printed, errors too."""
    commands = {name: " ".join(box.command(*line)) for name, line in words.items()}
    done = in_namespace(f"{HOST}\nexec 2>&1\ncd {box.directory}\n" + script.format(**commands))
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


@ROOT
def test_another_boot_kind_does_not_stop_a_running_master_unless_asked(ready: Services) -> None:
    ready.config.write_text(f"[one]\n_enabled = True\n_command = {ready.program('probe')}\n")
    said = on_host(
        ready,
        """
        {local} || test $? = 3
        before=$(cat {run}/one.pid)
        rc=0; {other} || rc=$?; echo "refused $rc"
        test "$(cat {run}/one.pid)" = $before
        test ! -e /etc/init.d/kegmaster
        {now} || test $? = 3
        test "$(cat {run}/one.pid)" != $before
        test -e /etc/init.d/kegmaster
        {remove}
        """.replace("{run}", str(ready.run)),
        local=("install", "--boot=rc.local", "--now"), other=("install", "--boot=sysv"),
        now=("install", "--boot=sysv", "--now"), remove=("remove",),
    )  # fmt: skip
    assert "the master runs, and was started by rc.local" in said
    assert "master.py stop; nothing was changed\nrefused 1" in said


@ROOT
@pytest.mark.parametrize("kind", ["systemd", "sysv", "rc.local", "openrc", "runit", "s6"])
def test_one_status_says_that_an_init_system_does_not_run_here(ready: Services, kind: str) -> None:
    said = on_host(
        ready,
        'rc=0; {install} || rc=$?; echo "status $rc"; {remove}; find {log} 2>/dev/null || echo no logs'.replace(
            "{log}", str(ready.log)
        ),
        install=("install", f"--boot={kind}"), remove=("remove",),
    )  # fmt: skip
    assert "status 3\n" in said
    assert "not active yet: " in said
    assert "so does the next boot" not in said
    assert "run as root; install --user=NAME" in said
    assert "no logs" in said


def test_what_was_changed_by_hand_is_neither_overwritten_nor_deleted(ready: Services) -> None:
    unit = ready.directory / "image/etc/systemd/system/kegmaster.service"
    aside = unit.with_name("kegmaster.service.changed")
    ready.services("install", "--boot=systemd")
    text = unit.read_text() + "# mine\n"
    unit.write_text(text)
    done = ready.services("install", "--boot=systemd", expect=1)
    assert f"{unit}: was changed since it was installed; --replace writes it anew" in done.stderr
    assert unit.read_text() == text
    ready.services("install", "web", program=["/bin/true"])
    assert unit.read_text() == text
    ready.services("install", "--boot=systemd", "--replace")
    assert "# mine" not in unit.read_text()
    assert aside.read_text() == text
    aside.unlink()
    unit.write_text(text)
    assert f"that is kept in {aside}" in ready.services("remove").stdout
    assert not unit.exists()
    assert aside.read_text() == text


@pytest.mark.parametrize(
    "text", ["[a]\n_command = /bin/true\n[a]\n", "garbage\n", "[a]\n_enabled = perhaps\n"]
)
def test_a_configuration_with_mistakes_is_refused_before_anything_is_written(
    ready: Services, text: str
) -> None:
    ready.config.write_text(text)
    before = ready.tree()
    for words, program in (
        (("install", "--boot=sysv"), []),
        (("install", "web", "--boot=none"), ["/bin/true"]),
    ):
        done = ready.services(*words, program=program, expect=6)
        assert f"{ready.config}:" in done.stderr
        assert "nothing was changed" in done.stderr
    assert ready.tree() == before
    assert not ready.run.exists()


def test_a_program_that_is_missing_is_but_a_note(box: Services) -> None:
    box.config.write_text("[a]\n_enabled = True\n_command = /nothing/here\n")
    done = box.install("web", "/bin/true")
    assert f"note: {box.config}:3: [a] _command:" in done.stdout


def test_a_frozen_master_keeps_install_and_remove_from_changing_anything(box: Services) -> None:
    box.install("one", str(box.program("probe")), flags=("--now",))
    master = box.status()["master"]["pid"]
    before = box.config.read_bytes()
    os.kill(master, signal.SIGSTOP)
    try:
        for words, program in ((("install", "two", "--boot=none"), ["/bin/true"]), (("remove", "one"), [])):
            done = box.services(*words, "--timeout=1", program=program, expect=1)
            assert "nothing was changed" in done.stderr
            assert box.config.read_bytes() == before
    finally:
        os.kill(master, signal.SIGCONT)


def test_installs_at_once_wait_for_one_another(box: Services) -> None:
    under_way = [
        subprocess.Popen(
            [*box.command("install", f"app{number}", "--boot=none"), "--", "/bin/true"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/",
            env={"HOME": str(box.home), "PATH": os.environ["PATH"]},
        )
        for number in range(6)
    ]  # fmt: skip
    said = [process.communicate(timeout=60)[1] for process in under_way]
    assert [process.returncode for process in under_way] == [0] * 6, said
    text = box.config.read_text()
    assert all(f"[app{number}]" in text for number in range(6))


def test_one_who_waits_gives_up_in_time(box: Services) -> None:
    box.install("one", "/bin/true")
    holder = subprocess.Popen(["flock", str(box.run / "services"), "sh", "-c", "echo held; exec sleep 60"],
                              stdout=subprocess.PIPE)  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = box.install("two", "/bin/true", flags=("--timeout=0.2",), expect=1)
        assert "another install or remove is under way" in done.stderr
    finally:
        holder.kill()
        holder.communicate()


def test_control_c_at_the_question_changes_nothing_and_says_so(box: Services) -> None:
    box.install("web", "/bin/true")
    box.services("remove", "web")
    before = box.tree()
    main, terminal = pty.openpty()
    with subprocess.Popen(box.command("reinstall", "web"), stdin=terminal, stdout=terminal, stderr=terminal,
                          cwd="/", env={"HOME": str(box.home), "PATH": os.environ["PATH"]}) as process:  # fmt: skip
        os.close(terminal)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(main, 4096)
        process.send_signal(signal.SIGINT)
        eventually(lambda: process.poll() is not None)
    said = os.read(main, 4096)
    os.close(main)
    assert process.returncode == 130
    assert b"interrupted; nothing was changed" in said
    assert box.tree() == before


def test_names_that_cannot_be_are_wrong_usage_and_the_reason_is_true(ready: Services) -> None:
    done = ready.services("install", "--boot=systemd", "--boot_name=a b", expect=2)
    assert "choose another --boot_name" in done.stderr
    done = ready.services("install", "kegbot_master", "--boot=none", program=["/bin/true"], expect=2)
    assert "kegbot_master is the launcher's own name" in done.stderr


@ROOT
def test_root_on_a_read_only_disk_is_told_just_that(ready: Services) -> None:
    said = on_host(
        ready,
        'mount -o remount,ro /etc; rc=0; {install} || rc=$?; echo "status $rc"',
        install=("install", "--boot=sysv"),
    )
    assert (
        "/etc/init.d/kegmaster: cannot be written, since the file system is read-only; nothing was changed"
        in said
    )
    assert "status 4" in said
    assert "Run:" not in said


def shown(box: Services, *words: str) -> bytes:
    done = subprocess.run(box.command("install", "--print", *words), capture_output=True, check=True, cwd="/",
                          env={"HOME": str(box.home), "PATH": os.environ["PATH"]})  # fmt: skip
    return done.stdout


def test_what_is_shown_is_the_artefact_itself_and_several_can_be_cut_apart(ready: Services) -> None:
    assert shown(ready, "--boot=systemd").startswith(b"[Unit]\n")
    assert ElementTree.fromstring(shown(ready, "--boot=windows-task")).tag.endswith("Task")
    assert shown(ready, "--boot=sysv").startswith(b"#!/bin/sh\n")
    text = shown(ready, "--boot=nssm").decode()
    names, texts = [], []
    for piece in text.split("# file: ")[1:]:
        path, _, rest = piece.partition("\n")
        names.append(os.path.basename(path))
        texts.append(rest)
    listed = json.loads(shown(ready, "--boot=nssm", "--json"))["artefacts"]
    assert names == ["install-kegmaster-nssm.bat", "remove-kegmaster-nssm.bat"]
    assert texts == [part["text"] for part in listed]
