"""What a person can see of a queue, and change in it: `queue`, `queue retry`, `queue dismiss`.

Knows the queue and words. Must not know the core or networks. Works beside a publisher that runs, and without.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from kegapps.daemon.errors import StartError, UsageError
from kegapps.publish.held import wake
from kegapps.publish.messages import Message
from kegapps.publish.queue import Queue
from kegapps.publish.queue_file import QueueError

USAGE: Final = "expected: queue, queue retry NUMBER ... or queue dismiss NUMBER ..."


def run(path: str, words: list[str], *, as_json: bool, everything: bool) -> None:
    """Do what `words`, those after `queue`, say with the queue at `path`. Raises UsageError and StartError."""
    verb, numbers = (words[0], words[1:]) if words else ("", [])
    if verb not in ("", "retry", "dismiss"):
        raise UsageError(f"{verb}: {USAGE}")
    chosen = _numbers(numbers)
    if verb and everything == bool(chosen):
        raise UsageError(f"queue {verb}: expected numbers of messages, or --all for all that were given up")
    try:
        queue = Queue(path, busy_timeout_s=5.0)
        try:
            if not verb:
                messages = queue.listed(done=everything)
                print(as_lines(messages) if as_json else as_table(messages), end="")
                return
            change: Callable[..., list[int]] = queue.retry if verb == "retry" else queue.dismiss
            refused = change(None if everything else chosen, unix_s=time.time())
        finally:
            queue.close()
    except QueueError as error:
        raise StartError(str(error)) from None
    wake(path)
    if refused:
        shown = ", ".join(map(str, refused))
        raise StartError(
            f"queue {verb}: {shown}: no such message, or it is not one to {verb}; see: queue --all"
        )
    print("done")


def as_lines(messages: list[Message]) -> str:
    """One JSON object a line, every field of every message."""
    return "".join(json.dumps(dataclasses.asdict(message), ensure_ascii=False) + "\n" for message in messages)


def as_table(messages: list[Message]) -> str:
    """A table for people."""
    if not messages:
        return "nothing waits\n"
    head = ("number", "state", "tries", "poured", "destination", "message")
    rows = [
        (
            str(message.id),
            message.state.replace("_", " "),
            str(message.attempts),
            f"{datetime.fromtimestamp(message.poured_unix_s):%Y-%m-%d %H:%M}",
            message.label,
            message.text + (f"  [{message.reason}]" if message.reason else ""),
        )
        for message in messages
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in (head, *rows)
    )


def _numbers(words: list[str]) -> list[int]:
    for word in words:
        if not (word.isascii() and word.isdecimal() and len(word) < 19):
            raise UsageError(f"{word}: expected the number of a message, as shown by: queue")
    return list(dict.fromkeys(map(int, words)))
