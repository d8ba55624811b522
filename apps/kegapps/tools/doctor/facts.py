"""What was found out about a kegerator, as plain values; how, is the business of the `look_...` modules.

Knows what can be known. Must not know what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of the stack. `environment` holds only what concerns us, and is empty if it is not ours to read."""

    pid: int
    parent_pid: int
    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str
    program: str
    """The script without `.py`, such as `kegbot_core`."""
    argv: tuple[str, ...] = field(repr=False)
    """Not shown: may hold a key."""
    folder: str = ""
    """What its relative paths mean; empty if unknown."""
    is_stopped: bool = False
    """It was stopped (SIGSTOP, Ctrl-Z, a debugger) and does nothing until it is told to go on."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Somebody who has a device open."""

    pid: int
    name: str
    """A program of the stack, or the kernel's name of the process; empty if it is not ours to see."""
    user: str = ""
    """Whose process it is; empty if it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterFacts:
    """What master.py said. `problem` instead: why it could not be asked, or said nothing useful."""

    program: str = ""
    """The master.py that was asked; empty if there is none beside the doctor."""
    flags: tuple[str, ...] = ()
    """By which it knew which master is meant; none if its defaults are."""
    status: Mapping[str, Any] | None = None
    """`status --json`."""
    apps: tuple[Mapping[str, Any], ...] = ()
    """`configtest --json`: name and argv of each app."""
    config: str = ""
    config_problems: tuple[str, ...] = ()
    config_exists: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbFacts:
    """The USB device behind a serial port, from the kernel; empty text: not told."""

    vendor_id: str = ""
    product_id: str = ""
    vendor: str = ""
    product: str = ""
    serial_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """A serial device. `user` is whose rights were looked at."""

    path: str
    exists: bool = False
    real_path: str = ""
    is_character_device: bool = False
    is_terminal: bool = False
    """It is a tty, as every serial device is; its holders are looked for only then."""
    owner: str = ""
    group: str = ""
    mode: int = 0
    user: str = ""
    may_use: bool | None = None
    """None: cannot be told."""
    in_group: bool | None = None
    """The user is in the device's group by the system's books, if not yet by the rights of this session."""
    why_not: str = ""
    holders: tuple[Holder, ...] = ()
    holders_complete: bool = True
    """False: other users' processes could not be looked at."""
    modem_manager_pid: int | None = None
    ignored_by_modem_manager: bool = False
    usb: UsbFacts | None = None
    by_id: str = ""
    """The name below /dev/serial/by-id/, which stays when the socket changes."""
    others: tuple[str, ...] = ()
    """Serial devices that are there, if this one is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFacts:
    """What a board said to the doctor itself. `problem`: the port could not be opened or was lost."""

    firmware_version: int | None = None
    serial_number: str | None = None
    uptime_s: float | None = None
    bytes_heard: int = 0
    waited_s: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreFacts:
    """What answered at the core's address.

    answer   "report": a core that tells how it is; "refused": nobody listens; "unreachable": no connection for
             another reason; "silent": takes the question and says nothing; "closed": hangs up; "foreign":
             the core of another kegerator, `listener`; "turned_away": a core
             that does not serve us, `said` is why; "strange": says what is no kegnet, `said` is how it begins
    """

    address: str
    answer: str
    report: Mapping[str, Any] | None = None
    said: str = ""
    problem: str = ""
    token_problem: str = ""
    """Why the token could not be read, if one is configured."""
    listener: Holder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """The store's file: what the file system says of it, and what is in it."""

    path: str
    exists: bool = False
    is_file: bool = True
    owner: str = ""
    mode: int = 0
    size_bytes: int = 0
    names: int = 1
    """Under how many names the file system has it: hard links."""
    user: str = ""
    """Whose rights were looked at."""
    may_read: bool | None = None
    may_write: bool | None = None
    strange_files: tuple[str, ...] = ()
    """Files beside it that belong to it and that the user may not write: left by another user's program."""
    read_only_disk: bool = False
    free_bytes: int | None = None
    free_inodes: int | None = None
    """None where the file system does not count them."""
    holder_pid: int | None = None
    """The core that holds it."""
    held_path: str = ""
    """The file that the core has open instead, with " (deleted)" behind it if it has no name any more."""
    held_by: int = 0
    """That core."""
    used_instead: str = ""
    """The store that the core uses, if it is another than the one that was to be looked at."""
    application_id: int | None = None
    schema_version: int | None = None
    known_schema_version: int = 0
    check: str = ""
    """`ok`, what the check found, or empty if it was not made."""
    check_complete: bool = True
    unread: str = ""
    """Why its content was not looked at."""
    taps: tuple[Mapping[str, Any], ...] = ()
    outbox: Mapping[str, Any] | None = None
    """`counts` by state; `oldest` and `dead`, each a drink with its state and reason, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What the Kegbot Server answered.

    state  "fits", or what is wrong: "unreachable", "wrong_url", "wrong_key", "not_set_up"
    """

    url: str
    state: str
    problem: str = ""
    key_problem: str = ""
    """Why the key could not be read, if one is configured."""
    right_url: str = ""
    version: str = ""
    taps: tuple[Mapping[str, Any], ...] | None = None
    """Of each tap: meter_name, name, has_keg; None: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of it. None: there is nothing of the kind, or it was not looked at; `timeouts` tells which took too long."""

    master: MasterFacts
    uid: int = 0
    """Who looks."""
    default_store: str = ""
    """The store that this user's programs take without --store."""
    processes: tuple[Process, ...] = ()
    devices: Mapping[str, DeviceFacts] = field(default_factory=dict)
    probes: Mapping[str, ProbeFacts] = field(default_factory=dict)
    core: CoreFacts | None = None
    store: StoreFacts | None = None
    server: ServerFacts | None = None
    timeouts: frozenset[str] = frozenset()
    now_unix_s: float = 0.0
