"""Events as data: what happened to which app, when and why; as one line of JSON, and as people read it.

Knows the form of an event. Must not know files, sockets or clocks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator

from .lean import Any, Final, dataclass
from .paths import NAME
from .problems import printable

MASTER: Final = NAME
"""Events of the master itself bear this name in place of an app's."""
MAX_REASON_CHARS: Final = 500
MAX_LINE_BYTES: Final = 8192
_NAME_WIDTH: Final = len(MASTER) + 1
_END_OF_TIME_UNIX: Final = 1 << 37  # the year 6325, which strftime can still write
_KEYS: Final = (
    "number",
    "time_unix",
    "app",
    "from",
    "to",
    "pid",
    "exit_status",
    "exit_signal",
    "reason",
    "restarts",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event. `number` goes up by one from event to event, from one watchdog to the next too.

    `before` and `after` are states of the lifecycle; equal where the state stayed and only `reason` is news. `pid`
    is the main process, also the one that has just ended. The exit is that of the end which led here, if one did.
    """

    number: int
    time_unix: float
    app: str
    before: str
    after: str
    pid: int | None = None
    exit_status: int | None = None
    exit_signal: int | None = None
    reason: str = ""
    restarts: int = 0

    @property
    def fields(self) -> dict[str, Any]:
        """The event as the JSON object that `events --json` prints."""
        return {
            "number": self.number,
            "time_unix": round(self.time_unix, 3),
            "time": iso_time(self.time_unix),
            "app": self.app,
            "from": self.before,
            "to": self.after,
            "pid": self.pid,
            "exit_status": self.exit_status,
            "exit_signal": self.exit_signal,
            "reason": self.reason,
            "restarts": self.restarts,
        }


def iso_time(time_unix: float) -> str:
    """ISO 8601 in UTC, to the millisecond: `2026-11-21T18:00:00.123Z`."""
    whole, milliseconds = divmod(round(time_unix * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"


def encode(entry: Entry) -> bytes:
    """One line of JSON, its newline included."""
    return json.dumps(entry.fields).encode() + b"\n"


def decode(line: bytes) -> Entry | None:
    """The event of a line; None for what is no event."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return from_fields(fields)


def from_fields(fields: object) -> Entry | None:
    """The event that a JSON object tells; None if it is no event."""
    if not isinstance(fields, dict):
        return None
    values: list[Any] = [fields.get(key) for key in _KEYS]
    number, time_unix, app, before, after, pid, exit_status, exit_signal, reason, restarts = values
    sound = (
        all(type(value) is int and 0 <= value < 1 << 63 for value in (number, restarts))
        and all(value is None or type(value) is int for value in (pid, exit_status, exit_signal))
        and all(isinstance(value, str) for value in (app, before, after, reason))
        and type(time_unix) in (int, float)
        and 0 <= time_unix < _END_OF_TIME_UNIX
    )
    if not sound:
        return None
    return Entry(
        number=number, time_unix=time_unix, app=app, before=before, after=after, pid=pid, exit_status=exit_status,
        exit_signal=exit_signal, reason=reason, restarts=restarts,
    )  # fmt: skip


def decode_all(data: bytes) -> Iterator[Entry]:
    """The events of a file; lines that are none are skipped."""
    return (entry for line in data.split(b"\n") if (entry := decode(line)) is not None)


class Story:
    """Events as people read them: what an app only passes through is left out."""

    def __init__(self) -> None:
        self._since: dict[str, str] = {}
        """The state last told of each app that is just passing through another."""

    def tell(self, entries: Iterable[Entry]) -> Iterator[str]:
        """One line for each event that is worth one."""
        for entry in entries:
            before = self._since.pop(entry.app, entry.before)
            ended = entry.exit_status is not None or entry.exit_signal is not None
            passing = entry.after == "waiting" and not entry.reason
            if entry.app != MASTER and (passing or (entry.after == "stopping" and ended)):
                self._since[entry.app] = before
                continue
            yield _line(entry, before)


def _line(entry: Entry, before: str) -> str:
    # A state once more: it was told of already, and only why is news.
    move = entry.after if before in (entry.after, "") else f"{before} -> {entry.after}"
    pid = f", process {entry.pid}" if entry.pid and entry.after == "running" else ""
    reason = f": {entry.reason}" if entry.reason else ""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.time_unix))
    return printable(f"{stamp}  {entry.app:<{_NAME_WIDTH}} {move}{pid}{reason}")
