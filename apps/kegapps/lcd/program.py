"""Shows taps, pours and the last drink on a character display.

Displays: cfa635 (Crystalfontz CFA-635) and mtxorb20x4 (Matrix Orbital) on a serial port, lcdproc (whatever LCDd of
the lcdproc package drives), hd44780_i2c (the common 16x2 and 20x4 modules with an I2C backpack), and terminal, which
draws one here. A display that is missing or unplugged is waited for, and so is the core.

Example: lcd_daemon.py --lcd_device_type=terminal --units=ml
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from kegapps.daemon import runner
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.port import missing_directory
from kegapps.daemon.service import Service
from kegapps.kegnet.address import parse_address
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.kegnet.token_file import TokenFileError, read_token
from kegapps.lcd.cfa635 import DEFAULT_BAUD as CFA635_BAUD
from kegapps.lcd.daemon import LcdDaemon, MakeDisplay, MakeServer, Manner
from kegapps.lcd.hd44780 import CHARSETS, MAX_CHARACTERS, Hd44780Display, Library
from kegapps.lcd.i2c_address import parse_i2c_address
from kegapps.lcd.mtxorb import DEFAULT_BAUD as MTXORB_BAUD
from kegapps.lcd.screens import UNITS

FLAGS = flags.FLAGS

TYPES = ("cfa635", "mtxorb20x4", "lcdproc", "hd44780_i2c", "terminal")

flags.DEFINE_enum("lcd_device_type", "cfa635", TYPES, "Which display it is.")
flags.DEFINE_string("lcd_device_path", "/dev/ttyUSB0", "Serial port of the display: cfa635 and mtxorb20x4.")
flags.DEFINE_integer(
    "lcd_baud_rate",
    None,
    f"Speed of the serial port. None: {CFA635_BAUD} for cfa635, {MTXORB_BAUD} for mtxorb20x4.",
    300,
    4_000_000,
)
flags.DEFINE_integer("lcd_i2c_bus", 1, "I2C bus of the display, 1 being /dev/i2c-1: hd44780_i2c.", 0, 255)
flags.DEFINE_string(
    "lcd_i2c_address",
    "0x27",
    "Address of the display on that bus, in hexadecimal, often 0x27 or 0x3f: hd44780_i2c.",
)
flags.DEFINE_enum(
    "lcd_charset", "A00", CHARSETS, "ROM of the display, A00 Japanese or A02 European: hd44780_i2c."
)
flags.DEFINE_integer("lcd_columns", 20, "Characters in a row: hd44780_i2c and terminal.", 8, 80)
flags.DEFINE_integer("lcd_rows", 4, "Rows: hd44780_i2c and terminal.", 1, 16)
flags.DEFINE_string(
    "lcdproc_address",
    "localhost:13666",
    "Where LCDd listens: host:port. The host is localhost or an IP address.",
)
flags.DEFINE_float(
    "backlight_timeout",
    300.0,
    "Seconds after the last pour until the backlight goes off. 0: it stays on.",
    0.0,
)
flags.DEFINE_float("rotation_time", 10.0, "Seconds for each screen while nobody pours.", 1.0, 3600.0)
flags.DEFINE_float(
    "krest_update_interval",
    60.0,
    "Seconds from one question to the next what is on tap, how full and how warm; it is also asked after each drink.",
    10.0,
)
flags.DEFINE_string(
    "api_url",
    "",
    "A Kegbot Server to ask what is on tap, beside a core of 2012, which does not tell. Others do: leave it empty.",
)
flags.DEFINE_string("api_key_file", "", "A file of mode 0600 with the key for --api_url, if that wants one.")
flags.DEFINE_enum("units", "oz", list(UNITS), "Unit of volumes; oz and pint are those of the US.")
flags.DEFINE_enum("temperature_units", "c", ["c", "f"], "Celsius or Fahrenheit.")


def display_from_flags(service: Service) -> MakeDisplay:
    """What makes the display that the flags ask for. Raises UsageError and StartError."""
    kind = FLAGS.lcd_device_type
    columns, rows = FLAGS.lcd_columns, FLAGS.lcd_rows
    if kind == "terminal":
        if FLAGS.daemon:
            raise UsageError(
                "--lcd_device_type=terminal has no terminal in the background, nor in a section of master.py: "
                "leave out --daemon, or choose another type"
            )
        from kegapps.lcd.terminal import TerminalDisplay

        return lambda loop, on_status: TerminalDisplay(loop, columns=columns, rows=rows, on_status=on_status)
    if kind == "lcdproc":
        from kegapps.lcd.lcdproc import LcdprocDisplay

        address = _lcdproc_address()
        return lambda loop, on_status: LcdprocDisplay(loop, address=address, on_status=on_status)
    if kind == "hd44780_i2c":
        return _hd44780()
    if not FLAGS.lcd_device_path:
        raise UsageError("--lcd_device_path= is empty: which serial port is the display on?")
    path, baud = service.path(FLAGS.lcd_device_path), FLAGS.lcd_baud_rate
    if not path.startswith("/dev/") and (folder := missing_directory(path)):
        raise StartError(f"--lcd_device_path={path}: no such directory: {folder}")
    from kegapps.lcd.serial_display import Cfa635Display, MatrixOrbitalDisplay

    if kind == "cfa635":
        return lambda loop, on_status: Cfa635Display(
            loop, path=path, baud=baud or CFA635_BAUD, on_status=on_status
        )
    return lambda loop, on_status: MatrixOrbitalDisplay(
        loop, path=path, baud=baud or MTXORB_BAUD, on_status=on_status
    )


def _hd44780() -> MakeDisplay:
    columns, rows, bus = FLAGS.lcd_columns, FLAGS.lcd_rows, FLAGS.lcd_i2c_bus
    if rows not in (1, 2, 4) or columns * rows > MAX_CHARACTERS:
        raise UsageError(
            f"--lcd_columns={columns} --lcd_rows={rows}: an HD44780 has 1, 2 or 4 rows and at most "
            f"{MAX_CHARACTERS} characters; common are 20 by 4 and 16 by 2"
        )
    try:
        address = parse_i2c_address(FLAGS.lcd_i2c_address)
    except ValueError as error:
        raise UsageError(f"--lcd_i2c_address={error}") from None
    charset = FLAGS.lcd_charset
    library = Library()
    return lambda loop, on_status: Hd44780Display(
        loop, bus=bus, address=address, columns=columns, rows=rows, charset=charset, on_status=on_status,
        library=library,
    )  # fmt: skip


def _lcdproc_address() -> tuple[str, int]:
    try:
        host, port = parse_address(FLAGS.lcdproc_address)
    except ValueError as error:
        raise UsageError(f"--lcdproc_address={error}") from None
    if port == 0:
        raise UsageError(f"--lcdproc_address={FLAGS.lcdproc_address}: port 0 is nowhere")
    return host, port


def server_from_flags(service: Service) -> MakeServer | None:
    """What asks the Kegbot Server that the flags name, if they do. Raises UsageError and StartError."""
    if not FLAGS.api_url:
        if FLAGS.api_key_file:
            raise UsageError("--api_key_file: a key for the Kegbot Server, but no --api_url: where is it?")
        return None
    from kegapps.lcd.server_taps import ServerTaps
    from kegapps.server.url import parse_api_key, parse_api_url

    try:
        url = parse_api_url(FLAGS.api_url)
    except ValueError as error:
        raise UsageError(f"--api_url: {error}") from None
    key = None
    if FLAGS.api_key_file:
        try:
            key = parse_api_key(read_token(service.path(FLAGS.api_key_file)))
        except (TokenFileError, ValueError) as error:
            raise StartError(f"--api_key_file: {error}") from None
    every_s = FLAGS.krest_update_interval
    return lambda loop, on_taps, on_status: ServerTaps(
        loop, url, key, every_s=every_s, on_taps=on_taps, on_status=on_status
    )


def serve(service: Service) -> None:
    """Show until told to stop."""
    daemon = LcdDaemon(
        service,
        core=core_address(),
        token=kegnet_token(service.path),
        display=display_from_flags(service),
        manner=Manner(
            rotation_s=FLAGS.rotation_time,
            backlight_s=FLAGS.backlight_timeout,
            update_s=FLAGS.krest_update_interval,
            unit=UNITS[FLAGS.units],
            fahrenheit=FLAGS.temperature_units == "f",
        ),
        server=server_from_flags(service),
    )
    service.ready(daemon.status)
    service.loop.run()
    daemon.close()


def main(argv: Sequence[str]) -> int:
    """The program."""
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)
