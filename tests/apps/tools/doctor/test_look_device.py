"""What the kernel and udev tell of a serial port, from folders made to look like theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kegapps.tools.doctor.look_device import is_ignored, is_known, is_tty, paths, usb_of

NUMBERS = os.makedev(188, 0)


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """A /sys with an FTDI adapter as ttyUSB0 and a port without USB as ttyS0."""
    root = tmp_path / "sys"
    adapter = root / "devices" / "usb1" / "1-1"
    port = adapter / "1-1:1.0" / "ttyUSB0"
    port.mkdir(parents=True)
    for name, text in (
        ("idVendor", "0403"), ("idProduct", "6001"), ("manufacturer", "FTDI"), ("product", "FT232R"),
        ("serial", "A6008isP"), ("dev", "189:4"),
    ):  # fmt: skip
        (adapter / name).write_text(f"{text}\n")
    serial = root / "devices" / "pnp" / "00:01"
    serial.mkdir(parents=True)
    for name, target in (("ttyUSB0", port), ("ttyS0", serial)):
        (root / "class" / "tty" / name).mkdir(parents=True)
        (root / "class" / "tty" / name / "device").symlink_to(target)
    return root


def test_the_usb_device_is_found_above_the_port(sys: Path) -> None:
    usb = usb_of("/dev/ttyUSB0", str(sys))
    assert usb is not None
    assert (usb.vendor_id, usb.product_id, usb.vendor, usb.product) == ("0403", "6001", "FTDI", "FT232R")
    assert usb.serial_number == "A6008isP"


def test_a_port_on_no_usb_has_none(sys: Path) -> None:
    assert usb_of("/dev/ttyS0", str(sys)) is None
    assert usb_of("/dev/pts/3", str(sys)) is None


@pytest.mark.parametrize("note", ["c188:0", "c189:4"])
def test_udev_may_have_told_modem_manager_to_leave_the_port_or_its_usb_device_alone(
    sys: Path, tmp_path: Path, note: str
) -> None:
    udev = tmp_path / "udev"
    udev.mkdir()
    assert not is_ignored(NUMBERS, "/dev/ttyUSB0", str(udev), str(sys))
    (udev / note).write_text("I:1\nE:ID_MM_DEVICE_IGNORE=0\nE:ID_MODEL=x\n")
    assert not is_ignored(NUMBERS, "/dev/ttyUSB0", str(udev), str(sys))
    (udev / note).write_text("I:1\nE:ID_MM_DEVICE_IGNORE=1\n")
    assert is_ignored(NUMBERS, "/dev/ttyUSB0", str(udev), str(sys))


def test_a_terminal_is_known_by_the_kernels_list_without_being_opened(tmp_path: Path) -> None:
    drivers = tmp_path / "drivers"
    drivers.write_text(
        "/dev/ptmx  /dev/ptmx  5  2 system\nusbserial  /dev/ttyUSB  188 0-511 serial\nrubbish\n\n"
    )
    assert is_tty(NUMBERS, str(drivers))
    assert is_tty(os.makedev(5, 2), str(drivers))
    assert not is_tty(os.makedev(188, 512), str(drivers))
    assert not is_tty(os.stat("/dev/null").st_rdev, str(drivers))
    assert not is_tty(os.stat("/dev/null").st_rdev)
    assert is_tty(NUMBERS, f"{tmp_path}/none"), "what cannot be told is no trouble"


def test_patterns_mean_what_is_there_and_each_device_once(tmp_path: Path) -> None:
    for name in ("ttyUSB0", "ttyUSB1"):
        (tmp_path / name).touch()
    (tmp_path / "by-id").symlink_to("ttyUSB1")
    assert paths(f"{tmp_path}/ttyUSB*") == [f"{tmp_path}/ttyUSB0", f"{tmp_path}/ttyUSB1"]
    assert paths(f"{tmp_path}/by-id,{tmp_path}/ttyUSB*") == [f"{tmp_path}/by-id", f"{tmp_path}/ttyUSB0"]
    assert paths(f"{tmp_path}/none") == [f"{tmp_path}/none"]
    assert paths(f"{tmp_path}/none*") == []


@pytest.mark.parametrize(
    ("device", "known"), [("/dev/ttyUSB0", True), ("auto", True), ("board", False), ("/dev/a,board", False)]
)
def test_a_relative_path_is_not_known_without_its_folder(device: str, known: bool) -> None:
    assert is_known(device) is known
