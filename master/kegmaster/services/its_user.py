"""`start` by root where the master is installed to run as another user: it is started as that user, or not at all.

A master of root's in the same directories would run all apps as root, and leave files there that keep the user's from
ever starting again. The entry's own start is taken where it can be; else the same command runs with the user's rights.
Must not look at the configuration: with root's eyes, directories that are the user's are not safe.
"""

from __future__ import annotations

import os
import pwd
import socket
import stat
import subprocess
import sys

from .. import client, loading, proc
from ..boot import detect
from ..boot.environment import of_user
from ..boot.presence import SUPERVISED, absent
from ..command import Command
from ..exit_codes import Verb
from . import supervised
from .answers import Boot
from .transaction import run
from .work import shown

_DEPTH = 64


def start(command: Command) -> socket.socket | int | None:
    """A connection to the master that the entry made; the exit status, if all is done; None if it is not another's.

    Raises RightsError, NoAnswerError.
    """
    boot, account = _entry(command)
    if boot is None or account is None:
        return None
    if not loading.same_file(boot.config, command.config_file):
        return command.terminal.fail(
            f"{command.run_directory.path} is where the master of {boot.config} runs as {boot.user} ({boot.name});"
            " another configuration wants its own --pidfile_dir, --logfile_dir and --state_dir",
            Verb.USAGE,
        )
    kind = boot.plan.kind
    if supervised.stands(boot):
        if kind in SUPERVISED and not absent(kind, detect.machine()):
            return supervised.by_init(command, boot)
        if kind == "sysv" or (kind == "openrc" and not absent(kind, detect.machine())):
            words = boot.plan.start[0]
            command.terminal.tell(f"master: {kind} has it; {shown(words)}")
            run(words)
            if sock := client.connect(command.run_directory.socket):
                return sock
            # OpenRC thinks that it runs; or it cannot, and says why when it is asked directly.
    return _as_user(command, account, command.options.verb)


def stop(command: Command) -> int | None:
    """What such a master left is ended by its user; the exit status. None if it is not another's."""
    boot, account = _entry(command)
    if boot is None or account is None or not loading.same_file(boot.config, command.config_file):
        return None
    return _as_user(command, account, "stop")


def _entry(command: Command) -> tuple[Boot | None, pwd.struct_passwd | None]:
    """The installed entry that has this run directory, and its user, if that is not us and we are root."""
    boot = supervised.installed(command) if os.geteuid() == 0 else None
    if boot is None or not boot.user:
        return None, None
    try:
        account = pwd.getpwnam(boot.user)
    except KeyError:
        raise client.NoAnswerError(
            f"the master is installed to run as {boot.user}, and there is no such user; make it, or install anew"
        ) from None
    # A script that was changed to run it as root has called us: its own business, and no reason to call it again.
    return (None, None) if account.pw_uid == 0 or _called_by(boot) else (boot, account)


def _called_by(boot: Boot) -> bool:
    paths = {os.fsencode(part.path) for part in boot.plan.artefacts if part.path}
    pid = os.getppid()
    for _ in range(_DEPTH):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read(1 << 16).split(b"\0")
        except OSError:
            return False
        if paths.intersection(words):
            return True
        seen = proc.stat(pid)
        if seen is None or seen.parent <= 0:
            return False
        pid = seen.parent
    return False


def _as_user(command: Command, account: pwd.struct_passwd, verb: str) -> int:
    """The same command, as `account`: without our variables, groups and terminal, which would give him our rights."""
    options, run_directory = command.options, command.run_directory
    logs = command.source.directories.logfile_dir
    flags = (
        f"--master_config={command.config_file}", f"--pidfile_dir={run_directory.path}", f"--logfile_dir={logs}",
        f"--state_dir={run_directory.state}",
    )  # fmt: skip
    typed = [f"--{name}" for name in ("force", "json", "verbose") if getattr(options, name)]
    words = (
        sys.executable,
        command.script,
        verb,
        *flags,
        f"--timeout={options.timeout:g}",
        *typed,
        *options.names,
    )
    try:
        for path in dict.fromkeys((run_directory.path, logs, run_directory.state)):
            _make(path, account)
        command.terminal.tell(f"master: runs as {account.pw_name}, and is given to him to {verb}")
        done = subprocess.run(
            words, user=account.pw_uid, group=account.pw_gid, env=of_user(account.pw_name, account.pw_dir), cwd="/",
            extra_groups=os.getgrouplist(account.pw_name, account.pw_gid), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="backslashreplace", start_new_session=True, check=False,
        )  # fmt: skip
    except OSError as error:
        by_hand = shown(("runuser", "-u", account.pw_name, "--", *words[:3], *flags, *options.names))
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return command.terminal.fail(
            f"the master is installed to run as {account.pw_name}, and cannot be told to {verb} as him ({what});"
            f" do it yourself: {by_hand}",
            Verb.NO_RIGHTS,
        )
    print(done.stdout, end="", flush=True)
    print(done.stderr, end="", file=sys.stderr, flush=True)
    return done.returncode if done.returncode >= 0 else Verb.FAILED


def _make(path: str, account: pwd.struct_passwd) -> None:
    """What only root can make: at each boot, /run is empty. Below what others may write, he makes it himself."""
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    seen = os.stat(path)
    if not missing or seen.st_uid != 0 or seen.st_mode & stat.S_IWOTH:
        return
    for directory in reversed(missing):
        os.mkdir(directory, 0o755)
        os.chmod(directory, 0o755)
    os.chown(missing[0], account.pw_uid, account.pw_gid, follow_symlinks=False)
