"""What to type for that which only root may do: exactly what was asked, for the configuration that was meant.

Root's defaults are others than the caller's, so paths are spelled out. Text in, text out. Must not look at the machine.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was typed.

    typed   the words behind the program's name, up to a `--`; `program`: those behind that
    places  --master_config= and the other flags that root must be given, absolute
    own     the configuration is the caller's: his master it is that root is to have started at boot
    boot    the init system; empty if no boot entry is wanted
    entry   flags of the boot entry itself, such as --boot_name=
    now     to be started, too
    """

    script: str
    verb: str
    typed: tuple[str, ...]
    program: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    own: bool = False
    boot: str = ""
    caller: str = ""
    entry: tuple[str, ...] = ()
    now: bool = False


def line(asked: Asked, *, sudo: bool) -> str:
    """The command line, for a shell."""
    tail = ("--", *asked.program) if asked.program else ()
    if not (asked.own and asked.boot and asked.verb == "install"):
        return _root((asked.script, *asked.typed, *asked.places, *tail), sudo=sudo)
    now = ("--now",) if asked.now else ()
    root = _root(
        (asked.script, "install", f"--boot={asked.boot}", f"--user={asked.caller}", *asked.entry, *now, *asked.places),
        sudo=sudo,
    )  # fmt: skip
    if not asked.program:
        return root
    # The program is the caller's, in his own file; only the boot entry is root's.
    kept = tuple(word for word in asked.typed if word not in ("--now", "-now"))
    return f"{shlex.join((asked.script, *kept, '--boot=none', *asked.places, *tail))} && {root}"


def _root(words: Sequence[str], *, sudo: bool) -> str:
    return shlex.join(["sudo", *words] if sudo else ["su", "-c", shlex.join(words)])
