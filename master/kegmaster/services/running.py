"""What install and remove want of a master that runs, if one does.

Knows the verbs that a master carries out. Must not know the configuration or boot entries.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

from .. import client, orders
from ..command import Command
from ..exit_codes import Verb
from ..intent import Intent
from .transaction import StepError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an order went: exit status, and what it printed."""

    code: int
    text: str


def runs(command: Command) -> bool:
    """A master answers. Raises RightsError, NoAnswerError."""
    sock = client.connect(command.run_directory.socket)
    if sock is None:
        return False
    sock.close()
    return True


def reload(command: Command, name: str) -> Outcome:
    """Have the file read again. `name` is not started by that; if its section is gone, its process is ended.

    What else was stopped stays so: to install one service starts no other.
    """
    report = command.dispatch.status(()) or {}
    rows = report.get("status", {}).get("apps", [])
    held = [row["name"] for row in rows if row.get("state") == "stopped" and row["name"] != name]
    sock = client.connect(command.run_directory.socket)
    if sock is None:
        return Outcome(code=Verb.DONE, text="")
    try:
        with _quiet() as said:
            code = command.dispatch.follow(sock, "reload", [], known=[name, *held])
    except client.NoAnswerError as error:
        return Outcome(code=Verb.FAILED, text=str(error))
    return Outcome(code=code, text=said.getvalue())


def refuse_frozen(command: Command) -> None:
    """A master that lives but does not answer would not learn of any change. Raises NoAnswerError, RightsError."""
    if runs(command) and not command.dispatch.answers():
        raise client.NoAnswerError(
            "the master that runs does not answer, so nothing was changed; master.py start --force ends it"
        )


def forget_stop(command: Command, name: str) -> None:
    """Nobody wants to know any more that it was stopped by hand; a master that runs is told by `reload`."""
    with contextlib.suppress(OSError):
        Intent(command.run_directory.stopped).discard([name])


def order(command: Command, verb: str, names: list[str]) -> Outcome:
    """Have `start` or `stop` carried out as if it had been typed, without --json: what it prints is only told on."""
    options, terminal = command.options, command.terminal
    before = (options.verb, options.names, options.json, terminal.verb, terminal.json)
    options.verb, options.names, options.json, terminal.verb, terminal.json = verb, names, False, verb, False
    try:
        with _quiet() as said:
            code = int((orders.stop if verb == "stop" else orders.start)(command))
    finally:
        options.verb, options.names, options.json, terminal.verb, terminal.json = before
    return Outcome(code=code, text=said.getvalue())


def stop(command: Command) -> None:
    """End the master and all apps. Raises StepError."""
    ended = order(command, "stop", [])
    if ended.code:
        raise StepError(f"the master does not stop: {' '.join(ended.text.split())}")


def state(command: Command, name: str) -> dict[str, object]:
    """The app's row of `status`; empty if no master knows it."""
    report = command.dispatch.status([name]) or {}
    rows = json.loads(json.dumps(report.get("status", {}).get("apps", [])))
    return next((row for row in rows if row.get("name") == name), {})


@contextlib.contextmanager
def _quiet() -> Iterator[io.StringIO]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        yield said
