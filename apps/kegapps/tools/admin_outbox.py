"""What kegbot_admin shows of the outbox, and can change in it, word by word.

Knows the ledger and the flags of these verbs. Must not know tables on the screen.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from absl import flags

from kegapps.core.ledger import Ledger
from kegapps.daemon.errors import UsageError
from kegapps.daemon.service import Service
from kegapps.tools.admin_edits import Edit, since_by_flag
from kegapps.tools.admin_export import write_new
from kegapps.tools.admin_tables import counted_noun, plain
from kegapps.tools.admin_wake import and_wake

FLAGS = flags.FLAGS

flags.DEFINE_boolean("all", False, "outbox: also what is delivered; outbox retry: everything.")
flags.DEFINE_string("username", None, "outbox edit: send it as this user's; empty: as a guest's.")
flags.DEFINE_string("tap", None, "drinks: only from this tap; outbox edit: send it as from this one.")
flags.DEFINE_string("reason", "", "outbox done: why the drink need not be sent.")


def outbox_rows(ledger: Ledger, *, limit: int) -> list[object]:
    """What waits, oldest first; with --all, behind it what is delivered, newest first."""
    rows: list[object] = list(ledger.outbox.waiting(limit=limit))
    return rows + list(ledger.outbox.delivered(limit=limit)) if FLAGS.all else rows


def _retry(ledger: Ledger, words: list[str], _now: float) -> str:
    if bool(words) == FLAGS.all:
        raise UsageError("outbox retry: expected numbers of drinks, or --all")
    count = ledger.outbox.retry(None if FLAGS.all else _numbers(words))
    return f"{counted_noun(count, 'drinks')} to be sent as soon as the server takes {'it' if count == 1 else 'them'}"


def _edit(ledger: Ledger, words: list[str], _now: float) -> str:
    if FLAGS.username is None and FLAGS.tap is None:
        raise UsageError("outbox edit: give --username or --tap")
    (number,) = _numbers(words)
    ledger.outbox.edit(number, username=FLAGS.username, meter_name=FLAGS.tap)
    return f"drink {number} changed for the server, and to be sent; here it stays as it was"


def _done(ledger: Ledger, words: list[str], now: float) -> str:
    (number,) = _numbers(words)
    ledger.outbox.settle(number, reason=FLAGS.reason, now_unix_s=now)
    return f"drink {number} is settled; it is listed by: outbox --all"


def _add(ledger: Ledger, words: list[str], now: float) -> str:
    since_unix_s = since_by_flag(now)
    if not words and since_unix_s is None:
        raise UsageError("outbox add: expected numbers of drinks, or --since")
    count = ledger.outbox.add(_numbers(words), since_unix_s=since_unix_s)
    return f"{counted_noun(count, 'drinks')} put into the outbox"


def outbox_export(service: Service, ledger: Ledger, words: list[str]) -> str:
    """`outbox export FILE|-`; returns what was done, for a person; "" if that is on standard output."""
    if len(words) != 1:
        raise UsageError("outbox export: expected FILE")
    rows = outbox_rows(ledger, limit=-1)
    lines = [f"{json.dumps(plain(row), ensure_ascii=False)}\n" for row in rows]
    if words == ["-"]:
        sys.stdout.write("".join(lines))
        return ""
    path = service.path(words[0])
    write_new(path, ledger, lines)
    return f"{counted_noun(len(rows), 'drinks')} written to {path}"


def _numbers(words: list[str]) -> list[int]:
    for word in words:
        if not (word.isascii() and word.isdecimal() and len(word) < 19):
            raise UsageError(f"{word}: expected the number of a drink, as in: outbox")
    return list(dict.fromkeys(map(int, words)))


# By verb: the words it wants, and what does it.
OUTBOX_EDITS: Final[dict[str, tuple[str, Edit]]] = {
    "retry": ("DRINK ...", and_wake(_retry)),
    "edit": ("DRINK", and_wake(_edit)),
    "done": ("DRINK", and_wake(_done)),
    "add": ("DRINK ...", and_wake(_add)),
}
