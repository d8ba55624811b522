"""What one app prints, on its way from its spool to its log: when, how much at a time, and what is dropped.

Knows one spool, one log and the time it is told. Must not know processes, inotify or other apps. Lines are written
first and consumed after: a crash in between doubles a few and loses none.
"""

from __future__ import annotations

from collections.abc import Callable

from .applog import AppLog
from .journal import Journal
from .lean import Final, dataclass
from .spool import Spool

LINE_S: Final = 1.0
LINE_BYTES: Final = 64 << 10
"""A line without an end is held back so long, unless it grows larger than this."""
RETRY_S: Final = 1.0
TURN_BYTES: Final = 1 << 20
"""At most so much of one app at a time: others have their turn before the rest."""
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


def last_line(text: bytes) -> str:
    """The last line of that; empty if there is none."""
    return next(reversed(last_lines(text)), "")


@dataclass(slots=True)
class Loss:
    """Output that got nowhere."""

    size: int = 0
    """Bytes."""
    lines: int = 0
    more: bool = False
    """And some that never got to us: nobody knows how much."""

    def add(self, other: Loss) -> None:
        """Count that, too."""
        self.size += other.size
        self.lines += other.lines
        self.more |= other.more

    def __bool__(self) -> bool:
        return bool(self.size or self.more)

    def __str__(self) -> str:
        if not self.size:
            return "output lost, nobody knows how much"
        count = f"{self.lines} lines" if self.lines else f"{self.size} bytes"
        return f"{count} of output lost{', and nobody knows how much more' if self.more else ''}"


class Channel:
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
        on_loss: Callable[[str, Loss], None],
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
        return f"{self._unsaid or 'output waits'}: {self.trouble}"

    def words(self) -> tuple[str, ...]:
        """The last lines of this launch, whether or not they got into the log."""
        self.spool.look()
        return last_lines((self._tail + self.spool.last(_TAIL_BYTES, self._since))[-_TAIL_BYTES:])

    def waits(self, at_most: int) -> bytes:
        """The end of what this launch printed and the log has not taken."""
        self.spool.look()
        return self.spool.last(at_most, self._since)

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
        if self.spool.cut is not None:
            self._come_to_cut(now_s)
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
        text = self.spool.read(self._until_cut(TURN_BYTES))
        due = self._line_s is not None and now_s >= self._line_s + LINE_S
        # A line that was cut never gets its end.
        due |= self.spool.cut == self.spool.position + len(text)
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

    def _until_cut(self, at_most: int) -> int:
        return at_most if self.spool.cut is None else min(at_most, self.spool.cut - self.spool.position)

    def _come_to_cut(self, now_s: float) -> None:
        """Something is missing from what is printed next: go on until there at once, and say so there."""
        cut = self.spool.cut
        if cut is not None and cut <= self.spool.position:
            self.spool.cut = None
            self._lose(
                Loss(more=True), f"{self.spool.bound >> 20} MiB waited, and there was no room for more"
            )
            if not self.trouble:
                self._say_losses()
        elif not self.trouble:
            self.due_s = now_s

    def _wait_for_line(self, now_s: float) -> None:
        if self._line_s is None:
            self._line_s = now_s
        self.due_s = self._line_s + LINE_S

    def _say_losses(self) -> None:
        if not self._unsaid:
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
        cause = self.trouble or "printed faster than the log takes it"
        if excess > _COUNTED_BYTES:
            self._lose(Loss(excess - _COUNTED_BYTES), cause)
            excess = _COUNTED_BYTES
        while excess > 0:
            text = self.spool.read(TURN_BYTES)
            if not text:
                return
            if excess < len(text):
                text = text[: text.find(b"\n", excess - 1) + 1 or excess]
            self._lose(Loss(len(text), text.count(b"\n")), cause)
            excess -= len(text)

    def _lose(self, loss: Loss, cause: str) -> None:
        self._unsaid.add(loss)
        self._cause = cause
        self._on_loss(self.name, loss)
        self.spool.consume(loss.size)
