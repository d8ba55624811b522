"""Tells the core which tags are held to a reader, so that a pour gets its owner.

A reader is one of --rfid_device_type: a PhidgetRFID; an ID-12, ID-20 or RDM6300 on a serial port; one that types
(wedge), whose keys come to this program only; or standard input, for scripts. One swipe is one token, however often
the reader repeats it. A reader that is late, absent or unplugged is waited for.

Example: rfid_daemon.py --rfid_device_type=serial --rfid_device_path=/dev/ttyUSB1
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from absl import flags

from kegapps.daemon import runner
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.service import Service
from kegapps.kegnet.events import ALL_TAPS
from kegapps.kegnet.fields import MAX_NAME_CHARS
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.rfid.bridge import Bridge, Names
from kegapps.rfid.reader import Listener, Reader
from kegapps.rfid.wedge_formats import FORMATS

FLAGS = flags.FLAGS

flags.DEFINE_enum(
    "rfid_device_type",
    "phidget",
    ["phidget", "serial", "wedge", "stdin"],
    "Kind of reader: phidget (1023, 1024; pip install 'kegmaster[rfid]'), serial (ID-12, ID-20, RDM6300), wedge (types "
    "like a keyboard) or stdin (a line a tag: HEX, added HEX or removed HEX).",
)
flags.DEFINE_string(
    "rfid_device_path",
    "",
    "Device of a serial reader, such as /dev/ttyUSB1, or of a wedge, such as /dev/input/by-id/usb-...-event-kbd.",
)
flags.DEFINE_integer("rfid_baud_rate", 9600, "Speed of a serial reader.", 300, 115_200)
flags.DEFINE_float(
    "rfid_hold_off_s",
    1.0,
    "A tag has gone when it was not seen for so long; seen again within it, it is the same swipe.",
    0.05,
    60.0,
)
flags.DEFINE_enum(
    "wedge_format",
    "hex",
    sorted(FORMATS),
    "How a wedge types numbers: hex, or decimal as the manuals call it: 8h10d makes ten decimal digits of eight "
    "hexadecimal ones. The token is the hexadecimal number.",
)
flags.DEFINE_string("auth_device", "core.rfid", "What the core knows the reader as; a token belongs to it.")
flags.DEFINE_string("tap_name", ALL_TAPS, "The tap that the reader is for, such as kegboard.flow0.")
flags.DEFINE_integer(
    "phidget_wait_seconds",
    0,
    "End with an error if no PhidgetRFID reader came within so many seconds of the start. 0: wait for ever.",
    0,
)
flags.DEFINE_boolean(
    "toggle_output", False, "Switch the outputs and the LED of a PhidgetRFID on while a tag lies on it."
)


def main(argv: Sequence[str]) -> int:
    """The program; returns its exit status."""
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)


def serve(service: Service) -> None:
    """Tell of tags until told to stop, or until standard input has ended."""
    bridge = Bridge(
        service,
        reader=partial(_reader, service),
        core=core_address(),
        token=kegnet_token(service.path),
        names=Names(auth_device=_name("auth_device"), tap_name=_name("tap_name")),
        hold_off_s=FLAGS.rfid_hold_off_s,
        ready_at_once=FLAGS.rfid_device_type != "phidget" or not FLAGS.phidget_wait_seconds,
    )
    bridge.start()
    service.loop.run()
    bridge.farewell()


def _reader(service: Service, listener: Listener) -> Reader:
    """The reader that the flags are for. Raises StartError and UsageError."""
    kind = FLAGS.rfid_device_type
    if kind == "phidget":
        from kegapps.rfid.phidget_reader import PhidgetReader

        return PhidgetReader(
            service.loop,
            listener,
            toggle_output=FLAGS.toggle_output,
            wait_s=FLAGS.phidget_wait_seconds,
        )
    if kind == "stdin":
        from kegapps.rfid.line_reader import LineReader

        if FLAGS.daemon:
            raise UsageError(
                "--rfid_device_type=stdin: in the background, and as an app of master.py, there is no standard input; "
                "pipe into it without --daemon"
            )
        return LineReader(service.loop, listener)
    from kegapps.rfid.device_reader import serial_reader, wedge_reader

    path = _device_path(service)
    if kind == "wedge":
        return wedge_reader(service.loop, path, listener, form=FLAGS.wedge_format)
    return serial_reader(service.loop, path, listener, baud=FLAGS.rfid_baud_rate)


def _device_path(service: Service) -> str:
    """The device, which need not be there. Raises UsageError, and StartError if it never can be."""
    from kegapps.daemon.port import missing_directory

    if not FLAGS.rfid_device_path:
        raise UsageError(f"--rfid_device_type={FLAGS.rfid_device_type} needs a --rfid_device_path")
    path = service.path(FLAGS.rfid_device_path)
    # What is plugged in later makes its directories below /dev itself.
    if not path.startswith("/dev/") and (folder := missing_directory(path)):
        raise StartError(f"--rfid_device_path={path}: no such directory: {folder}")
    return path


def _name(flag: str) -> str:
    """A name that kegnet carries. Raises UsageError."""
    name = str(FLAGS[flag].value)
    if not (0 < len(name) <= MAX_NAME_CHARS and name.isprintable()):
        raise UsageError(f"--{flag}={name[:40]!r}: expected 1 to {MAX_NAME_CHARS} printable characters")
    return name
