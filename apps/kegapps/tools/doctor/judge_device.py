"""Whether the serial device of a board is there, usable, and free or in the right hands.

Knows what can be wrong with a serial port on Linux, and the cures. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kegapps.tools.doctor.facts import DeviceFacts, Facts, Holder, MasterFacts, UsbFacts
from kegapps.tools.doctor.finding import Finding, Level, Link, hint, ok, trouble, unknown
from kegapps.tools.doctor.settings import AUTO, DAEMON, BoardSettings, Settings
from kegapps.tools.doctor.wording import listed, plain, process

_LINK: Final = Link.DEVICE
BY_ID: Final = "/dev/serial/by-id/"
MOST_HOLDERS: Final = 3
_NOT_TO_KILL: Final = frozenset(
    {
        "kegbot_core", "master", "kegboard_simulator", "sh", "bash", "dash", "zsh", "fish", "ksh", "ash", "busybox",
        "login", "agetty", "getty", "su", "sudo", "sshd", "tmux", "screen", "init", "systemd",
    }
)  # fmt: skip
"""Programs that others hang on, or that somebody works in."""


def findings(facts: Facts, board: BoardSettings, paths: tuple[str, ...] | None) -> list[Finding]:
    """What is to be said of the devices of one board daemon.

    `paths` is what its --kegboard_device means now, None if that is not known.
    """
    wanted = board.device.value
    if board.is_default and _none_is_configured(facts.master) and not _is_there(facts, paths):
        text = f"no {DAEMON} runs, and none is enabled in {facts.master.config}: no board is read"
        cure = f"add a section [{DAEMON}] there, or enable it, with the board's device as its kegboard_device"
        return [trouble(_LINK, text, cure)]
    if paths is None:
        text = f"which device is meant by {plain(wanted)} ({board.device.origin}) could not be found out"
        return [unknown(_LINK, text, "run the doctor with sudo, or name it with --kegboard_device")]
    if not paths:
        what = "no board is plugged in" if wanted == "auto" else f"nothing matches {wanted}"
        return [trouble(_LINK, f"{what} (--kegboard_device={wanted})", _find_it(()))]
    found: list[Finding] = []
    for path in paths:
        device = facts.devices.get(path)
        if device is None:
            found.append(unknown(_LINK, f"{path} could not be looked at in time"))
        else:
            found += _device(device)
    is_pattern = AUTO in wanted or any(mark in wanted for mark in "*?[")
    if is_pattern and any(is_usable(facts.devices.get(path)) for path in paths):
        # What matches a pattern need not be a board, so another program's port is none of our troubles.
        found = [replace(f, level=Level.HINT) if f.level is Level.TROUBLE else f for f in found]
    return found


def _none_is_configured(master: MasterFacts) -> bool:
    """The configuration was read, without mistakes; asked only where no board daemon is known, so it has none."""
    return master.config_exists and bool(master.apps) and not any(master.config_problems)


def _is_there(facts: Facts, paths: tuple[str, ...] | None) -> bool:
    return any((device := facts.devices.get(path)) is not None and device.exists for path in paths or ())


def other_findings(settings: Settings) -> list[Finding]:
    """What is to be said if the person named a device that no daemon of this core uses."""
    return [
        hint(
            _LINK,
            f"{process(DAEMON, board.process.pid)} uses another device than you named: {plain(board.device.value)}",
            "leave out --kegboard_device, and that one is looked at",
        )
        for board in settings.other_boards
        if board.process is not None
    ]


def is_usable(device: DeviceFacts | None) -> bool:
    """True if nothing about the device keeps a daemon from using it."""
    return device is not None and all(finding.level != "trouble" for finding in _device(device))


def is_ours(device: DeviceFacts) -> bool:
    """True if the board daemon has it open."""
    return any(holder.name == DAEMON for holder in device.holders)


def _device(device: DeviceFacts) -> list[Finding]:
    path = device.path
    if not device.exists:
        return [trouble(_LINK, f"{path}: no such device", _find_it(device.others))]
    if not device.is_terminal and device.may_use is not None:
        what = f" (it leads to {device.real_path})" if device.real_path not in ("", path) else ""
        return [
            trouble(
                _LINK, f"{path} is no serial device{what}", "name the board's device with --kegboard_device"
            )
        ]
    if device.may_use is False:
        return [trouble(_LINK, _no_rights(device), _get_rights(device))]
    strangers = [holder for holder in device.holders if holder.name != DAEMON]
    if strangers:
        instead = (
            ", too: each gets a part of what the board says" if is_ours(device) else f", not by {DAEMON}"
        )
        names = listed((process(holder.name, holder.pid) for holder in strangers), MOST_HOLDERS)
        return [trouble(_LINK, f"{path} is in use by {names}{instead}", _free_it(strangers, device.user))]
    if device.may_use is None and not is_ours(device):
        why = f": {device.why_not}" if device.why_not else ""
        text = f"whether {device.user} may use {path} cannot be told{why}"
        return [unknown(_LINK, text, "run the doctor with sudo")]
    return [ok(_LINK, _well(device)), *_hints(device)]


def _free_it(strangers: list[Holder], user: str) -> str:
    """Whom to end is the person's to decide; a command is given only for one program that nothing else hangs on."""
    if len(strangers) > 1:
        return "stop those programs, or name the board's device with --kegboard_device if this is another"
    (stranger,) = strangers
    if stranger.user == user and stranger.pid > 1 and stranger.name and stranger.name not in _NOT_TO_KILL:
        return f"end it: kill {stranger.pid}"
    return f"stop {process(stranger.name, stranger.pid)}" + (
        f", which is user {stranger.user}'s" if stranger.user not in ("", user) else ""
    )


def _well(device: DeviceFacts) -> str:
    parts = [f"{device.path} is there" + (f" ({_usb(device.usb)})" if device.usb else "")]
    ours = [holder for holder in device.holders if holder.name == DAEMON]
    if ours:
        parts.append(f"read by {process(ours[0].name, ours[0].pid)}")
    else:
        parts.append(f"{device.user} may use it")
        parts.append("nobody does" if device.holders_complete else "no program of this user does")
    return ", ".join(parts)


def _usb(usb: UsbFacts) -> str:
    name = " ".join(word for word in (usb.vendor, usb.product) if word) or "USB"
    serial = f", serial {plain(usb.serial_number, 40)}" if usb.serial_number else ""
    return f"{plain(name, 60)}, {usb.vendor_id}:{usb.product_id}{serial}"


def _hints(device: DeviceFacts) -> list[Finding]:
    found = []
    if device.by_id and not device.path.startswith(BY_ID):
        found.append(
            hint(
                _LINK,
                f"{device.path} may be another board's after the next reboot",
                f"kegboard_device = {device.by_id}",
            )
        )
    if device.modem_manager_pid is not None and not device.ignored_by_modem_manager and device.usb:
        found.append(
            hint(
                _LINK,
                f"ModemManager (process {device.modem_manager_pid}) may talk to the board after it is plugged in",
                "write into /etc/udev/rules.d/99-kegboard.rules: "
                f'ATTRS{{idVendor}}=="{device.usb.vendor_id}", ATTRS{{idProduct}}=="{device.usb.product_id}", '
                'ENV{ID_MM_DEVICE_IGNORE}="1"; then udevadm control --reload and plug it in again',
            )
        )
    return found


def _no_rights(device: DeviceFacts) -> str:
    return (
        f"{device.path}: user {device.user} may not read and write it "
        f"(it is {device.owner}:{device.group}, mode {device.mode:04o})"
    )


def _get_rights(device: DeviceFacts) -> str:
    if device.mode & 0o060 != 0o060:
        return f'sudo chmod g+rw {device.path}; a udev rule with MODE="0660" makes that last'
    if device.group == "root":
        return (
            f'sudo chgrp dialout {device.path}; a udev rule with GROUP="dialout" makes that last; '
            f"{device.user} has to be in that group"
        )
    if device.in_group:
        return (
            f"{device.user} is in group {device.group}, but logged in before that was so: log in again, and restart "
            "the daemons (master.py restart)"
        )
    return (
        f"sudo usermod -aG {device.group} {device.user}; then {device.user} has to log in again, and the daemons have "
        "to be restarted (master.py restart)"
    )


def _find_it(others: tuple[str, ...]) -> str:
    if others:
        return f"there is {listed(others)}: if that is the board, set kegboard_device to it"
    return (
        "plug the board in; if it is, see what the kernel says: dmesg | tail (another cable, another socket?)"
    )
