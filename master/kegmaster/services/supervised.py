"""`start` where the master is a unit of systemd, or a service of runit or s6, and does not run: they are to start it.

A master of our own making would be outside of the unit: the init system would think that it does not run, would not
stop it at shutdown, and could not start it beside. Changes nothing but that.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time

from .. import client
from ..boot import detect
from ..boot.presence import SUPERVISED, absent
from ..command import Command
from ..exit_codes import Verb
from . import entry
from .answers import Boot
from .store import Store, StoreError
from .transaction import run
from .work import shown

_LOOK_EVERY_S = 0.02
_ASK_EVERY_S = 1.0


def start(command: Command) -> socket.socket | int | None:
    """A connection to the master that the init system made; an exit status; None if none of them has our master.

    Raises RightsError, NoAnswerError.
    """
    boot = _entry(command)
    return None if boot is None else by_init(command, boot)


def by_init(command: Command, boot: Boot) -> socket.socket | int:
    """Have the init system start this entry; a connection to the master, or an exit status.

    Raises RightsError, NoAnswerError.
    """
    words = boot.plan.start[0]
    if words[0] == "systemctl":
        # Whoever waits is us: for as long as was asked, and telling how it goes.
        words = (*words[:-1], "--no-block", words[-1])
    command.terminal.tell(f"master: {boot.plan.kind} has it; {shown(boot.plan.start[0])}")
    if wrong := run(words):
        return command.terminal.fail(wrong, Verb.FAILED)
    until_s = time.monotonic() + command.options.timeout
    ask_s = time.monotonic() + _ASK_EVERY_S
    while time.monotonic() < until_s:
        if sock := client.connect(command.run_directory.socket):
            return sock
        if time.monotonic() >= ask_s:
            if _failed(words):
                break
            ask_s = time.monotonic() + _ASK_EVERY_S
        time.sleep(_LOOK_EVERY_S)
    return command.terminal.fail(
        f"{shown(boot.plan.start[0])}: no master came of it; see {command.logfile}"
        + (f", and systemctl status {words[-1]}" if words[0] == "systemctl" else ""),
        Verb.FAILED,
    )


def installed(command: Command) -> Boot | None:
    """The boot entry whose master has our run directory, if there is one and it is ours to know."""
    store = Store(command.run_directory.state)
    try:
        boot = entry.load(store) if store.open(make=False, lock=False) else None
    except (StoreError, OSError):
        return None  # another user's; he could not speak to its init system either
    finally:
        store.close()
    if boot is None or not boot.installed or entry.destination():
        return None
    # A path ends where its word does: /run is not /run/kegbot.
    named = re.compile(rf"{re.escape(command.run_directory.path)}(?=['\"\s]|$)")
    return boot if any(named.search(part.text) for part in boot.plan.artefacts) else None


def stands(boot: Boot) -> bool:
    """What was written for it is still there."""
    return all(os.path.lexists(part.path) for part in boot.plan.artefacts if part.path)


def _entry(command: Command) -> Boot | None:
    """The boot entry of just this master, if the init system it is for runs here and can be asked by us."""
    boot = installed(command)
    if boot is None or boot.plan.kind not in SUPERVISED or boot.config != command.config_file:
        return None
    reached = boot.plan.kind != "systemd-user" or detect.session()
    return boot if stands(boot) and reached and not absent(boot.plan.kind, detect.machine()) else None


def _failed(words: tuple[str, ...]) -> bool:
    if words[0] != "systemctl":
        return False
    user = ("--user",) if "--user" in words else ()
    environment = os.environ | ({"XDG_RUNTIME_DIR": detect.session()} if user else {})
    asked = ("systemctl", *user, "show", "--property=ActiveState", "--value", words[-1])
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, env=environment, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() in ("failed", "inactive")
