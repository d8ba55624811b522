"""One daemon and several boards: found, named, told apart, refused and left alone. Real programs, real bytes."""

from __future__ import annotations

from pathlib import Path

from kegapps.kegnet.events import BoardStatus, SetRelayOutputEvent
from tests.apps.kegboard.programs import Bar, RecordingCore, Simulator

NAMES = [f"kegboard-0000000{number}" for number in (1, 2, 3, 4)]


def states(core: RecordingCore) -> dict[str, str]:
    """The last that was told of each board."""
    return {e.board_name: e.state for e in core.events if isinstance(e, BoardStatus) and e.state != "refused"}


def online(core: RecordingCore, *names: str) -> None:
    """Serve until just these boards are online."""
    core.until(lambda: {name for name, state in states(core).items() if state == "online"} == set(names))


def pour(board: Simulator, ticks: int) -> None:
    assert board.verb("pour", "flow0", str(ticks), "--seconds=0")["ok"]


def ports(bar: Bar, boards: list[Simulator]) -> list[Path]:
    """A socket for each board: names that can be plugged into another one."""
    sockets = [bar.cwd / f"port{number}" for number in range(len(boards))]
    for socket, board in zip(sockets, boards, strict=True):
        socket.symlink_to(board.link)
    return sockets


def test_all_boards_of_a_pattern_are_served_by_one_daemon_each_under_its_own_name(bar: Bar) -> None:
    boards, core = bar.simulators(4), bar.core()
    daemon = bar.daemon(core, device="board?")
    online(core, *NAMES)
    daemon.line(f"status: boards online: {', '.join(NAMES)}")
    for ticks, board in enumerate(boards, start=20):
        pour(board, ticks)
    for ticks, name in enumerate(NAMES, start=20):
        core.until_read(ticks, f"{name}.flow0")
    assert core.hub.clients == 1
    core.hub.broadcast(
        SetRelayOutputEvent(output_name=f"{NAMES[2]}.relay1", output_mode="enabled"),
        SetRelayOutputEvent(output_name="relay0", output_mode="enabled"),
    )
    daemon.line("relay0 stays as it is: the name does not say of which board")
    core.until(lambda: boards[2].state()["relays"]["relay1"])
    relays = [any(board.state()["relays"].values()) for board in boards]
    assert relays == [False, False, True, False]
    assert daemon.end() == 0
    assert not boards[2].state()["relays"]["relay1"]


def test_boards_that_come_later_are_found_and_those_that_go_are_told_of(bar: Bar) -> None:
    core = bar.core()
    daemon = bar.daemon(core, device="board?")
    daemon.line("ready: no serial device at ")
    boards = bar.simulators(2)
    online(core, *NAMES[:2])
    boards[0].verb("unplug")
    online(core, NAMES[1])
    assert states(core)[NAMES[0]] == "absent"
    assert "unplugged, last on" in daemon.line(f"status: boards online: {NAMES[1]}; board {NAMES[0]}")
    boards[0].verb("plug")
    online(core, *NAMES[:2])
    pour(boards[0], 30)
    core.until_read(30, f"{NAMES[0]}.flow0")


def test_boards_that_swap_their_sockets_keep_their_names_and_their_odometers(bar: Bar) -> None:
    boards, core = bar.simulators(2, "--noreset_on_open"), bar.core()
    sockets = ports(bar, boards)
    bar.daemon(core, device="port?")
    online(core, *NAMES[:2])
    for ticks, board in zip((100, 700), boards, strict=True):
        pour(board, ticks)
    for ticks, name in zip((100, 700), NAMES, strict=False):
        core.until_read(ticks, f"{name}.flow0")
    for board, socket in zip(boards, sockets, strict=True):
        board.verb("unplug", "--keep_power")
        socket.unlink()
    online(core)
    for board, socket in zip(boards, reversed(sockets), strict=True):
        socket.symlink_to(board.link)
        pour(board, 5)
        board.verb("plug")
    online(core, *NAMES[:2])
    for board in boards:
        pour(board, 1)
    core.until_read(106, f"{NAMES[0]}.flow0")
    core.until_read(706, f"{NAMES[1]}.flow0")
    assert core.readings(f"{NAMES[0]}.flow0") == sorted(core.readings(f"{NAMES[0]}.flow0"))
    assert core.readings(f"{NAMES[1]}.flow0") == sorted(core.readings(f"{NAMES[1]}.flow0"))


def test_a_device_with_several_names_is_opened_once(bar: Bar) -> None:
    (bar.cwd / "by-id").mkdir()
    (board,) = bar.simulators(1)
    (bar.cwd / "by-id" / "usb-Arduino").symlink_to(board.link)
    core = bar.core()
    daemon = bar.daemon(core, device="board1,by-id/*,board?")
    online(core, NAMES[0])
    daemon.end()
    assert board.state()["opened"] == 1
    daemon.line("opened ")
    assert not any("opened " in line for line in daemon.lines)


def test_two_boards_of_one_name_are_told_apart_and_the_second_comes_in_when_the_first_goes(bar: Bar) -> None:
    first = bar.simulator(name="board1")
    core = bar.core()
    daemon = bar.daemon(core, device="board?")
    online(core, "kegboard")
    second = bar.simulator(name="board2")
    line = daemon.line("board2 refused: another board on ")
    assert f"{first.link} is kegboard already" in line
    assert "kegboard_monitor.py --set_serial_number=new" in line
    pour(second, 50)
    pour(first, 20)
    core.until_read(20)
    core.until(lambda: any(isinstance(e, BoardStatus) and e.state == "refused" for e in core.events))
    first.verb("unplug")
    online(core)
    online(core, "kegboard")
    pour(second, 1)
    core.until_read(51)


def test_a_board_gets_the_name_that_somebody_gave_its_serial_number_or_its_device(bar: Bar) -> None:
    bar.simulators(2)
    core = bar.core()
    flag = f"--kegboard_names=kb-0000-0000-00000001=left,{bar.cwd / 'board2'}=right"
    bar.daemon(core, flag, device="board1,board2")
    online(core, "left", "right")


def test_a_board_status_says_what_the_board_said(bar: Bar) -> None:
    bar.simulators(1)
    core = bar.core()
    bar.daemon(core, device="board?")
    online(core, NAMES[0])
    status = next(e for e in core.events if isinstance(e, BoardStatus))
    assert (status.firmware_version, status.serial_number) == (18, "KB-0000-0000-00000001")
    assert status.device == str(bar.cwd / "board1")
    assert status.uptime_s is not None
    assert 0 <= status.uptime_s < 60


def test_firmware_too_old_among_several_boards_is_told_of_that_board_only(bar: Bar) -> None:
    bar.simulator("--firmware_version=6", name="old1")
    bar.simulators(1, name="new")
    core = bar.core()
    daemon = bar.daemon(core, device="old1,new?")
    core.until(lambda: states(core) == {"kegboard": "too_old", NAMES[0]: "online"})
    daemon.line("firmware 6 is too old, 7 or later is needed")


def test_the_same_board_is_known_after_a_new_daemon_and_keeps_counting(bar: Bar) -> None:
    boards, core = bar.simulators(2), bar.core()
    daemon = bar.daemon(core, device="board?")
    online(core, *NAMES[:2])
    for board in boards:
        pour(board, 40)
    for name in NAMES[:2]:
        core.until_read(40, f"{name}.flow0")
    daemon.kill()
    for board in boards:
        pour(board, 2)
    core.events.clear()
    bar.daemon(core, device="board?")
    online(core, *NAMES[:2])
    for board in boards:
        pour(board, 1)
    for name in NAMES[:2]:
        core.until_read(43, f"{name}.flow0")
