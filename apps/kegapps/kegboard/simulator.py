"""An emulated Kegboard on a pseudo terminal, for trying everything without a board.

kegboard_simulator.py --device_link=/tmp/kegboard
    is the board: boots, says hello, counts what you pour, switches relays. Give /tmp/kegboard to
    kegboard_daemon.py or kegboard_monitor.py as --kegboard_device.

kegboard_simulator.py --device_link=/tmp/kegboard pour flow0 1000
    does something to it.

kegboard_simulator.py --device_link=/tmp/kegboard --boards=4
    is four boards, /tmp/kegboard1 to /tmp/kegboard4, each with a serial number and a control of its own.

All verbs:

"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from kegapps.daemon import runner
from kegapps.daemon.port import missing_directory
from kegapps.kbsp.thermo import parse_address
from kegapps.kegboard import verbs
from kegapps.kegboard.board import MAX_METERS, SERIAL_NUMBER_LIMIT, Board, BoardConfig
from kegapps.kegboard.control import ControlError
from kegapps.kegboard.emulator import Emulator
from kegapps.kegboard.paths import Paths
from kegapps.kegboard.pty_line import LineError
from kegapps.kegboard.rig import Rig

FLAGS = flags.FLAGS
MAX_BOARDS = 16
FAST_BOOTLOADER_S = 0.05

flags.DEFINE_string("device_link", "", "Name of the serial device: a symbolic link that the program makes.")
flags.DEFINE_string(
    "control", "", "Socket for the verbs, with --boards CONTROL1 and so on. Empty: DEVICE_LINK.control."
)
flags.DEFINE_integer(
    "boards",
    None,
    "So many boards in one program, at DEVICE_LINK1, DEVICE_LINK2 and so on; the verbs are for one of them.",
    1,
    MAX_BOARDS,
)
flags.DEFINE_boolean(
    "reset_on_open",
    True,
    "Opening the device reboots the board, as with an Uno or Mega, unless the program that had it open before "
    "left DTR raised; without, as with a board on native USB.",
)
flags.DEFINE_boolean(
    "fast_boot", False, "Say hello at once after a reset, without bootloader (1.5 s) and tune."
)
flags.DEFINE_float("bootloader_s", 1.5, "Seconds in the bootloader, which hears and counts nothing.", 0, 60)
flags.DEFINE_float("boot_tune_s", 0.5, "Seconds of tune before the first hello.", 0, 60)
flags.DEFINE_integer("meters", 2, "Flow meters: an Uno has 2, a Mega 6.", 1, MAX_METERS)
flags.DEFINE_list(
    "thermo",
    ["28105634120008cd"],
    "Thermometers: their 1-wire addresses, family code (28 or 10) first, separated by commas.",
)
flags.DEFINE_list(
    "board_serial_number",
    [],
    "What is in the EEPROM, such as KB-0000-0000-deadbeef. With --boards one for each, separated by commas; the "
    "others have KB-0000-0000-00000001 and so on.",
)
flags.DEFINE_integer("firmware_version", 18, "What the board says it runs.", 1, 65535)
flags.DEFINE_float("seconds", None, "pour: how long it takes.")
flags.DEFINE_float("ticks_per_second", None, f"pour: how fast ({verbs.TICKS_PER_SECOND:g} if not given).")
flags.DEFINE_boolean("keep_power", None, "unplug: the board has a power supply of its own and counts on.")


def make_board(serial_number: str) -> Board:
    """The board that the flags describe. Raises UsageError."""
    if not (serial_number.isascii() and (serial_number + "x").isprintable()):
        raise runner.UsageError(f"--board_serial_number={serial_number!r}: expected printable ASCII")
    if len(serial_number) > SERIAL_NUMBER_LIMIT:
        raise runner.UsageError(
            f"--board_serial_number={serial_number}: only {SERIAL_NUMBER_LIMIT} characters fit"
        )
    try:
        thermometers = tuple(parse_address(text) for text in FLAGS.thermo)
    except ValueError as error:
        raise runner.UsageError(f"--thermo: {error}") from None
    fast = FLAGS.fast_boot
    return Board(
        BoardConfig(
            meters=FLAGS.meters,
            thermometers=thermometers,
            serial_number=serial_number,
            firmware_version=FLAGS.firmware_version,
            # Not 0: a host that missed the hello could not tell such a boot from a board that ran before it came.
            bootloader_s=FAST_BOOTLOADER_S if fast else FLAGS.bootloader_s,
            boot_tune_s=0.0 if fast else FLAGS.boot_tune_s,
        )
    )


def serial_numbers(boards: int) -> list[str]:
    """One for each board, as the flags have it. Raises UsageError."""
    given: list[str] = FLAGS.board_serial_number
    if len(given) > boards:
        raise runner.UsageError(f"--board_serial_number: {len(given)} of them, and --boards={boards}")
    if FLAGS.boards is None:
        return given or [""]
    return given + [f"KB-0000-0000-{number:08x}" for number in range(len(given) + 1, boards + 1)]


def option_words() -> list[str]:
    """The flags that belong to a verb, as words of that verb."""
    return [f"--{name}={FLAGS[name].value}" for name in verbs.OPTIONS if FLAGS[name].value is not None]


def main(argv: Sequence[str]) -> int:
    """The program; returns its exit status."""
    paths = Paths()

    def serve(service: runner.Service) -> int | None:
        if not FLAGS.device_link:
            raise runner.UsageError(
                "--device_link: name the device, for instance --device_link=/tmp/kegboard"
            )
        link = paths.absolute(FLAGS.device_link)
        control = paths.absolute(FLAGS.control or FLAGS.device_link + ".control")
        if service.positional:
            from kegapps.kegboard import simulator_client

            words = [word[1:] if word.startswith(" -") else word for word in service.positional]
            return simulator_client.run(service, [*words, *option_words()], control, paths)
        if folder := missing_directory(link):
            raise runner.StartError(f"--device_link={link}: no such directory: {folder}")
        boards: list[Emulator] = []
        try:
            for number, serial_number in enumerate(serial_numbers(FLAGS.boards or 1), start=1):
                suffix = str(number) if FLAGS.boards else ""
                board = Emulator(
                    service.loop,
                    Rig(make_board(serial_number)),
                    link=link + suffix,
                    control=control + suffix if FLAGS.control else f"{link}{suffix}.control",
                    reset_on_open=FLAGS.reset_on_open,
                )
                boards.append(board)
                board.start()
            service.ready(", ".join(f"board at {board.link} ({board.device})" for board in boards))
            service.loop.run()
        except (ControlError, LineError) as error:
            raise runner.StartError(str(error)) from None
        finally:
            for board in boards:
                board.close()
        return None

    # A word such as -3.5 is a temperature, not a flag; a leading blank keeps it from being taken for one.
    words = [" " + word if word[:1] == "-" and word[1:2].isdigit() else word for word in argv]
    usage = f"{__doc__ or ''}{verbs.USAGE}"
    return runner.main(serve, module=__name__, argv=words, usage=usage)
