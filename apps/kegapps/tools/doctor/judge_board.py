"""The board behind the device, and the daemon that listens to it.

Knows what the core tells of boards, and what a board told the doctor itself. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kegapps.tools.doctor.facts import Facts
from kegapps.tools.doctor.finding import Finding, Link, hint, ok, trouble, unknown
from kegapps.tools.doctor.judge_device import is_ours, is_usable
from kegapps.tools.doctor.judge_master import command
from kegapps.tools.doctor.settings import DAEMON, BoardSettings
from kegapps.tools.doctor.wording import duration, plain, process

_LINK: Final = Link.BOARD
OLDEST_FIRMWARE: Final = 7  # relays and their watchdog came with it; what kegboard_daemon wants by default
BUSY: Final = "in use by another program"  # these are kegboard_daemon's words
DENIED: Final = "permission denied"
STALE_S: Final = 25.0  # a daemon tells of its boards every 10 s


def findings(
    facts: Facts,
    board: BoardSettings,
    paths: Sequence[str],
    told: Sequence[Mapping[str, Any]],
    *,
    master_cut: bool,
) -> list[Finding]:
    """What is to be said of the board of one daemon.

    `told`: what the core says of its boards. `master_cut`: it was said already that the daemon does not run.
    """
    name = board.name.value
    if board.process is not None and board.process.is_stopped:
        daemon, pid = process(board.process.program, board.process.pid), board.process.pid
        return [
            trouble(
                _LINK,
                f"{name}: {daemon} is stopped: somebody has sent it SIGSTOP, or Ctrl-Z",
                f"kill -CONT {pid} lets it go on",
            )
        ]
    usable = [path for path in paths if is_usable(facts.devices.get(path))]
    if not usable:
        return [unknown(_LINK, f"{name}: unknown because of its device")]
    rows = [row for row in told if _is_of(row, name, usable, facts)]
    if board.process is not None:
        return [_told(facts, row) for row in rows] or [_untold(facts, board)]
    found = []
    for path in usable:
        device = facts.devices[path]
        if is_ours(device):
            found.append(_untold(facts, board))
        elif path in facts.probes:
            found.append(_probed(facts, path, master_cut=master_cut))
        else:
            # Another user's program may have the line open, and would lose a part of what the board says.
            why = "" if device.holders_complete else " (run the doctor with sudo to have it asked)"
            text = f"the board at {path} was not asked{why}"
            found.append(unknown(_LINK, text) if master_cut else _nobody_listens(facts, text))
    return found


def other_findings(
    facts: Facts,
    boards: Sequence[BoardSettings],
    paths: Mapping[str, tuple[str, ...]],
    told: Sequence[Mapping[str, Any]],
) -> list[Finding]:
    """What is to be said of boards that hang on no serial port, such as a gpio_meter's: not of `boards`."""
    known = {
        board.name.value: [path for path in paths.get(board.device.value, ()) if path in facts.devices]
        for board in boards
    }
    others = [row for row in told if not any(_is_of(row, name, known[name], facts) for name in known)]
    # Beside a daemon's boards one that is not there may be one that went for good.
    return [_told_by_another(row, cut=trouble if not boards else hint) for row in others]


def _told_by_another(row: Mapping[str, Any], *, cut: Callable[[Link, str, str], Finding]) -> Finding:
    name, state, age_s = plain(row.get("board_name"), 64), row.get("state"), row.get("heard_age_s")
    more = f" ({detail})" if (detail := plain(row.get("detail", ""))) else ""
    cure = "see the log of the program that tells of it, such as gpio_meter"
    if state != "online":
        return cut(_LINK, f"{name} is not there{more}", cure)
    if isinstance(age_s, int | float) and age_s > STALE_S:
        return cut(
            _LINK, f"{name}: nothing was told of it for {duration(age_s)}, though it should every 10 s", cure
        )
    return ok(_LINK, f"{name} answers: {', '.join(_about(row)) or 'its version is not told'}{more}")


def _is_of(row: Mapping[str, Any], name: str, paths: Sequence[str], facts: Facts) -> bool:
    """Whether the core tells of a board of this daemon: its device, or its name, to which a daemon of several adds."""
    device, told_name = row.get("device"), str(row.get("board_name"))
    known = {*paths, *(facts.devices[path].real_path for path in paths)}
    return device in known or told_name == name or told_name.startswith(f"{name}-")


def _told(facts: Facts, row: Mapping[str, Any]) -> Finding:
    name, state, detail = plain(row.get("board_name"), 64), row.get("state"), plain(row.get("detail", ""))
    about = ", ".join(_about(row))
    more = f" ({detail})" if detail else ""
    age_s = row.get("heard_age_s")
    if state == "online":
        heard = f", told {duration(age_s)} ago" if isinstance(age_s, int | float) else ""
        if isinstance(age_s, int | float) and age_s > STALE_S:
            return trouble(
                _LINK,
                f"{name}: its daemon has told nothing for {duration(age_s)}, though it should every 10 s",
                f"see kegboard_daemon's log; if it hangs: {command(facts.master, 'restart', DAEMON)}",
            )
        return ok(_LINK, f"{name} answers: {about or 'its version is not told'}{heard}")
    if state == "too_old":
        return trouble(
            _LINK,
            f"{name}: firmware {row.get('firmware_version')} is too old{more}",
            "flash a newer firmware onto the board, or lower --required_firmware_version",
        )
    if state == "silent":
        return trouble(
            _LINK, f"{name}: no word from the board{more}", _wake_it(str(row.get("device") or "its device"))
        )
    if state == "absent":
        return _absent(name, detail, more)
    return trouble(
        _LINK,
        f"{name}: its daemon does not listen to it{more}",
        "see kegboard_daemon's log, and give boards names of their own",
    )


def _absent(name: str, detail: str, more: str) -> Finding:
    """Its daemon cannot open it; `detail` is what the daemon says of that."""
    if BUSY in detail:
        return trouble(
            _LINK,
            f"{name} cannot be opened{more}",
            "end the program that has it open, such as kegboard_monitor.py; kegboard_daemon tries again by itself",
        )
    if DENIED in detail:
        return trouble(
            _LINK, f"{name} cannot be opened{more}", "see what groups its daemon has: master.py restart"
        )
    return trouble(_LINK, f"{name} is not there{more}", "plug it in; if it is, see kegboard_daemon's log")


def _about(row: Mapping[str, Any]) -> list[str]:
    parts = []
    if row.get("firmware_version") is not None:
        parts.append(f"firmware {row['firmware_version']}")
    if row.get("serial_number"):
        parts.append(f"serial {plain(row['serial_number'], 40)}")
    if isinstance(row.get("uptime_s"), int | float):
        parts.append(f"up {duration(row['uptime_s'])}")
    return parts


def _untold(facts: Facts, board: BoardSettings) -> Finding:
    """Its daemon runs, but the core tells nothing of the board."""
    name = board.name.value
    if facts.core is None or facts.core.report is None:
        return unknown(_LINK, f"{name}: unknown because the core, which would know, does not tell")
    daemon = process(board.process.program, board.process.pid) if board.process else "its daemon"
    return hint(
        _LINK,
        f"{name}: {daemon} has not told the core of it; it may be older than the core, or just starting",
        f"if that lasts: {command(facts.master, 'restart', DAEMON)}",
    )


def _probed(facts: Facts, path: str, *, master_cut: bool) -> Finding:
    probe = facts.probes[path]
    if probe.problem:
        return unknown(_LINK, f"{path} could not be opened to ask the board: {plain(probe.problem)}")
    if probe.firmware_version is None:
        noise = f" ({probe.bytes_heard} bytes came, but no message)" if probe.bytes_heard else ""
        return trouble(
            _LINK,
            f"nothing answers at {path}: no hello within {duration(probe.waited_s)}{noise}",
            _wake_it(path),
        )
    if probe.firmware_version < OLDEST_FIRMWARE:
        return trouble(
            _LINK,
            f"the board at {path} has firmware {probe.firmware_version}, which is too old "
            f"({OLDEST_FIRMWARE} or later is needed)",
            "flash a newer firmware onto the board",
        )
    parts = [f"firmware {probe.firmware_version}"]
    if probe.serial_number is not None:
        parts.append(f"serial {plain(probe.serial_number, 40) or 'not set'}")
    text = f"the board at {path} answers ({', '.join(parts)})"
    return ok(_LINK, text) if master_cut else _nobody_listens(facts, text)


def _nobody_listens(facts: Facts, text: str) -> Finding:
    return trouble(
        _LINK,
        f"{text}, but no kegboard_daemon runs to pass on what it says",
        command(facts.master, "start", DAEMON),
    )


def _wake_it(path: str) -> str:
    return (
        f"is it a Kegboard? unplug it and plug it in again; then stop kegboard_daemon and see what comes: "
        f"kegboard_monitor.py --kegboard_device={path} --send=ping"
    )


def tick_findings(
    facts: Facts, taps: Sequence[Mapping[str, Any]] | None, *, cut_at: Link | None
) -> list[Finding]:
    """What is to be said of the last tick. `cut_at`: a link before it, or the core, that is cut."""
    link = Link.TICK
    if taps is None:
        why = f"the chain is cut at: {cut_at}" if cut_at else "neither core nor store tell"
        return [unknown(link, f"unknown because {why}")]
    ticked = [tap for tap in taps if tap.get("counted_ticks") or tap.get("last_reading")]
    if not ticked:
        text = (
            "no meter was ever heard"
            if not taps
            else f"no tick ever came from {plain(taps[0].get('name'), 64)}"
        )
        if cut_at:
            return [
                unknown(
                    link, f"{text}: unknown whether one would come, because the chain is cut at: {cut_at}"
                )
            ]
        return [
            trouble(
                link,
                text,
                "let something flow through a meter; if nothing changes, look at the meter's plug and polarity on the "
                "board, and blow through it: the board's flow LED has to blink",
            )
        ]
    last = max(ticked, key=lambda tap: tap.get("read_unix_s") or 0.0)
    ago_s = facts.now_unix_s - (last.get("read_unix_s") or 0.0)
    found = [
        ok(
            link,
            f"{plain(last.get('name'), 64)}, {duration(ago_s)} ago, at reading {last.get('last_reading')}",
        )
    ]
    never = [plain(tap.get("name"), 64) for tap in taps if tap not in ticked]
    if never:
        found.append(hint(link, f"no tick ever came from {', '.join(never[:5])}", "pour through it once"))
    return found
