"""Passes on what Kegboards say to the core, and the core's relay commands to the boards.

One program serves all boards of a machine: --kegboard_device=auto finds them, and those that come later. A board
that is missing, late, unplugged or silent is waited for; a core that is not there yet is sent what was kept for it
when it comes. `master.py status` shows which of these it is. A board whose firmware is older than
--required_firmware_version is not listened to; it is tried again every 5 s, for it may be swapped or updated.

"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from kegapps.daemon import runner
from kegapps.daemon.port import missing_directory
from kegapps.kegboard.bridge import Bridge
from kegapps.kegboard.devices import parse_devices
from kegapps.kegboard.paths import Paths
from kegapps.kegboard.roster import Naming, check_name, parse_names
from kegapps.kegnet.address import DEFAULT_ADDRESS, parse_address
from kegapps.kegnet.token_flag import kegnet_token

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "kegboard_device",
    "/dev/ttyUSB0",
    "Serial device of the board; or several, separated by commas; or a pattern, such as '/dev/ttyUSB*'; or auto: "
    "whatever says hello on a serial port, each board once.",
)
flags.DEFINE_string(
    "kegboard_name",
    "kegboard",
    "What the meters, sensors and relays of the one board are called: NAME.flow0. Of several boards, one with a "
    "serial number is called NAME- and the last eight characters of that.",
)
flags.DEFINE_list(
    "kegboard_names",
    [],
    "Names of your own: SERIAL=NAME or DEVICE=NAME, separated by commas.",
)
flags.DEFINE_string("kb_core_addr", DEFAULT_ADDRESS, "Where the core listens: host:port, or the port alone.")
flags.DEFINE_integer("required_firmware_version", 7, "Oldest firmware to listen to.", 0, 65535)


def main(argv: Sequence[str]) -> int:
    """The program; returns its exit status."""
    paths = Paths()

    def serve(service: runner.Service) -> int | None:
        try:
            wanted = parse_devices(FLAGS.kegboard_device, paths.absolute)
        except ValueError as error:
            raise runner.UsageError(f"--kegboard_device: {error}") from None
        for device in wanted.paths:
            # What is plugged in later makes its directories below /dev itself.
            if not device.startswith("/dev/") and (folder := missing_directory(device)):
                raise runner.StartError(f"--kegboard_device={device}: no such directory: {folder}")
        try:
            check_name(FLAGS.kegboard_name)
        except ValueError as error:
            raise runner.UsageError(f"--kegboard_name={error}") from None
        try:
            given = parse_names(FLAGS.kegboard_names)
        except ValueError as error:
            raise runner.UsageError(f"--kegboard_names: {error}") from None
        naming = Naming(name=FLAGS.kegboard_name, single=wanted.single and not given, given=given)
        try:
            core = parse_address(FLAGS.kb_core_addr)
        except ValueError as error:
            raise runner.UsageError(f"--kb_core_addr: {error}") from None
        required = FLAGS.required_firmware_version
        token = kegnet_token(paths.absolute)
        bridge = Bridge(
            service, wanted=wanted, naming=naming, core=core, required_firmware=required, token=token
        )
        bridge.start()
        service.loop.run()
        bridge.farewell()
        return None

    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)
