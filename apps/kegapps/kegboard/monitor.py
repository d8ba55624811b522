"""Prints what a Kegboard says, one message a line.

Reads the board at --kegboard_device (and waits for it if it is not there), or a recording with --input. While
another program, such as kegboard_daemon.py, has the device open, this one waits. Damage on the line is told on
standard error; the last line there counts everything. Exit status: 0, or 1 if a recording held damage.
--set_serial_number=new gives a board its serial number instead, by which several boards are told apart.

"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from absl import flags

from kegapps.daemon import flags as common_flags
from kegapps.daemon import runner
from kegapps.daemon.loop import READ
from kegapps.daemon.port import Port, PortError, missing_directory
from kegapps.kbsp.codec import BAUD, Decoder, encode
from kegapps.kbsp.messages import Message, Ping
from kegapps.kegboard.paths import Paths
from kegapps.kegboard.wording import as_json, describe, name_of

FLAGS = flags.FLAGS
flags.DEFINE_string("kegboard_device", "/dev/ttyUSB0", "Serial device of the board.")
flags.DEFINE_string("input", "", 'Read a recording of raw bytes instead; "-": standard input.')
flags.DEFINE_boolean("json", False, "Print one JSON object a line.")
flags.DEFINE_integer("count", 0, "End after so many messages; 0: go on.", 0)
flags.DEFINE_enum("send", None, ["ping"], "Ask the board for a hello once it is open.")
flags.DEFINE_string(
    "set_serial_number",
    "",
    "Give the board this serial number, such as KB-0000-0000-deadbeef, or a new one (new), and end. A board that has "
    "a number keeps it.",
)

RETRY_S: Final = 0.5
SETTLE_S: Final = 0.2
READ_BYTES: Final = 65_536
DAMAGE: Final = (
    "garbage_bytes",
    "crc_errors",
    "bad_lengths",
    "bad_trailers",
    "unknown_messages",
    "malformed",
)


class Monitor:
    """Prints messages and damage, and counts both."""

    def __init__(self, *, limit: int, now: Callable[[], datetime] | None) -> None:
        """`limit` 0: no end. Without `now` (a recording) lines bear no time."""
        self.messages = 0
        self._limit = limit
        self._now = now
        self._decoder = Decoder()
        self._totals = dict.fromkeys(DAMAGE, 0)
        self._told = dict.fromkeys(DAMAGE, 0)

    @property
    def full(self) -> bool:
        """True when the wanted number of messages was printed."""
        return bool(self._limit) and self.messages >= self._limit

    @property
    def damaged(self) -> bool:
        """True if anything but good messages came."""
        return any(self._counts().values())

    @property
    def unfinished(self) -> bool:
        """True while the beginning of a frame waits for its end."""
        return self._decoder.pending_bytes > 0

    def feed(self, data: bytes) -> None:
        """Print what `data` completes."""
        self._print(self._decoder.feed(data))

    def settle(self) -> None:
        """The line is quiet: print what a frame cut short has swallowed."""
        self._print(self._decoder.settle())

    def line_ended(self) -> None:
        """The line is gone; what was unfinished on it is garbage."""
        counts = self._counts()
        counts["garbage_bytes"] += self._decoder.pending_bytes
        self._totals = counts
        self._decoder = Decoder()

    def summary(self) -> str:
        """One line that counts everything."""
        return ", ".join([f"{self.messages} messages", *_spelled(self._counts())])

    def _print(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if self.full:
                break
            self.messages += 1
            print(self._line(message), flush=True)
        # An unfinished prefix may make the next byte good or bad: tell of garbage when that is settled.
        counts = self._counts()
        news = {name: counts[name] - self._told[name] for name in DAMAGE if counts[name] > self._told[name]}
        if news:
            self._told = counts
            print(f"!! {', '.join(_spelled(news))}", file=sys.stderr, flush=True)

    def _line(self, message: Message) -> str:
        time = self._now() if self._now else None
        if FLAGS.json:
            stamp = {"time": time.isoformat(timespec="milliseconds")} if time else {}
            return json.dumps(stamp | as_json(message))
        text = f"{name_of(message):<20} {describe(message)}".rstrip()
        return f"{time:%H:%M:%S}.{time.microsecond // 1000:03} {text}" if time else text

    def _counts(self) -> dict[str, int]:
        return {name: self._totals[name] + int(getattr(self._decoder, name)) for name in DAMAGE}


def _spelled(counts: dict[str, int]) -> list[str]:
    return [f"{count} {name.replace('_', ' ')}" for name, count in counts.items()]


class _Live:
    """The monitor on a device, waiting for it as long as it takes."""

    def __init__(self, service: runner.Service, monitor: Monitor, device: str) -> None:
        self._service = service
        self._loop = service.loop
        self._monitor = monitor
        self._device = device
        self._waits = ""
        self._port: Port | None = None
        self._heard_s = 0.0
        self._settling = False

    def run(self) -> None:
        self._open()
        if not FLAGS.count:
            self._service.ready()
        self._loop.run()
        if self._port is not None:
            self._port.close()

    def _open(self) -> None:
        try:
            self._port = Port(self._loop, self._device, baud=BAUD, on_bytes=self._read, on_lost=self._lost)
        except PortError as error:
            if self._waits != str(error):
                self._waits = str(error)
                _tell(f"waiting for {self._device}: {error}")
            self._loop.call_later(RETRY_S, self._open)
            return
        self._waits = ""
        _tell(f"opened {self._device}")
        if FLAGS.send == "ping":
            self._port.write(encode(Ping()))

    def _read(self, data: bytes) -> None:
        self._monitor.feed(data)
        self._heard_s = self._loop.now_s()
        if self._monitor.full:
            self._loop.stop()
        elif self._monitor.unfinished and not self._settling:
            self._settling = True
            self._loop.call_later(SETTLE_S, self._settle)

    def _settle(self) -> None:
        self._settling = False
        if self._monitor.unfinished and self._loop.now_s() - self._heard_s < SETTLE_S:
            self._settling = True
            self._loop.call_later(SETTLE_S, self._settle)
            return
        self._monitor.settle()
        if self._monitor.full:
            self._loop.stop()

    def _lost(self, reason: str) -> None:
        self._port = None
        self._monitor.line_ended()
        self._waits = "no such device"
        _tell(f"{reason}, waiting for {self._device}")
        self._loop.call_later(RETRY_S, self._open)


def _play(service: runner.Service, monitor: Monitor, fd: int) -> None:
    """Feed a recording; a pipe may be slow, and SIGTERM ends it then, too."""

    def read(_ready: int) -> None:
        data = os.read(fd, READ_BYTES)
        monitor.feed(data)
        if not data or monitor.full:
            service.loop.stop()

    def read_on() -> None:
        service.loop.call_later(0.0, read_on)
        read(READ)

    try:
        service.loop.watch(fd, READ, read)
    except PermissionError:
        read_on()  # a file is always ready, so the loop does not take it
    service.loop.run()
    service.loop.unwatch(fd)
    monitor.settle()
    if not monitor.full:
        monitor.line_ended()


def _set_serial_number(service: runner.Service, device: str) -> int:
    from kegapps.kegboard import serial_number

    try:
        number = serial_number.parse_serial_number(FLAGS.set_serial_number)
    except ValueError as error:
        raise runner.UsageError(f"--set_serial_number={error}") from None
    try:
        print(serial_number.give(service.loop, device, number))
    except serial_number.CannotGiveError as error:
        raise runner.StartError(str(error)) from None
    return runner.DONE


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str]) -> int:
    """The program; returns its exit status."""
    paths = Paths()
    # Standard output belongs to the messages.
    common_flags.define()
    FLAGS.set_default("log_to_stdout", False)

    def serve(service: runner.Service) -> int | None:
        if FLAGS.input:
            monitor = Monitor(limit=FLAGS.count, now=None)
            try:
                fd = 0 if FLAGS.input == "-" else os.open(paths.absolute(FLAGS.input), os.O_RDONLY)
                _play(service, monitor, fd)
            except OSError as error:
                raise runner.StartError(f"--input={FLAGS.input}: {error.strerror or error}") from None
            _tell(monitor.summary())
            return int(monitor.damaged)
        if not FLAGS.kegboard_device:
            raise runner.UsageError("--kegboard_device: name the board's serial device, such as /dev/ttyUSB0")
        device = paths.absolute(FLAGS.kegboard_device)
        if folder := missing_directory(device):
            raise runner.StartError(f"--kegboard_device={device}: no such directory: {folder}")
        if FLAGS.set_serial_number:
            return _set_serial_number(service, device)
        monitor = Monitor(limit=FLAGS.count, now=lambda: datetime.now().astimezone())
        _Live(service, monitor, device).run()
        _tell(monitor.summary())
        return None

    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, job=True, max_positional=0)
