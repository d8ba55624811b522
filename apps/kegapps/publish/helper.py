"""The process that sends: the only one that imports Apprise, once for a burst of messages to one destination.

A process, for Apprise takes 40 MB, may hang, and may take its time; this one is ended by its own alarm then, whoever
else still lives. It speaks lines of JSON: an order first, then numbers of messages, each answered.
Knows Apprise and the queue. Must not know kegnet, flags or the pace of sending.
What came of a message it writes into the queue itself, so that this is known though its publisher be killed meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import sys
import time
import urllib.parse
from typing import Any, Final

from kegapps.daemon.boot import boot_id
from kegapps.daemon.errors import StartError
from kegapps.daemon.extras import extra
from kegapps.publish.destinations import without_secrets
from kegapps.publish.pacing import Moment
from kegapps.publish.queue import Queue
from kegapps.publish.queue_file import QueueError
from kegapps.publish.reasons import EXCEPTION, with_cause

COMMAND: Final = (sys.executable, "-P", "-m", "kegapps.publish.helper")
START_S: Final = 60.0
"""So long may Python and Apprise take to be there: an old Raspberry Pi takes ten."""

LAST_S: Final = 5.0
"""So long may it still wait for an answer when it is told to end: less than a launcher waits before it kills."""

_REFUSED: Final = re.compile(r"\berror=4(?!08|29)\d\d\b")
"""How Apprise words an HTTP answer that means no, not later: each 4xx but a time-out and too many requests."""

_RECORD_S: Final = 10.0  # so long it tries to write down that something was sent


def main() -> None:
    """Serve standard input until it ends."""
    # Whoever ends the publisher does not end what is on its way: that would be in doubt. But it has to hurry.
    signal.signal(signal.SIGTERM, _hurry)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, START_S)
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        return
    order = json.loads(line)
    try:
        apprise = extra("apprise", extra="publish", wanted_by=order["wanted_by"])
    except StartError as error:
        _answer(fatal=str(error))
        return
    if "check" in order:
        _answer(usable=[_usable(apprise, url) for url in order["check"]])
        return
    _serve(apprise, order)


def _hurry(*_: object) -> None:
    left_s, _every_s = signal.getitimer(signal.ITIMER_REAL)
    if left_s > LAST_S:
        signal.setitimer(signal.ITIMER_REAL, LAST_S)


def _serve(apprise: Any, order: dict[str, Any]) -> None:
    try:
        queue = Queue(order["queue"], busy_timeout_s=10.0)
    except QueueError as error:
        _answer(fatal=str(error))
        return
    said = _Said()
    hosts = _watch_requests()
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(said)
    logger.propagate = False
    service = apprise.Apprise(asset=_asset(apprise))
    service.add(order["url"])
    _answer(ready=True)
    while True:
        signal.setitimer(signal.ITIMER_REAL, 0)
        line = sys.stdin.readline()
        if not line.endswith("\n"):
            return
        _send(service, queue, json.loads(line), order, said, hosts)


def _send(
    service: Any, queue: Queue, task: dict[str, Any], order: dict[str, Any], said: _Said, hosts: set[str]
) -> None:
    number = task["id"]
    try:
        message = queue.begin(number, _now())
    except QueueError as error:
        _answer(id=number, result="queue", reason=str(error))
        return
    if message is None:
        _answer(id=number, result="gone", reason="")
        return
    said.text = said.detail = ""
    signal.setitimer(signal.ITIMER_REAL, order["timeout_s"])
    try:
        sent = bool(service.notify(body=message.text, body_format="text"))
    except Exception as error:  # noqa: BLE001 - more than a hundred plugins: whatever it is, it was not sent
        sent, said.text, said.detail = False, f"{type(error).__name__}: {error}", ""
    signal.setitimer(signal.ITIMER_REAL, 0)
    refused = not sent and bool(_REFUSED.search(said.text))
    reason = (
        ""
        if sent
        else without_secrets(
            with_cause(said.text or "it does not say why", said.detail), order["url"], known=hosts
        )
    )
    recorded = _record(queue, number, "sent" if sent else "waiting", reason)
    _answer(id=number, result="sent" if sent else "failed", reason=reason, recorded=recorded, refused=refused)


def _record(queue: Queue, number: int, state: str, reason: str) -> bool:
    """Whether it could be written down; a full disk may have room again in a moment."""
    answered = _now()
    end_s = time.monotonic() + _RECORD_S
    while True:
        try:
            queue.finish(number, state, reason, unix_s=answered.unix_s, answered=answered)
        except QueueError:
            # Nobody to tell it to later: then try as long as it may be worth it.
            if time.monotonic() > end_s:
                return False
            time.sleep(0.2)
        else:
            return True


def _now() -> Moment:
    return Moment(boot_id=boot_id(), mono_s=time.monotonic(), unix_s=time.time())


class _Said(logging.Handler):
    """Keeps the last warning of Apprise: why it could not send; and the detail that it gave with that, or ""."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = self.detail = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            self.text, self.detail = text, ""
        elif text.startswith(EXCEPTION):
            self.detail = text.removeprefix(EXCEPTION)


def _watch_requests() -> set[str]:
    """Let no message be redirected; the names of the hosts that are asked, as they come, for they are no secrets.

    Redirected, a message becomes a GET without it, and a login page that is found there would be taken for "sent".
    Apprise 1.9 has no option for that, and the later one may be undone by a URL, so it is done in its library.
    """
    # Apprise itself needs it: it is there.
    import requests

    hosts: set[str] = set()
    send = requests.Session.send

    def send_unless_redirected(self: Any, request: Any, **kwargs: Any) -> Any:
        hosts.add(urllib.parse.urlsplit(request.url).hostname or "")
        is_question = request.method in ("GET", "HEAD")
        answer = send(self, request, **(kwargs if is_question else {**kwargs, "allow_redirects": False}))
        if answer.is_redirect and not is_question:
            to = urllib.parse.urlsplit(urllib.parse.urljoin(request.url, answer.headers["location"]))
            hosts.add(to.hostname or "")
            raise requests.TooManyRedirects(
                f"redirected to {to.scheme}://{to.netloc.rpartition('@')[2]}{to.path}"
            )
        return answer

    requests.Session.send = send_unless_redirected  # type: ignore[method-assign]
    return hosts


def _asset(apprise: Any) -> Any:
    return apprise.AppriseAsset(app_id="kegmaster", app_desc="kegmaster", app_url="", async_mode=False)


def _usable(apprise: Any, url: str) -> bool:
    return bool(apprise.Apprise(asset=_asset(apprise)).add(url))


def _answer(**answer: object) -> None:
    # A publisher that was killed does not listen: what came of it is in the queue.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
    # Not by sys.exit: Apprise's plugins may have left threads that nobody waits for.
    os._exit(0)
