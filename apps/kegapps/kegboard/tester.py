"""Switches the relays of a Kegboard on and off in a loop, and checks that the board answers, and lives.

VALVES MAY OPEN: on a terminal it asks first, without one it needs --yes. The relays are off when it ends, however that
comes about; the board does it by itself within 10 s if this program cannot any more. Stop the daemon that uses the
board before. Exit status: 0 if every command was answered and the board said hello at the end, 1 if not.

Example: kegboard_tester.py --kegboard_device=/dev/ttyUSB0 --outputs=0,1 --cycles=5
"""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from absl import flags

from kegapps.daemon import flags as common_flags
from kegapps.daemon import runner
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.lockers import lockers, program_of
from kegapps.daemon.loop import READ
from kegapps.daemon.port import Port, PortError, missing_directory
from kegapps.daemon.service import Service
from kegapps.kbsp.codec import BAUD, Decoder
from kegapps.kegboard.devices import AUTO, AUTO_PATTERNS, distinct
from kegapps.kegboard.outputs import OUTPUTS
from kegapps.kegboard.printer import Printer
from kegapps.kegboard.trial import Step, Trial

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "kegboard_device", AUTO, "Serial device of the board; auto: the only serial device there is."
)
flags.DEFINE_list("outputs", ["0", "1", "2", "3"], "Which to switch: relays 0 to 3, the flow LEDs 4 and 5.")
flags.DEFINE_integer("cycles", 3, "How often each is switched on and off; 0: until interrupted.", 0)
flags.DEFINE_float("interval_s", 1.0, "Seconds that each stays on, and then off.", 0.25, 60.0)
flags.DEFINE_boolean("yes", False, "Do it without asking: it does not matter if valves open.")
flags.DEFINE_boolean("json", False, "Print one JSON object a line.")

WARNING: Final = "This switches the relays of the board at {device}: VALVES MAY OPEN and beer may flow."
STDIN: Final = 0
CLOSING_S: Final = 0.6  # a program has to end within a second


class _Run:
    """One trial of one board, from opening its port to the verdict."""

    def __init__(self, service: Service, device: str, outputs: Sequence[int]) -> None:
        """Opens the port. Raises PortError."""
        self._loop = service.loop
        self._device = device
        self._decoder = Decoder()
        self._printer = Printer()
        self._lost = ""
        self._closing = False
        self._begin_s = self._loop.now_s()
        self._trial = Trial(outputs, cycles=FLAGS.cycles, interval_s=FLAGS.interval_s, now_s=self._begin_s)
        self._port = Port(self._loop, device, baud=BAUD, on_bytes=self._read, on_lost=self._was_lost)

    def run(self) -> None:
        """Try it, switch everything off, print the verdict. Raises StartError if the board failed."""
        try:
            self._try()
        finally:
            self._close()
        self._judge()

    def _try(self) -> None:
        trial, loop = self._trial, self._loop
        while not (trial.is_done or self._lost or loop.stopping):
            if data := self._port.waiting():
                self._read(data)  # a process that was stopped is late, and the board is not to blame for it
            self._show(trial.wake(loop.now_s()))
            self._printer.go_on()
            self._port.write(trial.take(loop.now_s()))
            next_s = trial.next_s
            loop.run_once(None if next_s is None else max(0.0, next_s - loop.now_s()))

    def _close(self) -> None:
        """Everything off, and wait a moment for the board to say so."""
        trial, loop = self._trial, self._loop
        self._closing = True
        trial.close()
        until_s = loop.now_s() + CLOSING_S
        while not self._lost and (now_s := loop.now_s()) < until_s:
            self._port.write(trial.take(now_s))
            if trial.next_s is None and not trial.on and not self._port.unsent_bytes:
                break
            waits = [until_s, *([trial.next_s] if trial.next_s is not None else [])]
            loop.run_once(max(0.0, min(waits) - now_s))
        self._port.close()
        for output in sorted(trial.on):
            self._say(
                Step(text=f"relay{output} may be on; the board switches it off within 10 s", is_fault=True)
            )

    def _judge(self) -> None:
        trial = self._trial
        faults = list(trial.faults)
        if noise := self._decoder.crc_errors + self._decoder.bad_trailers + self._decoder.bad_lengths:
            faults.append(f"noise on the line: {noise} damaged messages")
        if self._lost:
            faults.append(self._lost)
        elif self._loop.stopping and FLAGS.cycles:
            faults.append("interrupted")
        said = f"{trial.answered} of {trial.asked} commands answered"
        if trial.answered:
            said += f", the slowest after {trial.slowest_s:.3f} s"
        if FLAGS.json:
            verdict = {
                "result": "failed" if faults else "ok", "faults": faults, "commands": trial.asked,
                "answered": trial.answered, "slowest_s": round(trial.slowest_s, 3),
            }  # fmt: skip
            self._printer.print(json.dumps(verdict))
        else:
            self._printer.print(f"{'failed' if faults else 'ok'}: {said}")
        if not self._printer.finish(self._loop):
            sys.exit(
                runner.FAILED if faults else runner.DONE
            )  # where nothing can be printed, no reason can, either
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise StartError(f"{self._device}: {faults[0]}{more}")

    def _read(self, data: bytes) -> None:
        self._show(self._trial.heard(self._decoder.feed(data), self._loop.now_s()))

    def _was_lost(self, reason: str) -> None:
        self._lost = reason

    def _show(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if not self._closing:  # a terminal that is gone must not keep us from switching off
                self._say(step)

    def _say(self, step: Step) -> None:
        at_s = self._loop.now_s() - self._begin_s
        if FLAGS.json:
            said: dict[str, Any] = {"at_s": round(at_s, 3), "text": step.text, "ok": not step.is_fault}
            if step.output is not None:
                answer_s = None if step.answer_s is None else round(step.answer_s, 3)
                said |= {"output": step.output, "enabled": step.enabled, "answer_s": answer_s}
            self._printer.print(json.dumps(said))
        else:
            self._printer.print(f"{at_s:8.3f} {'!!' if step.is_fault else '  '} {step.text}")


def serve(service: Service) -> int:
    """Ask, try, judge. Raises StartError with what is wrong."""
    outputs = _outputs()
    device = _device(service)
    if not (FLAGS.yes or _agreed(service, device)):
        raise StartError(f"{device}: nothing was switched")
    try:
        run = _Run(service, device, outputs)
    except PortError as error:
        raise StartError(f"{device}: {error}{_by_whom(device)}") from None
    run.run()
    return runner.DONE


def _outputs() -> list[int]:
    """The outputs that --outputs names, each once. Raises UsageError."""
    words = [word.strip() for word in FLAGS.outputs]
    if not words or not all(len(word) == 1 and "0" <= word < str(OUTPUTS) for word in words):
        raise UsageError(
            f"--outputs={','.join(words)}: expected numbers from 0 to {OUTPUTS - 1}, such as 0,1"
        )
    return list(dict.fromkeys(map(int, words)))


def _device(service: Service) -> str:
    """The path that --kegboard_device means. Raises StartError and UsageError."""
    if not FLAGS.kegboard_device:
        raise UsageError(f"--kegboard_device is empty; name the board's device, or {AUTO}")
    if FLAGS.kegboard_device != AUTO:
        path = service.path(FLAGS.kegboard_device)
        if folder := missing_directory(path):
            raise StartError(f"--kegboard_device={path}: no such directory: {folder}")
        return path
    found = distinct(
        (path, os.path.realpath(path)) for pattern in AUTO_PATTERNS for path in sorted(glob.glob(pattern))
    )
    if not found:
        raise StartError(f"no serial device at {', '.join(AUTO_PATTERNS)}; is the board plugged in?")
    if len(found) > 1:
        # Whose valves these are is not left to chance.
        paths = ", ".join(device.path for device in found)
        raise StartError(f"several serial devices; name the board's by --kegboard_device: {paths}")
    return found[0].path


def _agreed(service: Service, device: str) -> bool:
    """Ask on the terminal. Raises StartError where there is none."""
    warning = WARNING.format(device=device)
    if FLAGS.daemon or not (os.isatty(STDIN) and sys.stdout.isatty()):
        raise StartError(f"{warning} Give --yes if that does not matter.")
    print(f"{warning}\nType yes to go on: ", end="", flush=True)
    answer: list[bytes] = []
    service.loop.watch(STDIN, READ, lambda _ready: answer.append(os.read(STDIN, 64)))
    while not (answer or service.loop.stopping):
        service.loop.run_once(None)
    service.loop.unwatch(STDIN)
    return bool(answer) and answer[0].strip().lower() == b"yes"


def _by_whom(device: str) -> str:
    """`: kegboard_daemon.py, process 4711; stop it first`, if somebody has locked the device."""
    try:
        pids = lockers(os.stat(device))
    except OSError:
        return ""
    names = [f"{program_of(pid) or 'a program'}, process {pid}" for pid in sorted(pids)]
    return f": {'; '.join(names)}; stop it first" if names else ""


def main(argv: Sequence[str]) -> int:
    """The program."""
    common_flags.define()
    FLAGS.set_default("log_to_stdout", False)  # what it prints is its result
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, job=True, max_positional=0)
