"""Shows and edits what kegbot_core has stored, and watches it live.

  taps          the taps; add TAP, set TAP, remove TAP (with --ml_per_tick, --relay, --sensor,
                --description)
  drinks        the last drinks (--limit, --user, --tap, --since)
  users         who may pour; add NAME, enable NAME, disable NAME
  tokens        tokens and whose they are; add DEVICE TOKEN NAME, enable, disable or remove DEVICE TOKEN
  kegs          the kegs; tap TAP (with --beverage, --volume_ml), end TAP
  temperatures  the last temperatures (--limit, --sensor, --since)
  outbox        drinks that the Kegbot Server has not (--all: and those it has); retry [DRINK ...] or --all,
                edit DRINK (--username, --tap), done DRINK --reason=TEXT, add [DRINK ...] (or --since), export FILE
  export        drinks or temperatures [FILE], as --format=csv or jsonl (--since, --until, --force)
  backup FILE   a copy of the whole store, checked (--force)
  watch         what happens, live, until Ctrl-C (--until_drink, --timeout_s)

Works while the core runs, which takes a change up at once if it is at --kb_core_addr, else with the next event.
Examples: kegbot_admin.py drinks --limit=5
          kegbot_admin.py taps set kegboard.flow0 --ml_per_tick=0.4545 --relay=kegboard.relay0
          kegbot_admin.py tokens add core.rfid 0415ab96c3 alice
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from absl import flags

from kegapps.core.ledger import Ledger, LedgerError, StoreError, default_path
from kegapps.daemon import flags as common_flags
from kegapps.daemon import runner
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.service import Service
from kegapps.daemon.streams import printable
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import DrinkCreatedEvent, Event
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.tools.admin_edits import EDITS, Edit, since_by_flag
from kegapps.tools.admin_export import backup, export
from kegapps.tools.admin_outbox import OUTBOX_EDITS, outbox_export, outbox_rows
from kegapps.tools.admin_tables import as_json, table
from kegapps.tools.admin_wake import and_wake
from kegapps.tools.admin_watch import JsonLines, Lines, LiveLines

FLAGS = flags.FLAGS

flags.DEFINE_string("store", "", "The core's store. Empty: where kegbot_core keeps it by default.")
flags.DEFINE_boolean("json", False, "Print JSON; watch prints one object a line.")
flags.DEFINE_integer("limit", 20, "How many rows to show: drinks, kegs, temperatures, outbox.", 1, 1_000_000)
flags.DEFINE_string("user", None, "drinks: only of this user; an empty name means guests.")
flags.DEFINE_boolean("until_drink", False, "watch: end after the next drink.")
flags.DEFINE_float(
    "timeout_s", 0.0, "watch: end after so many seconds; with --until_drink that is a failure. 0: never.", 0.0
)

LISTS: dict[str, Callable[[Ledger], Sequence[object]]] = {
    "taps": lambda ledger: ledger.taps(),
    "drinks": lambda ledger: ledger.drinks(
        limit=FLAGS.limit, username=FLAGS.user, tap_name=FLAGS.tap, since_unix_s=_since()
    ),
    "users": lambda ledger: ledger.users(),
    "tokens": lambda ledger: ledger.tokens(),
    "kegs": lambda ledger: ledger.kegs(limit=FLAGS.limit),
    "temperatures": lambda ledger: ledger.temperatures(
        limit=FLAGS.limit, sensor_name=FLAGS.sensor, since_unix_s=_since()
    ),
    "outbox": lambda ledger: outbox_rows(ledger, limit=FLAGS.limit),
}

Taking = Callable[[Service, Ledger, list[str]], str]
TAKING: dict[str, Taking] = {"export": export, "backup": backup}
"""What takes something out of the store, into a file."""


def serve(service: Service) -> int:
    """Do what the words say. Raises UsageError and StartError."""
    noun, *words = service.positional or [""]
    if noun == "watch":
        if words:
            raise UsageError(f"watch {words[0]}: unexpected word")
        return _Watch(service).run()
    if noun not in LISTS and noun not in TAKING:
        expected = ", ".join([*LISTS, *TAKING])
        raise UsageError(f"{noun or 'nothing to do'}: expected {expected} or watch")
    taking = TAKING.get(noun)
    if noun == "outbox" and words[:1] == ["export"]:
        taking, words = outbox_export, words[1:]
    action = _action(noun, words) if taking is None else None
    try:
        ledger = Ledger(service.path(FLAGS.store) if FLAGS.store else default_path())
        if taking is not None:
            _print_done(taking(service, ledger, words))
        elif action is not None:
            _print_done(action(ledger, words[1:], time.time()))
        else:
            _print_rows(noun, LISTS[noun](ledger))
        ledger.close()
    except (StoreError, LedgerError) as error:
        raise StartError(str(error)) from None
    return 0


def _action(noun: str, words: list[str]) -> Edit | None:
    """The edit that `words` ask for; None if they ask for the list."""
    if not words or words == ["list"]:
        return None
    edits = OUTBOX_EDITS if noun == "outbox" else EDITS.get(noun, {})
    if words[0] not in edits:
        verbs = ["list", *edits, *(["export"] if noun == "outbox" else [])]
        raise UsageError(f"{noun} {words[0]}: expected {', '.join(verbs)}")
    wanted, edit = edits[words[0]]
    if len(words) - 1 != len(wanted.split()) and "..." not in wanted:
        raise UsageError(f"{noun} {words[0]}: expected {wanted}")
    return edit if noun == "outbox" else and_wake(edit)


def _print_done(done: str) -> None:
    if done:
        done = printable(done)  # there may be any bytes in the name of a file
        print(json.dumps({"done": done}, ensure_ascii=False) if FLAGS.json else done)


def _since() -> float | None:
    return since_by_flag(time.time())


def _print_rows(noun: str, rows: Sequence[object]) -> None:
    if FLAGS.json:
        print(as_json(rows))
    elif rows:
        print(table(noun, rows, bold=_is_terminal() and not os.environ.get("NO_COLOR")))
    else:
        print("no drinks in the outbox" if noun == "outbox" else f"no {noun}")


def _is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class _Watch:
    """A connection to the core whose events are printed as they come."""

    def __init__(self, service: Service) -> None:
        self._loop = service.loop
        self._ready = service.ready
        self._problem = ""
        self._said = ""
        self._lines = _lines()
        self._address = shown_address(*core_address())
        logging.getLogger("kegnet").addHandler(logging.NullHandler())  # it is said below in other words
        self._client = Client(
            self._loop,
            core_address(),
            on_event=self._hear,
            on_connected=self._on_connected,
            on_disconnected=self._on_disconnected,
            on_failed=self._on_failed,
            token=kegnet_token(service.path),
        )
        if FLAGS.timeout_s:
            self._loop.call_later(FLAGS.timeout_s, self._give_up)

    def run(self) -> int:
        if not (FLAGS.until_drink or FLAGS.timeout_s):
            self._ready(f"watching {self._address}")
        self._loop.run()
        self._client.close()
        if self._problem:
            raise StartError(self._problem)
        return 0

    def _on_connected(self) -> None:
        self._say(f"watching {self._address} (Ctrl-C ends)")

    def _on_disconnected(self) -> None:
        if self._client.refusal:  # waiting would not change its mind
            self._problem = f"the core at {self._address} refused us: {self._client.refusal}"
            self._loop.stop()
        else:
            self._say(f"lost the core at {self._address}; waiting for it")

    def _on_failed(self, reason: str) -> None:
        self._say(f"no core at {self._address}: {reason}; waiting for it")

    def _say(self, text: str) -> None:
        """Beside the events, once until something else is to be said."""
        if text != self._said:
            self._said = text
            print(text, file=sys.stderr, flush=True)

    def _hear(self, event: Event) -> None:
        self._lines.show(event, datetime.now().astimezone())
        if FLAGS.until_drink and isinstance(event, DrinkCreatedEvent):
            self._loop.stop()

    def _give_up(self) -> None:
        if FLAGS.until_drink:
            why = "" if self._client.connected else f" (no core at {self._address}: {self._client.problem})"
            self._problem = f"no drink within {FLAGS.timeout_s:g} s{why}"
        self._loop.stop()


def _lines() -> Lines:
    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    if FLAGS.json:
        return JsonLines(write)
    if _is_terminal():
        return LiveLines(write, lambda: shutil.get_terminal_size().columns)
    return Lines(write)


def main(argv: Sequence[str]) -> int:
    """Run kegbot_admin; the exit status."""
    common_flags.define()
    FLAGS.set_default("log_to_stdout", False)  # what it prints is its result
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, job=True)
