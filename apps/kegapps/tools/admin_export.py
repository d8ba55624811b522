"""What kegbot_admin takes out of the store: drinks and temperatures as text, and the whole store as a copy.

Knows the ledger, the flags of these verbs and the terminal. Must not know the tables, or how a line is made.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from absl import flags

from kegapps.core.database import store_files
from kegapps.core.ledger import Ledger
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.loop import Loop
from kegapps.daemon.service import Service
from kegapps.tools.admin_edits import since_by_flag
from kegapps.tools.admin_tables import counted_noun, parse_since
from kegapps.tools.export_formats import FORMATS
from kegapps.tools.new_file import new_file

FLAGS = flags.FLAGS
flags.DEFINE_enum("format", "csv", sorted(FORMATS), "export: as CSV, or as JSON Lines.")
flags.DEFINE_string("until", None, "export: only what was before that time; it is given as with --since.")
flags.DEFINE_boolean("force", False, "export, backup, outbox export: replace the file if there is one.")

NOUNS: Final = ("drinks", "temperatures")
LOOK_EVERY_ROWS: Final = 500
SHOW_EVERY_S: Final = 0.25


def export(service: Service, ledger: Ledger, words: list[str]) -> str:
    """`export drinks|temperatures [FILE|-]`; returns what was done, for a person; "" if that is on standard output."""
    if not words or words[0] not in NOUNS or len(words) > 2:
        raise UsageError(f"export: expected {' or '.join(NOUNS)}, and then perhaps a file")
    noun, target = words[0], words[1] if words[1:] else "-"
    since_unix_s, until_unix_s = since_by_flag(time.time()), _until()
    archive = ledger.archive
    read = archive.drinks if noun == "drinks" else archive.temperatures
    progress = _Progress(service.loop, to_file=target != "-")

    def counted() -> Iterator[object]:
        for row in read(since_unix_s=since_unix_s, until_unix_s=until_unix_s):
            if progress.done % LOOK_EVERY_ROWS == 0:
                progress.show(lambda: f"{progress.done} {noun}")
            progress.done += 1
            yield row

    lines = FORMATS[FLAGS.format](noun, counted())
    if target == "-":
        for line in lines:
            sys.stdout.buffer.write(line.encode())
        sys.stdout.buffer.flush()
        progress.end()
        return ""
    path = service.path(target)
    write_new(path, ledger, lines)
    progress.end()
    return f"{counted_noun(progress.done, noun)} written to {path}"


def backup(service: Service, ledger: Ledger, words: list[str]) -> str:
    """`backup FILE`; returns what was done, for a person."""
    if len(words) != 1 or words[0] == "-":
        raise UsageError("backup: expected a file")
    path = service.path(words[0])
    progress = _Progress(service.loop, to_file=True)
    with new_file(path, force=FLAGS.force, spare=store_files(ledger.path)) as temporary:
        ledger.archive.copy_to(
            temporary,
            on_progress=lambda left, pages: progress.show(
                lambda: f"{100 - 100 * left // max(1, pages)} % copied"
            ),
        )
    progress.end()
    return f"{ledger.path} is copied to {path}, and the copy checked"


def write_new(path: str, ledger: Ledger, lines: Iterable[str]) -> None:
    """Make a file of `lines`, which come out of `ledger`; with --force also in place of another. Raises StartError."""
    spare = store_files(ledger.path)
    with new_file(path, force=FLAGS.force, spare=spare) as temporary, open(temporary, "wb") as file:
        for line in lines:
            file.write(line.encode())


def _until() -> float | None:
    try:
        return None if FLAGS.until is None else parse_since(FLAGS.until, time.time())
    except ValueError as error:
        raise UsageError(f"--until={error}") from None


class _Progress:
    """A line on the terminal that tells how far it is, if somebody sits there; and an ear for Ctrl-C."""

    def __init__(self, loop: Loop, *, to_file: bool) -> None:
        self.done = 0
        self._loop = loop
        self._visible = sys.stderr.isatty() and (to_file or not sys.stdout.isatty())
        self._shown = ""
        self._next_s = loop.now_s() + SHOW_EVERY_S

    def show(self, text: Callable[[], str]) -> None:
        """Show it, if the last time is a while ago. Raises StartError if the program is told to end."""
        self._loop.run_once()
        if self._loop.stopping:
            self.end()
            raise StartError("interrupted; nothing was written")
        if self._visible and self._loop.now_s() >= self._next_s:
            self._next_s = self._loop.now_s() + SHOW_EVERY_S
            self._say(text())

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            self._say("")

    def _say(self, text: str) -> None:
        print(f"\r{text:<{len(self._shown)}}", end="" if text else "\r", file=sys.stderr, flush=True)
        self._shown = text
