"""Passes on what a Kegboard says to the core, and the core's relay commands to the board.

A board that is missing, late, unplugged or silent is waited for; a core that is not there yet is sent what was
kept for it when it comes. `master.py status` shows which of these it is. A board whose firmware is older than
--required_firmware_version is not listened to; it is tried again every 5 s, for it may be swapped or updated.

"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from absl import flags

from kegapps.daemon import runner
from kegapps.kegboard.bridge import Bridge
from kegapps.kegboard.paths import Paths
from kegapps.kegboard.port import missing_directory
from kegapps.kegnet.address import DEFAULT_ADDRESS, parse_address
from kegapps.kegnet.token_flag import kegnet_token

FLAGS = flags.FLAGS
flags.DEFINE_string("kegboard_device", "/dev/ttyUSB0", "Serial device of the board.")
flags.DEFINE_string(
    "kegboard_name", "kegboard", "What the board's meters, sensors and relays are called: NAME.flow0."
)
flags.DEFINE_string("kb_core_addr", DEFAULT_ADDRESS, "Where the core listens: host:port, or the port alone.")
flags.DEFINE_integer("required_firmware_version", 7, "Oldest firmware to listen to.", 0, 65535)

MAX_NAME: Final = 64


def main(argv: Sequence[str]) -> int:
    """The program; returns its exit status."""
    paths = Paths()

    def serve(service: runner.Service) -> int | None:
        device, name = paths.absolute(FLAGS.kegboard_device), FLAGS.kegboard_name
        if not FLAGS.kegboard_device:
            raise runner.UsageError("--kegboard_device: name the board's serial device, such as /dev/ttyUSB0")
        if folder := missing_directory(device):
            raise runner.StartError(f"--kegboard_device={device}: no such directory: {folder}")
        if not 0 < len(name) <= MAX_NAME or not (name.isascii() and name.isprintable()) or " " in name:
            raise runner.UsageError(f"--kegboard_name={name!r}: expected a short name such as kegboard")
        try:
            core = parse_address(FLAGS.kb_core_addr)
        except ValueError as error:
            raise runner.UsageError(f"--kb_core_addr: {error}") from None
        required = FLAGS.required_firmware_version
        token = kegnet_token(paths.absolute)
        board = Bridge(service, device=device, name=name, core=core, required_firmware=required, token=token)
        board.start()
        service.loop.run()
        board.farewell()
        return None

    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)
