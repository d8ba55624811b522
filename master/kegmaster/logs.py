"""The `logs` verb: the end of log files, and what is added to them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from .exit_codes import Verb
from .files import open_plain
from .lean import Final

_CHUNK_BYTES: Final = 65536
_LOOK_EVERY_S: Final = 0.2


class _Plain:
    """Prints what is in logs as it is, under a headline where it is another's than before."""

    def __init__(self, files: Collection[str]) -> None:
        self._many = len(files) > 1
        self._last = ""

    def put(self, name: str, text: bytes) -> None:
        """Some of the log of app `name`."""
        headed = self._many and name != self._last
        sys.stdout.buffer.write((b"==> %s <==\n" % name.encode() if headed else b"") + text)
        self._last = name

    def end(self) -> None:
        """Nothing more comes."""


class _JsonLines:
    """Prints an object a line: {"app": NAME, "line": TEXT}. Bytes that are no UTF-8 are shown in hexadecimal."""

    def __init__(self) -> None:
        self._begun: dict[str, bytes] = {}

    def put(self, name: str, text: bytes) -> None:
        """Some of the log of app `name`: a line that is not at its end yet is kept until it is."""
        *lines, self._begun[name] = (self._begun.get(name, b"") + text).split(b"\n")
        for line in lines:
            self._print(name, line)

    def end(self) -> None:
        """Nothing more comes: lines without an end are printed, too."""
        for name, line in self._begun.items():
            if line:
                self._print(name, line)
        self._begun = {}

    def _print(self, name: str, line: bytes) -> None:
        told = json.dumps({"app": name, "line": line.decode("utf-8", "backslashreplace")})
        sys.stdout.buffer.write(told.encode() + b"\n")


def show(files: Mapping[str, str], *, lines: int, follow: bool, as_json: bool = False) -> int:
    """Print the last `lines` lines of each file, then with `follow` what is added until interrupted.

    A file that is rotated or truncated is followed to its new beginning, through all that came in between.
    `as_json`: each line as an object, which names its app.
    """
    printer = _JsonLines() if as_json else _Plain(files)
    found = False
    followed = {name: _Followed(path) for name, path in files.items()}
    for name, file in followed.items():
        try:
            text = file.begin(lines)
        except OSError as error:
            print(f"{name}: {file.path}: {error.strerror}", file=sys.stderr)
            continue
        found = True
        printer.put(name, text)
    if not follow:
        printer.end()
    sys.stdout.buffer.flush()
    if follow:
        _print_added(followed, printer, lambda: False)
    return Verb.DONE if found or not files else Verb.FAILED


def accompany(files: Mapping[str, str]) -> Callable[[], None]:
    """From now on, have a process of its own print what is added to these files, until we end or call the result.

    That waits until all is printed. Ctrl-C does not end it: what apps say when they end is worth seeing too.
    """
    followed = {name: _Followed(path) for name, path in files.items()}
    for file in followed.values():
        with contextlib.suppress(OSError):  # not there yet
            file.begin(0)
    end_r, end_w = os.pipe()
    sys.stdout.flush()
    if pid := os.fork():
        os.close(end_r)
        for file in followed.values():
            file.close()

        def finish() -> None:
            os.close(end_w)
            with contextlib.suppress(
                ChildProcessError
            ):  # it could print no more, and was reaped like any orphan
                os.waitpid(pid, 0)

        return finish
    try:
        os.close(end_w)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _print_added(followed, _Plain(files), lambda: bool(select.select([end_r], [], [], 0)[0]))
    finally:
        # Nothing of the parent may run here on the way out.
        os._exit(0)


def _print_added(
    followed: Mapping[str, _Followed], printer: _Plain | _JsonLines, over: Callable[[], bool]
) -> None:
    ends = False
    while not ends:
        time.sleep(_LOOK_EVERY_S)
        ends = over()  # asked first: what came before is printed in any case
        for name, file in followed.items():
            for text in file.added():
                printer.put(name, text)
        sys.stdout.buffer.flush()


class _Followed:
    """One log, held open: so what is added before it is moved away is not missed, nor its number used again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._offset = 0

    def begin(self, lines: int) -> bytes:
        """The last lines; follow from there. Raises OSError."""
        self._fd = open_plain(self.path, follow=True)
        self._offset = os.fstat(self._fd).st_size
        return _tail(self._fd, self._offset, lines)

    def close(self) -> None:
        """Follow it no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def added(self) -> Iterator[bytes]:
        """What was added since."""
        fds = self._newer()
        if self._fd >= 0:
            # Looked for newer ones first: to one that was moved away by then, little more is added.
            yield from self._rest()
        for fd in fds:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd, self._offset = fd, 0
            yield from self._rest()

    def _rest(self) -> Iterator[bytes]:
        if os.fstat(self._fd).st_size < self._offset:
            self._offset = 0
        while text := os.pread(self._fd, _CHUNK_BYTES, self._offset):
            self._offset += len(text)
            yield text

    def _newer(self) -> list[int]:
        """The logs that came after the one that is held, opened, oldest first."""
        while True:
            fds: list[int] = []
            seen: dict[str, int] = {}
            place = False
            for path in self._names():
                try:
                    fd = open_plain(path, follow=True)
                except OSError:
                    continue
                seen[path] = os.fstat(fd).st_ino
                place = self._fd >= 0 and os.path.sameopenfile(fd, self._fd)
                if place:
                    os.close(fd)
                    break
                fds.append(fd)
            if all(_number(path) == number for path, number in seen.items()):
                return fds[::-1] if place else self._since(fds)[::-1]
            # A rotation in between: one of them was seen twice, or not at all.
            for fd in fds:
                os.close(fd)

    def _since(self, fds: Sequence[int]) -> list[int]:
        """The one that is held is gone for good: of `fds`, newest first, the log of now, and any newer than it."""
        held_ns = os.fstat(self._fd).st_mtime_ns if self._fd >= 0 else time.time_ns()
        kept = [fd for index, fd in enumerate(fds) if index == 0 or os.fstat(fd).st_mtime_ns > held_ns]
        for fd in set(fds) - set(kept):
            os.close(fd)
        return kept

    def _names(self) -> Iterator[str]:
        yield self.path
        number = 1
        while os.path.lexists(f"{self.path}.{number}"):
            yield f"{self.path}.{number}"
            number += 1


def _number(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return -1


def _tail(fd: int, end: int, lines: int) -> bytes:
    text = b""
    while end > 0 and text.count(b"\n") <= lines:
        start = max(0, end - _CHUNK_BYTES)
        text = os.pread(fd, end - start, start) + text
        end = start
    kept = text.splitlines(keepends=True)[-lines:] if lines else []
    return b"".join(kept)
