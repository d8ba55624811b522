"""The master's boot entry: written where it belongs, as it was before when removed, refused whole where rights are missing.

In a file tree of its own, or, where a real crontab is changed, in a mount namespace of its own.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import KEPT, Services

KINDS = ("systemd", "sysv", "rc.local")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
CRONTAB = pytest.mark.skipif(shutil.which("crontab") is None, reason="needs crontab")


@pytest.fixture
def ready(box: Services) -> Services:
    box.config.write_text("[x]\n_enabled = True\n_command = /bin/true\n")
    return box


@pytest.fixture
def ready_for_others() -> Iterator[Services]:
    """The same where other users may look: each pytest closes the directory above its own to them."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        box = Services(Path(directory))
        box.config.write_text("[x]\n_enabled = True\n_command = /bin/true\n")
        try:
            yield box
        finally:
            box.close()


@pytest.mark.parametrize("kind", KINDS)
def test_install_and_remove_leave_the_tree_as_it_was(ready: Services, kind: str) -> None:
    before = ready.tree()
    done = ready.services("install", f"--boot={kind}", "--description=Füße, 100%")
    assert "to be run where it does" in done.stdout
    once = ready.tree()
    assert once != before
    again = ready.services("install", f"--boot={kind}", "--description=Füße, 100%")
    assert "is installed already, as it would be now" in again.stdout
    assert ready.tree() == once
    ready.services("remove")
    assert ready.tree() == before
    assert "there is nothing to remove" in ready.services("remove").stdout
    done = ready.services("reinstall")
    assert f"reinstall: master.py install --boot={kind}" in done.stdout
    assert ready.tree() == once
    ready.services("stop_and_remove", "--remove_install_args")
    assert ready.tree() == before
    assert "forgotten" in ready.services("reinstall", expect=1).stderr


def test_a_program_brings_the_boot_entry_with_it_and_leaves_it_behind(ready: Services) -> None:
    ready.services("install", "web", "--boot=systemd", program=["/bin/true"])
    unit = ready.directory / "image/etc/systemd/system/kegmaster.service"
    assert f"--master_config={ready.config}" in unit.read_text()
    written = unit.stat().st_mtime_ns
    ready.services("install", "two", program=["/bin/true"])
    assert unit.stat().st_mtime_ns == written
    ready.services("remove", "web")
    assert unit.exists()
    ready.services("remove")
    assert not unit.exists()
    assert "[two]" in ready.config.read_text()


@pytest.mark.parametrize("forget", [(), ("--remove_install_args",)])
def test_the_boot_entry_that_an_app_brought_goes_with_the_last_app(
    box: Services, forget: tuple[str, ...]
) -> None:
    before = box.tree()
    probe = box.program("probe")
    own = (*KEPT, probe.name)
    box.services("install", "web", "--boot=systemd", program=[str(probe)])
    once = box.tree(kept=own)
    box.services("install", "two", program=[str(probe)])
    box.master("start")
    done = box.services("remove", "two")
    assert "kept: the master starts at boot, by systemd; remove without a name takes that" in done.stdout
    assert box.app("web")["state"] == "running"
    shown = box.services("remove", "web", "--print").stdout
    assert "[web]" in shown
    assert "# removed: " in shown
    done = box.services("remove", "web", *forget)
    assert "the master and its apps are stopped" in done.stdout
    assert done.stderr == ""
    assert box.processes() == []
    assert box.tree(kept=own) == before
    if forget:
        assert "forgotten" in box.services("reinstall", "web", expect=1).stderr
    else:
        box.services("reinstall", "web")
        assert box.tree(kept=own) == once


def test_a_boot_entry_that_was_asked_for_by_itself_stays_until_it_is_removed_by_itself(
    ready: Services,
) -> None:
    ready.services("install", "web", "--boot=systemd", program=["/bin/true"])
    ready.services("install", "--boot=systemd")
    ready.services("remove", "x")
    ready.services("remove", "web")
    assert (ready.directory / "image/etc/systemd/system/kegmaster.service").exists()
    ready.services("remove")
    assert not (ready.directory / "image").exists()


def test_lines_in_rc_local_come_and_go_and_all_others_stay(ready: Services) -> None:
    path = ready.directory / "image/etc/rc.local"
    path.parent.mkdir(parents=True)
    text = "#!/bin/sh -e\n# mine\nif false; then exit 0; fi\necho hello\n\nexit 0\n\n"
    path.write_text(text)
    path.chmod(0o644)
    before = ready.tree()
    done = ready.services("install", "--boot=rc.local")
    now = path.read_text()
    assert now.endswith("\nexit 0\n\n")
    assert now.startswith(text.removesuffix("exit 0\n\n"))
    assert path.stat().st_mode & 0o777 == 0o755
    assert f"{path}: was not executable, so it did not run; now it is" in done.stdout
    subprocess.run(["sh", "-n", path], check=True)
    path.write_text(now.replace("echo hello", "echo hello again"))
    ready.services("remove")
    assert path.read_text() == text.replace("echo hello", "echo hello again")
    path.write_text(text)
    path.chmod(0o644)
    ready.services("install", "--boot=rc.local")
    ready.services("remove")
    assert ready.tree() == before


@pytest.mark.parametrize("text", ["#!/usr/bin/python3\nprint(1)\n", "#!/bin/sh\r\nexit 0\r\n"])
def test_an_rc_local_that_no_shell_runs_is_refused_with_the_reason(ready: Services, text: str) -> None:
    path = ready.directory / "image/etc/rc.local"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    before = ready.tree()
    done = ready.services("install", "--boot=rc.local", expect=1)
    assert str(path) in done.stderr
    assert "nothing was changed" in done.stderr
    assert ready.tree() == before


def test_what_somebody_else_put_there_is_not_replaced_unless_asked_and_comes_back(ready: Services) -> None:
    unit = ready.directory / "image/etc/systemd/system/kegmaster.service"
    unit.parent.mkdir(parents=True)
    for make in (lambda: unit.write_text("[Unit]\n"), lambda: unit.symlink_to("/dev/null")):
        make()
        before = ready.tree()
        done = ready.services("install", "--boot=systemd", expect=1)
        assert f"{unit}: is there already, and not ours; --replace" in done.stderr
        assert ready.tree() == before
        ready.services("install", "--boot=systemd", "--replace")
        assert "ExecStart" in unit.read_text()
        ready.services("remove")
        assert ready.tree() == before
        unit.unlink()


def test_another_init_system_takes_the_place_of_the_one_before(ready: Services) -> None:
    before = ready.tree()
    ready.services("install", "--boot=systemd")
    done = ready.services("install", "--boot=sysv")
    assert "the boot entry for systemd is replaced" in done.stdout
    assert not (ready.directory / "image/etc/systemd").exists()
    ready.services("remove")
    assert ready.tree() == before


def test_a_user_or_a_configuration_that_will_not_do_is_refused_before_anything_is_written(
    ready_for_others: Services,
) -> None:
    ready = ready_for_others
    before = ready.tree()
    assert "there is no user nobody-here" in ready.services("install", "--user=nobody-here", expect=2).stderr
    if os.geteuid() == 0:
        ready.config.chmod(0o600)
        done = ready.services("install", "--boot=systemd", "--user=nobody", expect=4)
        assert f"nobody cannot read {ready.config}" in done.stderr
        ready.config.chmod(0o644)
        ready.run.mkdir()
        ready.run.chmod(0o755)
        done = ready.services("install", "--boot=systemd", "--user=nobody", expect=4)
        assert "cannot be given to nobody" not in done.stderr
        (ready.run / "precious").write_text("")
        done = ready.services("install", "--boot=systemd", "--user=nobody", expect=4)
        assert f"{ready.run}: cannot be given to nobody, it holds precious; name another" in done.stderr
        assert f"chown nobody {ready.run}" in done.stderr
        (ready.run / "precious").unlink()
        ready.run.rmdir()
        ready.config.chmod(before["apps.cfg"][0] & 0o777)
    assert ready.tree() == before
    ready.config.unlink()
    ready.services("install", "--boot=systemd", expect=6)
    assert not ready.run.exists()


@pytest.mark.parametrize("kind", ["launchd", "upstart", "windows-task", "nssm", "sc"])
def test_what_is_for_another_platform_is_only_ever_shown(ready: Services, kind: str) -> None:
    before = ready.tree()
    done = ready.services("install", f"--boot={kind}", "--json", expect=None)
    assert ready.tree() == before
    assert not ready.run.exists()
    if done.returncode == 0:
        assert str(ready.config) in done.stdout


# Runs words with the rights of nobody: the interpreter itself may lie where nobody cannot read, so it is not started anew.
AS_NOBODY = """
import os, sys
from kegmaster import command, orders, client, dispatch
from kegmaster.services import install, remove, reinstall
from kegmaster.boot import cron, detect, kinds, lsb, rclocal, systemd
import encodings.utf_8_sig, grp, pwd, shlex
os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.environ["HOME"] = "/nonexistent"
sys.argv = sys.argv[1:]
sys.exit(command.main(sys.argv))
"""


@ROOT
@pytest.mark.parametrize(
    "words",
    [
        ("install", "--boot=systemd"),
        ("install", "web", "--boot=none", "--", "/bin/true"),
        ("remove", "x"),
        ("install", "--user=root"),
    ],
)
def test_without_rights_nothing_changes_and_the_command_is_told(
    ready_for_others: Services, words: tuple[str, ...]
) -> None:
    ready = ready_for_others
    before = ready.tree()
    flags = ready.command()[1:]
    at = words.index("--") if "--" in words else len(words)
    argv = [str(ready.script), *words[:at], *flags, *words[at:]]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *argv], capture_output=True, text=True, check=False, cwd="/", timeout=60
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 4, done.stderr
    assert f"{ready.script} {' '.join(words[:at])}" in done.stderr
    assert "nothing was changed. Run: " in done.stderr
    assert ready.tree() == before
    assert not ready.run.exists()


@ROOT
@pytest.mark.parametrize(
    "kind", ["upstart", "systemd", "sysv", "openrc", "runit", "s6", "rc.local", "windows-task"]
)
def test_what_is_shown_to_a_user_runs_as_him_and_never_as_root(ready_for_others: Services, kind: str) -> None:
    argv = [
        str(ready_for_others.script),
        *ready_for_others.command("install", f"--boot={kind}", "--print", "--json")[1:],
    ]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *argv], capture_output=True, text=True, check=False, cwd="/", timeout=60
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    texts = "".join(part["text"] for part in json.loads(done.stdout)["artefacts"])
    means = {"upstart": "setuid nobody", "systemd": "User=nobody", "windows-task": "<UserId>nobody</UserId>"}
    assert means.get(kind, "RUNAS=nobody") in texts


@ROOT
def test_systemd_is_written_but_not_active_where_it_does_not_run(ready: Services) -> None:
    """The tree of /etc is a copy on a tmpfs, and /run is empty: a machine that systemd did not boot."""
    script = f"""
    set -e
    mount -t tmpfs none /run
    mkdir /run/upper /run/work
    mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
    rc=0; {" ".join(ready.command("install", "--boot=systemd"))} || rc=$?
    echo "status $rc"
    cat /etc/systemd/system/kegmaster.service
    {" ".join(ready.command("remove"))}
    test ! -e /etc/systemd/system/kegmaster.service
    find /run/upper ! -type d
    """
    done = in_namespace(script)
    assert done.returncode == 0, done.stderr
    assert "not active yet: systemd does not run here" in done.stdout
    assert "; to be run where it does: systemctl daemon-reload" in done.stdout
    assert "status 3\n[Unit]" in done.stdout


def in_namespace(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", script], capture_output=True, text=True, check=False,
        timeout=60, env={"PATH": os.environ["PATH"], "HOME": "/root"} | environment,
    )  # fmt: skip


@ROOT
@CRONTAB
@pytest.mark.parametrize("before", ["", "# mine\n0 5 * * * echo '50\\%'\n\n@reboot true\n"])
def test_one_line_in_the_crontab_comes_and_goes_and_all_others_stay(ready: Services, before: str) -> None:
    spool = "/var/spool/cron"
    (ready.directory / "before").write_text(before)
    install, remove = (" ".join(ready.command(*words)) for words in (("install", "--boot=cron"), ("remove",)))
    script = f"""
    set -e
    mount -t tmpfs none {spool} && mkdir -m 1730 {spool}/crontabs && chgrp crontab {spool}/crontabs
    cd {ready.directory}
    test ! -s before || crontab before
    {install} || test $? = 3
    crontab -l > once
    {install} > again.txt || test $? = 3
    crontab -l > twice
    crontab -n twice 2>/dev/null || crontab -T twice
    {remove}
    crontab -l > after || test ! -s before
    {install} || test $? = 3
    (crontab -l; echo '1 1 1 1 1 added') | crontab -
    {remove}
    crontab -l > mine
    """
    done = in_namespace(script)
    assert done.returncode == 0, done.stdout + done.stderr
    once = (ready.directory / "once").read_text()
    lines = [line for line in once.removeprefix(before).splitlines() if not line.startswith("#")]
    assert once.startswith(before)
    assert len(lines) == 1
    assert lines[0].startswith("@reboot ")
    assert (ready.directory / "twice").read_text() == once
    assert "is installed already" in (ready.directory / "again.txt").read_text()
    assert (ready.directory / "after").read_text() == before
    assert (ready.directory / "mine").read_text() == before + "1 1 1 1 1 added\n"


@ROOT
@CRONTAB
def test_a_crontab_whose_mark_was_lost_keeps_no_line_of_ours_unless_that_is_said(ready: Services) -> None:
    spool = "/var/spool/cron"
    install, remove = (" ".join(ready.command(*words)) for words in (("install", "--boot=cron"), ("remove",)))
    script = f"""
    set -e
    mount -t tmpfs none {spool} && mkdir -m 1730 {spool}/crontabs && chgrp crontab {spool}/crontabs
    cd {ready.directory}
    lose() {{ (echo '1 1 1 1 1 mine'; crontab -l | grep -v "$1"; echo '2 2 2 2 2 mine') | crontab -; }}
    for lost in '^# end' '^# begin' '^# '; do
        {install} || test $? = 3
        lose "$lost"
        {remove}
        crontab -l
        echo '0 5 * * * before' | crontab -
        {install} || test $? = 3
        lose "$lost"
        {install} --replace || test $? = 3
        crontab -l | grep -c @reboot
        {remove} --remove_install_args
        crontab -l | grep -v mine | crontab -
    done > lost.txt
    {install} || test $? = 3
    lose '^# end'
    crontab -l | sed 's/@reboot /&nice /' | crontab -
    set +e
    {remove} > changed.txt
    echo $? >> changed.txt
    {install} 2> again.txt
    echo $? >> again.txt
    crontab -l | grep -c @reboot >> again.txt
    """
    done = in_namespace(script)
    assert done.returncode == 0, done.stdout + done.stderr
    lost = (ready.directory / "lost.txt").read_text().splitlines()
    assert lost.count("1 1 1 1 1 mine") == lost.count("2 2 2 2 2 mine") == 3
    assert not [line for line in lost if line.startswith("@reboot")]
    assert lost.count("1") == 3
    changed = (ready.directory / "changed.txt").read_text()
    assert "not removed: the crontab holds lines that install wrote" in changed
    assert "removed: the line" not in changed
    assert changed.endswith("\n1\n")
    again = (ready.directory / "again.txt").read_text()
    assert "take them out by hand" in again
    assert again.endswith("\n1\n1\n")


@pytest.mark.parametrize("kind", KINDS)
def test_what_print_shows_is_what_install_writes(box: Services, kind: str) -> None:
    words = ("install", "web", f"--boot={kind}")
    shown = json.loads(box.services(*words, "--print", "--json", program=["/bin/sleep", "1 2"]).stdout)
    text = box.services(*words, "--print", program=["/bin/sleep", "1 2"]).stdout
    box.services(*words, program=["/bin/sleep", "1 2"])
    assert box.config.read_text() == shown["section"]
    assert shown["section"] in text
    for part in shown["artefacts"]:
        path = Path(part["path"])
        assert part["text"] in path.read_text()
        assert path.read_text() == part["text"] or part["role"] == "block"
        assert path.stat().st_mode & 0o7777 == int(part["mode"], 8)
        assert part["text"] in text


@ROOT
def test_variables_belong_to_the_user_that_the_app_runs_as(ready_for_others: Services) -> None:
    box = ready_for_others
    box.services(
        "install", "web", "--boot=none", "--user=nobody", program=["/bin/echo", "$MY_KEY"], MY_KEY="v"
    )
    kept = (box.directory / "apps.env.d" / "web.env").stat()
    assert (kept.st_uid, kept.st_mode & 0o777) == (pwd.getpwnam("nobody").pw_uid, 0o600)
    assert "_user = nobody\n" in box.config.read_text()
    box.services("remove", "web", "--remove_env_vars")
    assert not (box.directory / "apps.env.d").exists()


def test_the_document_of_print_has_all_that_the_text_has(ready: Services) -> None:
    done = json.loads(ready.services("install", "--boot=systemd", "--print", "--json").stdout)
    assert [Path(part["path"]).name for part in done["artefacts"]] == ["kegmaster.service"]
    assert done["commands"]["enable"][1] == ["systemctl", "enable", "kegmaster.service"]


@pytest.mark.parametrize("kind", KINDS)
def test_another_name_for_the_boot_entry_takes_the_place_of_the_one_before(
    ready: Services, kind: str
) -> None:
    before = ready.tree()
    ready.services("install", f"--boot={kind}")
    done = ready.services("install", f"--boot={kind}", "--boot_name=third")
    assert f"the boot entry kegmaster for {kind} is replaced" in done.stdout
    texts = b"".join(data for name, (_, data) in ready.tree().items() if name.startswith("image/"))
    assert b"wrote for kegmaster;" not in texts
    assert not list((ready.directory / "image").rglob("*kegmaster*"))
    ready.services("remove")
    assert ready.tree() == before


@pytest.mark.parametrize("kind", KINDS)
def test_the_boot_entry_of_another_configuration_is_not_taken_over(ready: Services, kind: str) -> None:
    empty = ready.tree()
    first, second = ready.config, ready.directory / "other.cfg"
    ready.services("install", f"--boot={kind}")
    second.write_text(first.read_text())
    before = ready.tree()
    ready.config = second
    for words, program in ((("install",), ()), (("install", "web"), ("/bin/true",))):
        done = ready.services(*words, f"--boot={kind}", program=program, expect=2)
        assert f"the boot entry kegmaster starts the master of {first}, not that of {second}" in done.stderr
        assert "--boot_name" in done.stderr
        assert ready.tree() == before
    for verb in ("remove", "stop_and_remove"):
        done = ready.services(verb, expect=2)
        assert f"to remove it give --master_config={first}; nothing was changed" in done.stderr
        assert ready.tree() == before
    state = f"--state_dir={ready.directory}/home/second"
    done = ready.services("install", f"--boot={kind}", state, expect=1)
    assert "is there already, and not ours" in done.stderr
    assert ready.tree() == before
    ready.services("install", f"--boot={kind}", state, "--boot_name=second")
    ready.services("remove", state)
    assert ready.tree() == before
    ready.services("install", f"--boot={kind}", "--replace")
    ready.services("remove")
    second.unlink()
    assert ready.tree() == empty


@ROOT
def test_an_app_that_the_masters_user_could_not_start_is_refused_and_its_own_user_is_not(
    ready: Services,
) -> None:
    dest = str(ready.directory)
    ready.services("install", "--boot=sysv", "--user=lab", DESTDIR=dest)
    before = ready.tree()
    done = ready.services("install", "two", "--user=keg", program=["/bin/true"], expect=2, DESTDIR=dest)
    assert "the master runs as lab, and only root's could start two as keg" in done.stderr
    assert ready.tree() == before
    ready.services("install", "two", "--user=lab", program=["/bin/true"], DESTDIR=dest)
    assert "_user = lab" in ready.config.read_text()


@ROOT
def test_a_master_that_could_not_start_its_apps_as_their_users_is_refused(ready: Services) -> None:
    dest = str(ready.directory)
    ready.config.write_text("[x]\n_enabled = True\n_command = /bin/true\n_user = lab\n")
    before = ready.tree()
    done = ready.services("install", "--boot=sysv", "--user=keg", expect=6, DESTDIR=dest)
    assert "apps.cfg:4: [x] _user: a master that runs as keg cannot start it so" in done.stderr
    assert ready.tree() == before
    ready.services("install", "--boot=sysv", "--user=lab", DESTDIR=dest)


@ROOT
def test_a_master_starts_what_is_to_run_as_the_user_that_it_is_itself(ready_for_others: Services) -> None:
    box = ready_for_others
    config = box.directory / "home/own.cfg"
    config.write_text("[x]\n_enabled = True\n_user = nobody\n_command = /bin/sleep 600\n[y]\n_enabled = True\n"
                      "_user = daemon\n_command = /bin/true\n")  # fmt: skip
    os.chown(box.home, 65534, 65534)
    flags = [f"--{key}={box.home}/{key}" for key in ("pidfile_dir", "logfile_dir")]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(box.script), "configtest", f"--master_config={config}", *flags],
        capture_output=True, text=True, check=False, cwd="/", timeout=60,
    )  # fmt: skip
    assert "[y] _user: only root can start it as user daemon" in done.stderr
    assert "[x]" not in done.stderr
    code = (
        "import os; os.setgroups([]); os.setgid(65534); import pwd, grp; from kegmaster.environment import credentials\n"
        "from kegmaster.spec import Context\nos.setuid(65534); print(credentials(Context(user='nobody')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "(65534, None, ())\n"
