"""What --kegboard_device means, and which paths are one device."""

from __future__ import annotations

import pytest

from kegapps.kegboard.devices import AUTO_PATTERNS, Device, Wanted, distinct, parse_devices


def absolute(path: str) -> str:
    return path if path.startswith("/") else f"/home/{path}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/dev/ttyUSB0", Wanted(paths=("/dev/ttyUSB0",))),
        ("board", Wanted(paths=("/home/board",))),
        ("/dev/ttyUSB0,/dev/ttyUSB1", Wanted(paths=("/dev/ttyUSB0", "/dev/ttyUSB1"))),
        ("/dev/ttyUSB0, /dev/ttyUSB0,", Wanted(paths=("/dev/ttyUSB0",))),
        ("/dev/ttyUSB*", Wanted(patterns=("/dev/ttyUSB*",))),
        ("/dev/serial/by-id/*Arduino*", Wanted(patterns=("/dev/serial/by-id/*Arduino*",))),
        ("auto", Wanted(patterns=AUTO_PATTERNS)),
        ("auto,board", Wanted(paths=("/home/board",), patterns=AUTO_PATTERNS)),
    ],
)
def test_a_device_is_a_path_a_list_a_pattern_or_auto(text: str, wanted: Wanted) -> None:
    assert parse_devices(text, absolute) == wanted


def test_only_one_plain_path_is_one_board_known_by_its_path() -> None:
    singles = {text: parse_devices(text, absolute).single for text in ("a", "a,b", "a*", "auto", "a,auto")}
    assert singles == {"a": True, "a,b": False, "a*": False, "auto": False, "a,auto": False}


@pytest.mark.parametrize("text", ["", " , "])
def test_no_device_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="name the board's serial device, such as /dev/ttyUSB0, or auto"):
        parse_devices(text, absolute)


def test_the_directories_to_watch_are_those_before_the_first_wildcard() -> None:
    assert list(parse_devices("/dev/ttyUSB0,/dev/serial/by-*/x*", absolute).directories()) == [
        "/dev",
        "/dev/serial",
    ]


BY_ID = "/dev/serial/by-id/usb-Arduino_75330"


@pytest.mark.parametrize(
    ("found", "devices"),
    [
        ([], []),
        (
            [(BY_ID, "/dev/ttyACM0"), ("/dev/ttyACM0", "/dev/ttyACM0")],
            [Device(path=BY_ID, target="/dev/ttyACM0", names=(BY_ID, "/dev/ttyACM0"))],
        ),
        (
            [("/dev/ttyACM0", "/dev/ttyACM0"), (BY_ID, "/dev/ttyACM0")],
            [Device(path=BY_ID, target="/dev/ttyACM0", names=("/dev/ttyACM0", BY_ID))],
        ),
        (
            [("/dev/ttyUSB0", "/dev/ttyUSB0"), ("/dev/ttyUSB1", "/dev/ttyUSB1")],
            [
                Device(path=path, target=path, names=(path,)) for path in ("/dev/ttyUSB0", "/dev/ttyUSB1")
            ],
        ),
        (
            [("/tmp/link", "/dev/pts/3"), ("/tmp/link", "/dev/pts/3")],
            [Device(path="/tmp/link", target="/dev/pts/3", names=("/tmp/link",))],
        ),
    ],
    ids=["none", "by-id first", "by-id last", "two ports", "found twice"],
)  # fmt: skip
def test_a_device_with_several_paths_is_one_and_known_by_its_id(
    found: list[tuple[str, str]], devices: list[Device]
) -> None:
    assert distinct(found) == devices
