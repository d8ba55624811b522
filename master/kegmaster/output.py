"""What apps print, on its way from their spools to their logs. The watchdog's scribe.

Knows spools, logs and due times. Must not know states or processes. Nobody polls: a spool tells, once, that
something was printed; a moment later what has come together by then is written, whole lines only. Written first and
consumed after: a crash in between doubles a few lines and loses none.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable

from .applog import AppLog, lacks_place, open_log
from .environment import credentials
from .journal import Journal
from .lean import Final, dataclass
from .spec import App
from .spool import Spool, SpoolWatch, holders, works

GATHER_S: Final = 0.1
"""So long after the first word is waited for more: one write for many lines."""
LINE_S: Final = 1.0
LINE_BYTES: Final = 64 << 10
"""A line without an end is held back so long, unless it grows larger than this."""
RETRY_S: Final = 1.0
TURN_BYTES: Final = 1 << 20
"""At most so much of one app at a time: others have their turn before the rest."""
ROUND_BYTES: Final = 4 << 20
"""The same of all apps together."""
FLOOD_BYTES: Final = 8 << 20
STUCK_BYTES: Final = 256 << 10
"""More than this is kept for no app: that prints faster than its log takes it, or whose log takes nothing."""
_COUNTED_BYTES: Final = 16 << 20
"""Of so much that is dropped at a time the lines are counted; of the rest, the bytes."""
_TAIL_BYTES: Final = 4096
_TAIL_LINES: Final = 5
_TAIL_CHARS: Final = 200


def ripe(text: bytes, *, all_of_it: bool) -> int:
    """How much of `text` is to be written now: whole lines, or, if that is asked for or it is too long, all."""
    lines = text.rfind(b"\n") + 1
    return len(text) if all_of_it or len(text) - lines > LINE_BYTES else lines


def last_lines(text: bytes) -> tuple[str, ...]:
    """The last lines of output, few and short, for people."""
    lines = (line.strip() for line in text.decode("utf-8", "replace").splitlines())
    kept = [line for line in lines if line][-_TAIL_LINES:]
    return tuple("".join(c if c.isprintable() else " " for c in line)[:_TAIL_CHARS] for line in kept)


@dataclass(slots=True)
class Loss:
    """Output that got nowhere."""

    size: int = 0
    """Bytes."""
    lines: int = 0

    def add(self, text: bytes, uncounted: int) -> None:
        """Count `text` too, and so many bytes whose lines nobody counted."""
        self.size += len(text) + uncounted
        self.lines += text.count(b"\n")

    def __str__(self) -> str:
        return f"{self.lines} lines of output lost" if self.lines else f"{self.size} bytes of output lost"


class _Channel:
    """From one spool to one log."""

    __slots__ = (
        "_cause", "_journal", "_line_s", "_on_loss", "_retry_s", "_since", "_tail", "_unsaid",
        "due_s", "log", "name", "over", "spool", "trouble",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        spool: Spool,
        log: AppLog,
        journal: Journal,
        on_loss: Callable[[str, bytes, int], None],
    ) -> None:
        self.name = name
        self.spool = spool
        self.log = log
        self.due_s: float | None = None
        self.trouble = ""
        """Why the log takes nothing just now."""
        self._unsaid = Loss()
        """What was lost, and the log does not say so yet."""
        self._cause = ""
        self.over = False
        """The app is gone; only what the log has not taken yet keeps this alive."""
        self._retry_s = 0.0
        self._line_s: float | None = None
        self._tail = b""
        self._since = spool.position
        self._journal = journal
        self._on_loss = on_loss

    def begin(self, log: AppLog, uid: int | None) -> None:
        """The next launch prints to the same spool, behind what still waits. Raises OSError."""
        self.spool.give(uid)
        log.in_line = self.log.in_line and log.path == self.log.path
        self.log = log
        self.over = False
        self._tail = b""
        self.spool.look()
        self._since = self.spool.end

    def told(self) -> str:
        """What is the matter, in words; empty if nothing is."""
        if not self.trouble:
            return ""
        return f"{self._unsaid if self._unsaid.size else 'output waits'}: {self.trouble}"

    def words(self) -> tuple[str, ...]:
        """The last lines of this launch, whether or not they got into the log."""
        self.spool.look()
        return last_lines((self._tail + self.spool.last(_TAIL_BYTES, self._since))[-_TAIL_BYTES:])

    def forward(self, now_s: float, *, all_of_it: bool = False) -> int:
        """Write what is ripe, drop what is too much, and note when to come again; how many bytes that were."""
        self.due_s = None
        before = self.spool.position
        if not self.spool.look():
            self._line_s = None
        elif all_of_it or now_s >= self._retry_s:
            self._write(now_s, all_of_it=all_of_it)
        self._drop(STUCK_BYTES if self.trouble else FLOOD_BYTES)
        self.spool.release()
        if self.trouble and self.spool.waiting:
            self.due_s = self._retry_s
        return self.spool.position - before

    def drain(self, now_s: float) -> None:
        """Write all that is there."""
        for _ in range(2 * FLOOD_BYTES // TURN_BYTES):  # a descendant may print on for ever
            self.forward(now_s, all_of_it=True)
            if self.trouble or not self.spool.waiting:
                return

    def _write(self, now_s: float, *, all_of_it: bool) -> None:
        text = self.spool.read(TURN_BYTES)
        due = self._line_s is not None and now_s >= self._line_s + LINE_S
        count = ripe(text, all_of_it=all_of_it or due)
        if not count:
            self._wait_for_line(now_s)
            return
        self._say_losses()
        done, error = self.log.append(text[:count])
        self._tail = (self._tail + text[:done])[-_TAIL_BYTES:]
        self.spool.consume(done)
        self._line_s = None
        if error is not None:
            self._fail(error, now_s)
            return
        if self.trouble:
            self._journal.info(f"{self.name}: its log is written to again")
            self.trouble, self._retry_s = "", 0.0
        if self.spool.waiting > len(text) - count:
            self.due_s = now_s
        elif self.spool.waiting:
            self._wait_for_line(now_s)

    def _wait_for_line(self, now_s: float) -> None:
        if self._line_s is None:
            self._line_s = now_s
        self.due_s = self._line_s + LINE_S

    def _say_losses(self) -> None:
        if not self._unsaid.size:
            return
        start = b"\n" if self.log.in_line else b""
        line = f"kegmaster: {self._unsaid}: {self._cause}\n"
        if self.log.append(start + line.encode("utf-8", "replace"))[1] is None:
            self._unsaid = Loss()

    def _fail(self, error: OSError, now_s: float) -> None:
        trouble = error.strerror or str(error)
        if trouble != self.trouble:
            self._journal.warning(f"{self.name}: its output waits: {self.log.path}: {trouble}")
        self.trouble = trouble
        self._retry_s = now_s + RETRY_S

    def _drop(self, at_most: int) -> None:
        """Drop the oldest lines of what exceeds the bound."""
        excess = self.spool.waiting - at_most
        if excess <= 0:
            return
        self._cause = self.trouble or "printed faster than the log takes it"
        if excess > _COUNTED_BYTES:
            self._lose(b"", excess - _COUNTED_BYTES)
            excess = _COUNTED_BYTES
        while excess > 0:
            text = self.spool.read(TURN_BYTES)
            if not text:
                return
            if excess < len(text):
                text = text[: text.find(b"\n", excess - 1) + 1 or excess]
            self._lose(text)
            excess -= len(text)

    def _lose(self, text: bytes, uncounted: int = 0) -> None:
        self._unsaid.add(text, uncounted)
        self._on_loss(self.name, text, uncounted)
        self.spool.consume(len(text) + uncounted)


class Output:
    """The output of all apps."""

    def __init__(self, selector: selectors.BaseSelector, journal: Journal) -> None:
        """Raises OSError where the kernel gives no inotify."""
        self._journal = journal
        self._channels: dict[str, _Channel] = {}
        self._lost: dict[str, Loss] = {}
        self._holders: dict[str, list[int]] | None = None
        self._watch: SpoolWatch | None = None
        if works():
            self._watch = SpoolWatch()
            selector.register(self._watch, selectors.EVENT_READ, lambda _: self._on_news())
        else:
            journal.debug("no memfds that inotify tells of: apps print to their logs directly, without a cap")

    def open(self, app: App, uid: int | None, gid: int | None) -> int:
        """What is to become stdout and stderr of an app about to be made; the caller closes it. Raises OSError."""
        try:
            fd = open_log(app.logfile, uid, gid)
        except OSError as error:
            if self._watch is None or not lacks_place(error):
                raise
        else:
            if self._watch is None:
                os.set_blocking(fd, True)
                return fd
            os.close(fd)
        channel = self._channels.get(app.name)
        if channel is None:
            channel = self._add(app, Spool.make(app.name, uid), uid, gid)
        else:
            channel.begin(self._log(app, uid, gid), uid)
        self._ask(channel, time.monotonic())
        return channel.spool.open()

    def adopt(self, app: App, pid: int, proven: Callable[[int], bool]) -> None:
        """Go on with what the app prints where an earlier watchdog left off.

        `pid` is its main process; of any other that seems to print to its spool, `proven` tells whether it is its.
        """
        if self._watch is None:
            return
        spool = Spool.find(app.name, pid)
        if spool is None:
            self._holders = holders() if self._holders is None else self._holders
            others = (
                Spool.find(app.name, other) for other in self._holders.get(app.name, ()) if proven(other)
            )
            spool = next((found for found in others if found), None)
        if spool is None:
            return
        try:
            uid, gid, _ = credentials(app.context)
        except KeyError:
            uid = gid = None
        channel = self._add(app, spool, uid, gid)
        if spool.look():
            channel.log.end_line()
        channel.due_s = 0.0

    def follow(self, app: App) -> None:
        """The file has other limits for its log now."""
        if channel := self._channels.get(app.name):
            channel.log.limit(*_limits(app))

    def drain(self, name: str) -> tuple[str, ...]:
        """The app has ended: write down all it has printed; its last lines, if it printed to us."""
        channel = self._channels.get(name)
        if channel is None:
            return ()
        words = channel.words()
        channel.drain(time.monotonic())
        return words

    def close(self, name: str) -> None:
        """No process of the app is left. What its log has not taken yet is kept, and tried again."""
        channel = self._channels.get(name)
        if channel is not None:
            channel.over = True
            channel.drain(time.monotonic())
            self._end(channel)

    def drain_all(self) -> None:
        """Write down all that was printed so far."""
        for channel in self._channels.values():
            channel.drain(time.monotonic())

    def close_all(self) -> None:
        """No watchdog comes after us, or one that finds the spools by itself."""
        for channel in self._channels.values():
            channel.drain(time.monotonic())
            if channel.over and channel.spool.waiting:
                self._journal.error(
                    f"{channel.name}: {channel.spool.waiting} bytes of output lost: {channel.trouble}"
                )
        if self._watch:
            self._watch.close()

    @property
    def due_s(self) -> float | None:
        """When something is to be written (monotonic)."""
        times = [channel.due_s for channel in self._channels.values() if channel.due_s is not None]
        return min(times, default=None)

    def on_time(self, now_s: float) -> None:
        """Write what is due, the longest due first, and no more than is well for the rest of the watchdog."""
        due = [
            (channel.due_s, name)
            for name, channel in self._channels.items()
            if channel.due_s is not None and channel.due_s <= now_s
        ]
        budget = ROUND_BYTES
        for _, name in sorted(due):
            channel = self._channels[name]
            # Asked first, so that what is printed from here on is told.
            told = channel.over or self._ask(channel, now_s)
            budget -= channel.forward(now_s, all_of_it=channel.over)
            if not told:
                channel.due_s = min(channel.due_s or now_s + RETRY_S, now_s + RETRY_S)
            self._end(channel)
            if budget <= 0:
                return

    def lost(self, name: str) -> Loss | None:
        """What was lost of its output since this watchdog began; None if nothing."""
        return self._lost.get(name)

    def trouble(self, name: str) -> str:
        """What is the matter with its log just now, in words; empty if nothing."""
        channel = self._channels.get(name)
        return channel.told() if channel else ""

    def _add(self, app: App, spool: Spool, uid: int | None, gid: int | None) -> _Channel:
        channel = _Channel(app.name, spool, self._log(app, uid, gid), self._journal, self._on_loss)
        self._channels[app.name] = channel
        return channel

    def _log(self, app: App, uid: int | None, gid: int | None) -> AppLog:
        cap, backups = _limits(app)
        return AppLog(
            app.logfile, cap=cap, backups=backups, uid=uid, gid=gid,
            complain=lambda text: self._journal.warning(f"{app.name}: {text}"),
        )  # fmt: skip

    def _on_loss(self, name: str, text: bytes, uncounted: int) -> None:
        self._lost.setdefault(name, Loss()).add(text, uncounted)

    def _ask(self, channel: _Channel, now_s: float) -> bool:
        told = self._watch is not None and self._watch.ask(channel.spool)
        if not told:
            channel.due_s = now_s + RETRY_S
        return told

    def _on_news(self) -> None:
        assert self._watch is not None
        channels = {channel.spool: channel for channel in self._channels.values()}
        due_s = time.monotonic() + GATHER_S
        for spool in self._watch.take():
            channel = channels[spool]
            channel.due_s = due_s if channel.due_s is None else min(channel.due_s, due_s)

    def _end(self, channel: _Channel) -> None:
        """Let go of the spool of an app that is gone, once it is empty."""
        if channel.over and not channel.spool.waiting and self._watch is not None:
            self._watch.forget(channel.spool)
            channel.spool.close()
            del self._channels[channel.name]


def _limits(app: App) -> tuple[int, int]:
    """(most bytes, backups) of its log; no limit for one that the app itself holds open."""
    return 0 if app.keeps_log else app.log_max_bytes, app.log_backups
