"""An emulated Kegboard on a pseudo terminal, for trying everything without a board.

kegboard_simulator.py --device_link=/tmp/kegboard
    is the board: boots, says hello, counts what you pour, switches relays. Give /tmp/kegboard to
    kegboard_daemon.py or kegboard_monitor.py as --kegboard_device.

kegboard_simulator.py --device_link=/tmp/kegboard pour flow0 1000
    does something to it. All verbs:

"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

from absl import flags

from kegapps.daemon import runner
from kegapps.daemon.loop import Loop, Timer
from kegapps.kegboard import verbs
from kegapps.kegboard.board import MAX_METERS, SERIAL_NUMBER_LIMIT, Board, BoardConfig
from kegapps.kegboard.control import Caller, ControlError, ControlServer, Json
from kegapps.kegboard.paths import Paths
from kegapps.kegboard.port import missing_directory
from kegapps.kegboard.pty_line import LineError, PtyLine
from kegapps.kegboard.rig import CannotError, Rig, RunningPour
from kegapps.kegboard.thermo import parse_address

FLAGS = flags.FLAGS
flags.DEFINE_string("device_link", "", "Name of the serial device: a symbolic link that the program makes.")
flags.DEFINE_string("control", "", "Socket for the verbs. Empty: DEVICE_LINK.control.")
flags.DEFINE_boolean(
    "reset_on_open",
    True,
    "Opening the device reboots the board, as with an Uno or Mega; without, as with a board on native USB.",
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
flags.DEFINE_string("board_serial_number", "", "What is in the EEPROM, such as KB-0000-0000-deadbeef.")
flags.DEFINE_integer("firmware_version", 18, "What the board says it runs.", 1, 65535)
flags.DEFINE_float("seconds", None, "pour: how long it takes.")
flags.DEFINE_float("ticks_per_second", None, f"pour: how fast ({verbs.TICKS_PER_SECOND:g} if not given).")
flags.DEFINE_boolean("keep_power", None, "unplug: the board has a power supply of its own and counts on.")

PROGRESS_EVERY_S = 0.25

log = logging.getLogger("simulator")


class Simulator:
    """The rig, its cable and its callers in one loop."""

    def __init__(self, loop: Loop, rig: Rig, *, link: str, control: str, reset_on_open: bool) -> None:
        """Raises ControlError if the control socket cannot be made."""
        self._loop = loop
        self._rig = rig
        self._reset_on_open = reset_on_open
        self._timer: Timer | None = None
        self._pouring: list[_Pouring] = []
        self._control = ControlServer(loop, control, self._request)
        self._line = PtyLine(loop, link, on_open=self._opened, on_close=self._closed, on_bytes=self._received)

    @property
    def device(self) -> str:
        """The pseudo terminal behind the link; "" while unplugged."""
        return self._line.device

    def start(self) -> None:
        """Plug in and power on. Raises LineError."""
        self._line.plug()
        self._rig.board.reset(self._loop.now_s())
        self._turn()

    def close(self) -> None:
        """Unplug and hang up."""
        self._line.unplug()
        self._control.close()

    def _turn(self) -> None:
        """Let the board do what is due, and sleep until the next thing is."""
        now_s = self._loop.now_s()
        sent = self._rig.run(now_s)
        if sent:
            self._line.send(sent)
        for pouring in self._pouring[:]:
            if self._rig.is_done(pouring.pour):
                self._pouring.remove(pouring)
                pouring.finish()
            else:
                pouring.show(now_s)
        if self._timer is not None:
            self._timer.cancel()
        wake_s = self._rig.wake_s
        self._timer = None if wake_s is None else self._loop.call_later(max(0.0, wake_s - now_s), self._turn)

    def _opened(self) -> None:
        log.info("opened by a host%s", ", which reboots the board" if self._reset_on_open else "")
        if self._reset_on_open and self._rig.board.powered:
            self._rig.board.reset(self._loop.now_s())
        self._turn()

    def _closed(self) -> None:
        log.info("closed by the host")

    def _received(self, data: bytes) -> None:
        self._rig.board.receive(data, self._loop.now_s())
        self._turn()

    def _request(self, request: Json, caller: Caller) -> None:
        words = request.get("words")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            caller.drop()
            return
        log.debug("verb: %s", " ".join(words))
        try:
            verb = verbs.parse(words)
            pour = self._perform(verb, caller)
        except (verbs.VerbError, CannotError, LineError) as error:
            caller.say({"ok": False, "text": str(error)})
            return
        if pour is None:
            # What the verb caused goes out before the caller hears that it is done.
            self._turn()
            caller.say({"ok": True, "state": self._state()} if verb == verbs.State() else {"ok": True})
            return
        pouring = _Pouring(pour, caller, progress=request.get("progress") is True)
        self._pouring.append(pouring)
        caller.on_gone = lambda: self._rig.stop(pour)
        self._turn()

    def _perform(self, verb: verbs.Verb, caller: Caller) -> RunningPour | None:
        del caller
        now_s = self._loop.now_s()
        self._line.send(self._rig.run(now_s))
        match verb:
            case verbs.State():
                pass
            case verbs.Noise():
                self._line.send(os.urandom(verb.count))
            case verbs.Unplug():
                self._line.unplug()
                if not verb.keep_power:
                    self._rig.board.power_off()
            case verbs.Plug():
                self._line.plug()
                if not self._rig.board.powered:
                    self._rig.board.reset(now_s)
            case _:
                return self._rig.perform(verb, now_s)
        return None

    def _state(self) -> Json:
        board, line, now_s = self._rig.board, self._line, self._loop.now_s()
        return {
            "plugged": line.plugged,
            "connected": line.connected,
            "powered": board.powered,
            "booted": board.booted(now_s),
            "uptime_s": round(board.uptime_s(now_s), 3),
            "firmware_version": board.config.firmware_version,
            "serial_number": board.serial_number,
            "meters": {f"flow{number}": ticks for number, ticks in enumerate(board.meter_ticks)},
            "relays": {f"relay{number}": enabled for number, enabled in enumerate(board.outputs_enabled)},
            "temperatures_c": {address.name: celsius for address, celsius in board.temperatures_c.items()},
            "tokens": [token[::-1].hex() for token in board.tokens_on_bus],
            "device_link": line.link,
            "device": line.device,
            "opened": line.opened,
            "sent_bytes": line.sent_bytes,
            "dropped_bytes": line.dropped_bytes,
            "received_bytes": line.received_bytes,
            "overrun_bytes": board.overrun_bytes,
        }


@dataclass(slots=True)
class _Pouring:
    """A pour and the caller who waits for it."""

    pour: RunningPour
    caller: Caller
    progress: bool
    shown_s: float = 0.0

    def show(self, now_s: float) -> None:
        if self.progress and now_s >= self.shown_s + PROGRESS_EVERY_S:
            self.shown_s = now_s
            self.caller.say({"poured": self.pour.poured, "ticks": self.pour.verb.ticks})

    def finish(self) -> None:
        self.caller.on_gone = None
        wanted, counted = self.pour.verb.ticks, self.pour.counted
        text = f"flow{self.pour.verb.meter}: {counted} of {wanted} ticks counted by the board"
        if counted < wanted:
            text += "; it had no power or was booting meanwhile"
        self.caller.say({"ok": counted == wanted, "text": text, "counted": counted})


def make_board() -> Board:
    """The board that the flags describe. Raises UsageError."""
    serial_number = FLAGS.board_serial_number
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
            bootloader_s=0.0 if fast else FLAGS.bootloader_s,
            boot_tune_s=0.0 if fast else FLAGS.boot_tune_s,
        )
    )


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
        try:
            simulator = Simulator(
                service.loop, Rig(make_board()), link=link, control=control, reset_on_open=FLAGS.reset_on_open
            )
        except ControlError as error:
            raise runner.StartError(str(error)) from None
        try:
            simulator.start()
            service.ready(f"board at {link} ({simulator.device})")
            service.loop.run()
        except LineError as error:
            raise runner.StartError(str(error)) from None
        finally:
            simulator.close()
        return None

    # A word such as -3.5 is a temperature, not a flag; a leading blank keeps it from being taken for one.
    words = [" " + word if word[:1] == "-" and word[1:2].isdigit() else word for word in argv]
    usage = f"{__doc__ or ''}{verbs.USAGE}"
    return runner.main(serve, module=__name__, argv=words, usage=usage)
