"""The side of the simulator that a person or a script talks to: words out, a result and an exit status back.

Knows the control socket and how to show results. Must not know boards.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kegapps.daemon import runner
from kegapps.daemon.loop import READ, Loop
from kegapps.kegboard import verbs
from kegapps.kegboard.control import Json, connect
from kegapps.kegboard.paths import Paths

READ_BYTES: Final = 65_536
MAX_WAIT_S: Final = 86_400.0
START_S: Final = 2.0  # a simulator that was started just before, by the line above, gets so long
RETRY_S: Final = 0.05


class _Call:
    """One verb on its way."""

    def __init__(
        self,
        loop: Loop,
        path: str,
        words: Sequence[str],
        *,
        on_done: Callable[[Json], None],
        on_progress: Callable[[Json], None] | None = None,
    ) -> None:
        self._loop = loop
        self._on_done = on_done
        self._on_progress = on_progress
        self._buffer = bytearray()
        self._path = path
        self._request = (
            json.dumps({"words": list(words), "progress": on_progress is not None}).encode() + b"\n"
        )
        self._give_up_s = time.monotonic() + START_S
        self._connect()

    def _connect(self) -> None:
        """Ask the simulator, as soon as it is there. Raises StartError, into the loop, too, if it does not come."""
        try:
            self._connection = connect(self._path)
        except OSError as error:
            is_starting = isinstance(error, (FileNotFoundError, ConnectionRefusedError))
            if is_starting and time.monotonic() < self._give_up_s:
                self._loop.call_later(RETRY_S, self._connect)
                return
            reason = error.strerror or error
            raise runner.StartError(
                f"no simulator answers at {self._path} ({reason}); start one with the same --device_link"
            ) from None
        self._loop.watch(self._connection, READ, self._read)
        self._connection.sendall(self._request)

    def _read(self, _ready: int) -> None:
        try:
            data = self._connection.recv(READ_BYTES)
        except OSError:
            data = b""
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer[:] = rest
        for line in lines:
            answer = json.loads(line)
            if "ok" in answer:
                self._finish(answer)
                return
            if self._on_progress is not None:
                self._on_progress(answer)
        if not data:
            self._finish({"ok": False, "text": "the simulator has ended"})

    def _finish(self, answer: Json) -> None:
        self._loop.unwatch(self._connection)
        self._connection.close()
        self._on_done(answer)


def run(service: runner.Service, words: list[str], path: str, paths: Paths) -> int:
    """Do what `words` say and show the result; 0. Raises StartError if it fails, UsageError for wrong words."""
    if words[0] == verbs.SCRIPT:
        if len(words) != 2:
            raise runner.UsageError("script: expected script FILE")
        name = words[1] if words[1] == "-" else paths.absolute(words[1])
        try:
            steps = read_script(name)
        except (verbs.VerbError, UnicodeDecodeError) as error:
            raise runner.UsageError(str(error)) from None
        except OSError as error:
            raise runner.StartError(f"{name}: {error.strerror}") from None
        _Script(service.loop, path, steps).run()
        return runner.DONE
    try:
        verb = verbs.parse(words)
    except verbs.VerbError as error:
        raise runner.UsageError(str(error)) from None
    answers: list[Json] = []

    def done(answer: Json) -> None:
        answers.append(answer)
        service.loop.stop()

    shows = isinstance(verb, verbs.Pour) and sys.stderr.isatty()
    _Call(service.loop, path, words, on_done=done, on_progress=_show_progress if shows else None)
    service.loop.run()
    if shows:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if not answers:
        raise runner.StartError("interrupted")
    if problem := _show(answers[0]):
        raise runner.StartError(problem)
    return runner.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a script: a verb; or, with no `words`, a wait of `wait_s` seconds (None: for all verbs)."""

    place: str
    words: tuple[str, ...] = ()
    background: bool = False
    wait_s: float | None = None


def read_script(name: str) -> list[Step]:
    """The steps of a file, or of standard input ("-"). Raises VerbError naming the line, or OSError."""
    if name == "-":
        text, name = sys.stdin.read(), "standard input"
    else:
        with open(name, encoding="utf-8") as file:
            text = file.read()
    steps = []
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{name}:{number}"
        try:
            words = shlex.split(line, comments=True)
            if words:
                steps.append(_step(place, words))
        except ValueError as error:
            raise verbs.VerbError(f"{place}: {error}") from None
    return steps


def _step(place: str, words: list[str]) -> Step:
    if words[0] == "wait":
        if len(words) > 2:
            raise verbs.VerbError("wait: expected seconds, or nothing")
        return Step(place=place, wait_s=_seconds(words[1]) if len(words) == 2 else None)
    background = words[-1] == "&"
    plain = words[:-1] if background else words
    verbs.parse(plain)
    return Step(place=place, words=tuple(plain), background=background)


def _seconds(text: str) -> float:
    seconds = float(text) if text.replace(".", "", 1).isdecimal() else -1.0
    if not 0 <= seconds <= MAX_WAIT_S:
        raise verbs.VerbError(f"wait: {text!r}: expected seconds, such as 0.5")
    return seconds


class _Script:
    """Steps one after the other; stops at the first that fails."""

    def __init__(self, loop: Loop, path: str, steps: list[Step]) -> None:
        self._loop = loop
        self._path = path
        self._steps = iter(steps)
        self._background = 0
        self._blocked: Step | None = None
        self._over = False
        self._problem = "interrupted"
        self._ended = False

    def run(self) -> None:
        """Raises StartError for the step that failed."""
        self._next()
        self._loop.run()
        if self._problem:
            raise runner.StartError(self._problem)

    def _next(self) -> None:
        for step in self._steps:
            if not step.words and step.wait_s is not None:
                self._loop.call_later(step.wait_s, self._next)
                return
            if not step.words:
                if self._background:
                    self._blocked = step
                    return
                continue
            self._call(step)
            if not step.background:
                self._blocked = step
                return
        self._over = True
        self._end_if_quiet()

    def _call(self, step: Step) -> None:
        self._background += step.background

        def done(answer: Json) -> None:
            self._background -= step.background
            if self._ended:
                return
            if problem := _show(answer):
                self._end(f"{step.place}: {problem}")
            elif self._blocked is step or (
                self._blocked and not self._blocked.words and not self._background
            ):
                self._blocked = None
                self._next()
            else:
                self._end_if_quiet()

        _Call(self._loop, self._path, step.words, on_done=done)

    def _end_if_quiet(self) -> None:
        if self._over and not self._background:
            self._end("")

    def _end(self, problem: str) -> None:
        self._ended = True
        self._problem = problem
        self._loop.stop()


def _show_progress(answer: Json) -> None:
    print(f"\r{answer['poured']} of {answer['ticks']} ticks", end="", file=sys.stderr, flush=True)


def _show(answer: Json) -> str:
    """Print what a verb has to tell; why it failed, or nothing."""
    for report in ("state", "ticks"):
        if report in answer:
            print(json.dumps(answer[report], indent=2))
    if not answer["ok"]:
        return str(answer["text"])
    if "text" in answer:
        print(answer["text"])
    return ""
