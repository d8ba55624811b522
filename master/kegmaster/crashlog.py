"""What killed an app, kept to be read: one entry a death in <app>.crash.log, the newest last, a bounded number.

Knows the form of an entry and the disk. Must not know processes or states. An entry begins with a line of its own,
and every line of what the app printed begins with a bar, so nothing that is printed can pass for an entry.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from . import files
from .applog import open_log
from .lean import Final, dataclass
from .problems import printable

MAX_OUTPUT_BYTES: Final = 64 << 10
"""Of what was printed before a death, at most so much is kept: a traceback of Python has a few KiB."""
MOST_KEPT: Final = 10
"""So many deaths stay when the file is cut."""
MAX_BYTES: Final = 256 << 10
"""The file is cut when it would grow beyond this."""
_MOST_LOGS: Final = 3
_HEAD: Final = b"=== "
_BAR: Final = b"| "


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One end that nobody asked for, or a start that came to nothing.

    `pid` 0: there never was a process. `time` and `started` are times of day, for people; no `started`: not known.
    """

    app: str
    time: str
    reason: str
    argv: tuple[str, ...]
    pid: int = 0
    started: str = ""
    output: bytes = b""


def encode(death: Death) -> bytes:
    """The entry as it stands in the file."""
    pid = f", process {death.pid}" if death.pid else ""
    head = [f"=== {death.time}  {death.app}{pid}: {printable(death.reason)}"]
    head.append(f"    command: {printable(shlex.join(death.argv))}")
    if death.started:
        head.append(f"    started: {death.started}")
    head.append("    printed last:" if death.output else "    printed nothing")
    text = "\n".join(head).encode("utf-8", "surrogateescape") + b"\n"
    lines = death.output.removesuffix(b"\n").split(b"\n") if death.output else ()
    return text + b"".join(_BAR + line + b"\n" for line in lines)


def entries(data: bytes) -> list[bytes]:
    """The entries of a file, oldest first; what stands before the first head is cut off."""
    if not data.startswith(_HEAD):
        data = data[found + 1 :] if (found := data.find(b"\n" + _HEAD)) >= 0 else b""
    parts = data.split(b"\n" + _HEAD)
    return [
        (_HEAD if number else b"") + part.rstrip(b"\n") + b"\n" for number, part in enumerate(parts) if part
    ]


def fields(entry: bytes) -> dict[str, object]:
    """An entry as the JSON object that `logs --crash --json` prints."""
    head, *rest = entry.decode("utf-8", "backslashreplace").split("\n")
    stamp, _, told = head.removeprefix("=== ").partition("  ")
    who, _, reason = told.partition(": ")
    app, _, pid = who.partition(", process ")
    notes = dict(line.strip().partition(": ")[::2] for line in rest if line.startswith("    "))
    return {
        "app": app, "time": stamp, "pid": int(pid) if pid.isascii() and pid.isdigit() else None, "reason": reason,
        "command": notes.get("command", ""), "started": notes.get("started"),
        "output": [line[2:] for line in rest if line.startswith("| ")],
    }  # fmt: skip


def write(path: str, death: Death) -> None:
    """Add one death; the oldest go once the file is too large. Raises OSError."""
    text = encode(death)
    fd = open_log(path, None, None)
    try:
        seen = os.fstat(fd)
        size = seen.st_size
        if size + len(text) <= MAX_BYTES:
            _whole(fd, text)
            return
    finally:
        os.close(fd)
    kept = entries(files.read_plain(path, 2 * MAX_BYTES))[-(MOST_KEPT - 1) :]
    while kept and sum(map(len, kept)) + len(text) > MAX_BYTES // 2:
        kept.pop(0)
    files.replace(path, b"".join(kept) + text, seen.st_mode & 0o777, inherit=True)


def tail(path: str, begun: tuple[int, int], limit: int = MAX_OUTPUT_BYTES) -> bytes:
    """The last `limit` bytes of a log since a launch began, through rotations.

    `begun`: the log's inode number and size at that time; inode 0: not known.
    """
    found: list[bytes] = []
    for number in range(_MOST_LOGS):
        try:
            # What its user may have put in the log's place is not printed by us for him to read.
            fd = files.open_plain(f"{path}.{number}" if number else path)
        except OSError:
            break
        try:
            seen = os.fstat(fd)
            ours = seen.st_ino == begun[0] and seen.st_size >= begun[1]
            start = max(begun[1] if ours else 0, seen.st_size - limit)
            text = os.pread(fd, min(limit, seen.st_size - start), start)
        finally:
            os.close(fd)
        if start and not (ours and start == begun[1]):
            text = text[text.find(b"\n") + 1 :]
        found.insert(0, text)
        limit -= len(text)
        if ours or not begun[0] or start or limit <= 0:
            break
    return b"".join(found)


def last(path: str, most: int) -> list[bytes]:
    """The last `most` deaths, oldest first. Raises OSError; a file that is not there holds none."""
    try:
        data = files.read_plain(path, 2 * MAX_BYTES, follow=True)
    except FileNotFoundError:
        return []
    return entries(data)[-most:] if most else []


def _whole(fd: int, text: bytes) -> None:
    before = os.fstat(fd).st_size
    view: Sequence[int] | memoryview = memoryview(text)
    try:
        while view:
            view = view[os.write(fd, bytes(view)) :]
    except OSError:
        os.ftruncate(fd, before)  # half an entry would be read as the whole
        raise
