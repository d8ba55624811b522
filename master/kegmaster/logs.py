"""The `logs` verb: the end of log files, and what is added to them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Final

from .exit_codes import Verb

_CHUNK_BYTES: Final = 65536
_LOOK_EVERY_S: Final = 0.2


def show(files: Mapping[str, str], *, lines: int, follow: bool) -> int:
    """Print the last `lines` lines of each file, then with `follow` what is added until interrupted.

    A file that is rotated or truncated is followed to its new beginning.
    """
    out = sys.stdout.buffer
    many = len(files) > 1
    found = False
    places: dict[str, tuple[int, int]] = {}
    for name, path in files.items():
        try:
            with open(path, "rb") as file:
                text = _tail(file.fileno(), lines)
                places[name] = (os.fstat(file.fileno()).st_ino, os.fstat(file.fileno()).st_size)
        except OSError as error:
            print(f"{name}: {path}: {error.strerror}", file=sys.stderr)
            continue
        found = True
        out.write((b"==> %s <==\n" % name.encode() if many else b"") + text)
    out.flush()
    last = next(reversed(list(files)), "")
    while follow:
        time.sleep(_LOOK_EVERY_S)
        for name, path in files.items():
            if text := _added(name, path, places):
                out.write((b"==> %s <==\n" % name.encode() if many and name != last else b"") + text)
                last = name
        out.flush()
    return Verb.DONE if found or not files else Verb.FAILED


def _tail(fd: int, lines: int) -> bytes:
    end = os.fstat(fd).st_size
    text = b""
    while end > 0 and text.count(b"\n") <= lines:
        start = max(0, end - _CHUNK_BYTES)
        text = os.pread(fd, end - start, start) + text
        end = start
    kept = text.splitlines(keepends=True)[-lines:] if lines else []
    return b"".join(kept)


def _added(name: str, path: str, places: dict[str, tuple[int, int]]) -> bytes:
    try:
        with open(path, "rb") as file:
            seen = os.fstat(file.fileno())
            inode, offset = places.get(name, (0, 0))
            if inode != seen.st_ino or offset > seen.st_size:
                offset = 0
            text = os.pread(file.fileno(), _CHUNK_BYTES, offset)
            places[name] = (seen.st_ino, offset + len(text))
            return text
    except OSError:
        return b""
