"""A serial device: rights, who has it open, the USB device behind it, and whether ModemManager may disturb it.

Knows /dev, /proc, /sys and udev's notes. Must not open the device: that resets many boards.
"""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections.abc import Iterable
from typing import Final

from kegapps.daemon.lockers import lockers
from kegapps.daemon.secret_file import user_name
from kegapps.tools.doctor import rights
from kegapps.tools.doctor.facts import DeviceFacts, Holder, UsbFacts
from kegapps.tools.doctor.look_processes import holder, pids
from kegapps.tools.doctor.settings import AUTO

BY_ID: Final = "/dev/serial/by-id"
CANDIDATES: Final = (f"{BY_ID}/*", "/dev/ttyUSB*", "/dev/ttyACM*")
_IGNORE: Final = ("ID_MM_DEVICE_IGNORE=1", "ID_MM_PORT_IGNORE=1")


def paths(device: str) -> list[str]:
    """What a `--kegboard_device` means just now: paths, what patterns match, all serial ports for `auto`.

    A device that has several names is one, by its lasting name if it has that.
    """
    found: dict[str, str] = {}
    for word in filter(None, (word.strip() for word in device.split(","))):
        for path in _matches(word):
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def is_plain(device: str) -> bool:
    """True for paths, false if there is a pattern or `auto`."""
    return AUTO not in device.split(",") and not glob.has_magic(device)


def is_known(device: str) -> bool:
    """False if there is a relative path: it means something in a folder that is not ours to know."""
    return all(word == AUTO or os.path.isabs(os.path.expanduser(word)) for word in device.split(","))


def _matches(word: str) -> list[str]:
    if word == AUTO:
        return [path for pattern in CANDIDATES for path in sorted(glob.glob(pattern))]
    word = os.path.expanduser(word)
    return [word] if is_plain(word) else sorted(glob.glob(word))


def look_at(path: str, user: rights.User) -> DeviceFacts:
    """Everything about the device. In a child only: it may become `user`."""
    real_path = os.path.realpath(path)
    try:
        status = os.stat(path)
    except PermissionError as error:
        return DeviceFacts(path=path, exists=True, user=user.name, may_use=None, why_not=str(error.strerror))
    except OSError:
        return DeviceFacts(path=path, user=user.name, others=_others())
    is_terminal = stat.S_ISCHR(status.st_mode) and is_tty(status.st_rdev)
    # Half the machine may have /dev/null open.
    holders, complete = _holders(real_path, status) if is_terminal else ((), True)
    usb = usb_of(real_path)
    facts = {
        "path": path, "exists": True, "real_path": real_path,
        "is_character_device": stat.S_ISCHR(status.st_mode), "is_terminal": is_terminal,
        "owner": user_name(status.st_uid), "group": rights.group_name(status.st_gid),
        "mode": stat.S_IMODE(status.st_mode), "user": user.name,
        "in_group": rights.in_group(user, status.st_gid),
        "holders": holders, "holders_complete": complete,
        "modem_manager_pid": _modem_manager() if usb else None,
        "ignored_by_modem_manager": is_ignored(status.st_rdev, real_path),
        "usb": usb, "by_id": _by_id(real_path),
    }  # fmt: skip
    return DeviceFacts(may_use=rights.may(user, path, os.R_OK | os.W_OK), **facts)  # type: ignore[arg-type]


def is_tty(rdev: int, drivers: str = "/proc/tty/drivers") -> bool:
    """Whether a character device is a terminal, by the kernel's list of their drivers; without the list it may be."""
    try:
        with open(drivers, encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return True
    # usbserial  /dev/ttyUSB  188  0-511  serial
    for row in rows:
        with contextlib.suppress(ValueError, IndexError):
            first, _, last = row[3].partition("-")
            if int(row[2]) == os.major(rdev) and int(first) <= os.minor(rdev) <= int(last or first):
                return True
    return False


def usb_of(real_path: str, sys: str = "/sys") -> UsbFacts | None:
    """The USB device that a tty belongs to; None if it is on no USB."""
    folder = os.path.realpath(f"{sys}/class/tty/{os.path.basename(real_path)}/device")
    while folder.startswith(os.path.realpath(sys)) and folder != os.path.realpath(sys):
        if os.path.exists(f"{folder}/idVendor"):
            return UsbFacts(
                vendor_id=_line(f"{folder}/idVendor"),
                product_id=_line(f"{folder}/idProduct"),
                vendor=_line(f"{folder}/manufacturer"),
                product=_line(f"{folder}/product"),
                serial_number=_line(f"{folder}/serial"),
            )
        folder = os.path.dirname(folder)
    return None


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(256).strip()
    except OSError:
        return ""


def _others() -> tuple[str, ...]:
    return tuple(paths(AUTO))


def _holders(real_path: str, status: os.stat_result) -> tuple[tuple[Holder, ...], bool]:
    """Who has it open, and whether every process could be looked at."""
    found: set[int] = set()
    complete = True
    for pid in pids():
        folder = f"/proc/{pid}/fd"
        try:
            for fd in os.listdir(folder):
                with contextlib.suppress(OSError):
                    if os.readlink(f"{folder}/{fd}") == real_path:
                        found.add(pid)
        except PermissionError:
            complete = False
        except OSError:
            continue  # it has just ended
    # Locks are told of all processes, so programs of ours are found whoever runs them.
    found |= lockers(status)
    return tuple(holder(pid) for pid in sorted(found)), complete


def _modem_manager() -> int | None:
    for pid in pids():
        if holder(pid).name == "ModemManager":
            return pid
    return None


def is_ignored(rdev: int, real_path: str, udev: str = "/run/udev/data", sys: str = "/sys") -> bool:
    """Whether udev has told ModemManager to leave the port, or the USB device behind it, alone."""
    notes = [f"{udev}/c{os.major(rdev)}:{os.minor(rdev)}"]
    folder = os.path.realpath(f"{sys}/class/tty/{os.path.basename(real_path)}/device")
    while len(folder) > len(sys) and folder.startswith(sys):
        numbers = _line(f"{folder}/dev")
        if numbers:
            notes.append(f"{udev}/c{numbers}")
        folder = os.path.dirname(folder)
    return any(_says(note, _IGNORE) for note in notes)


def _says(path: str, words: Iterable[str]) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 20)
    except OSError:
        return False
    return any(f"E:{word}\n" in text for word in words)


def _by_id(real_path: str) -> str:
    for name in glob.glob(f"{BY_ID}/*"):
        if os.path.realpath(name) == real_path:
            return name
    return ""
