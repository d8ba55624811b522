"""Every field of every answer in every wrong way, one at a time: none that is not needed stops, doubles or loses a drink.

The core's own dispatch asks an emulated server, whose answers are changed on their way; there are no sockets between.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from kegapps.core.dispatch import Dispatch
from kegapps.core.jobs import Purpose
from kegapps.core.model import Now
from kegapps.core.outbox import Delivered, Entry
from kegapps.core.server_taps import believed
from kegapps.server import form_api
from kegapps.server.calls import Answer, Call
from kegapps.server.url import parse_api_url
from tests.apps.server.emulators import Emulator, Site, Tap
from tests.apps.server.emulators.own_api import basic
from tests.apps.server.emulators.replies import Request
from tests.apps.server.support import pour

GONE: Final = object()
ODD: Final[tuple[Any, ...]] = (
    GONE, None, True, -5, 7.5, 1e300, 2**80, float("nan"), "", "a\n\u200d\x07", "x" * 300, [], {}, [{}],
)  # fmt: skip
Path = tuple[str | int, ...]
# What says that this is an answer to the question at all: without it, nothing else can be believed.
ENVELOPE: Final = {
    ("taps", ("objects",)),
    ("status", ("object",)),
    ("status", ("object", "taps")),
    ("events", ("objects",)),
}


def paths_in(data: Any, at: Path = ()) -> Iterator[Path]:
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from paths_in(value, (*at, key))


def changed(body: bytes, path: Path, odd: Any) -> bytes:
    """`body` with `odd` at `path`, if it has that."""
    data = inner = json.loads(body)
    try:
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]]
    except (KeyError, IndexError, TypeError):
        return body
    if odd is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = odd
    return json.dumps(data).encode()


class Bar:
    """A core with one drink to deliver, and a server that had one of somebody else's before."""

    def __init__(self, generation: str) -> None:
        taps = [
            Tap(id=1, name="Main", meter_name="kegboard.flow0"),
            Tap(id=2, name="Side", meter_name="kegboard.flow1", keg_id=2),
        ]
        self.emulator = Emulator(generation, site=Site(taps=taps))
        self.emulator._server.server_close()  # it is asked directly
        self.url = parse_api_url(self.emulator.url)
        self.endpoint, self.path, self.odd = "", (), None  # type: tuple[str, Path, Any]
        self.bodies: dict[str, bytes] = {}
        self.posts = 0
        self.now = Now(mono_s=1000.0, unix_s=time.time())
        self.ask(form_api.post_drink(pour(777, ended_s_ago=90.0), now_unix_s=self.now.unix_s))
        self.before, self.posts = list(self.emulator.memory.drinks), 0

    def forget(self) -> None:
        self.emulator.memory.drinks[:] = self.before
        self.posts = 0

    def ask(self, call: Call) -> Answer:
        target = urlsplit("/".join(filter(None, (self.url.path.rstrip("/"), call.path))))
        path = f"/api/{call.path[3:]}" if call.path.startswith("../") else call.path
        path = path if path.startswith("/") else target.path
        key = self.emulator.key
        headers = {"authorization": basic(key)} if call.key_as_password else {"x-kegbot-api-key": key}
        form, body = dict(call.form), b"" if call.json is None else json.dumps(call.json).encode()
        query, posted = ({}, form) if call.method == "POST" else (form, {})
        reply = self.emulator.answer(
            Request(method=call.method, path=path, query=query, form=posted, headers=headers, body=body)
        )
        endpoint = "post" if call.form and call.method == "POST" else call.path
        body = reply.body
        if reply.status == 200:
            self.bodies[endpoint] = body
            if endpoint == self.endpoint:
                body = changed(body, self.path, self.odd)
        self.posts += endpoint == "post"
        return Answer(status=reply.status, body=body, sent=True, date_unix_s=float(int(time.time())))

    def deliver(self, *, lost: str) -> object:
        """What becomes of the drink. `lost`: the answer to the first request, the request itself, or nothing."""
        dispatch = Dispatch(self.url, has_key=True)
        drink = pour(1000, username="alice", ended_s_ago=20.0)
        entry: Entry = Entry(drink_id=7, pour=drink, next_unix_s=0.0)
        for _ in range(60):
            if not dispatch.is_usable:
                self.wait(max(0.0, dispatch.next_mono_s() - self.now.mono_s) if dispatch.trouble else 0.0)
            job = dispatch.next_job(self.now, entry)
            assert job is not None
            if job.purpose is Purpose.DRINK and lost == "request":
                answer, lost = Answer(status=500, sent=True), ""
            else:
                answer = self.ask(job.call)
            if job.purpose is Purpose.DRINK and lost == "answer":
                answer, lost = Answer(status=500, sent=True), ""
            outcome = dispatch.finish(job, answer, self.now, jitter=0.5)
            record = outcome.result.record if outcome.result else None
            if isinstance(record, Delivered):
                return record
            if record is not None:
                entry = record
        return entry

    def wait(self, seconds: float) -> None:
        self.now = replace(self.now, mono_s=self.now.mono_s + seconds)


def odd_fields(body: bytes) -> Iterator[tuple[Path, Any]]:
    """Each field, or entry of a list, and what may be in its place."""
    for path in paths_in(json.loads(body)):
        for odd in ODD:
            if odd is not GONE or isinstance(path[-1], str):
                yield path, odd


@pytest.mark.parametrize(
    ("generation", "lost"),
    [
        ("2012", ""),
        ("today", ""),
        ("2012", "answer"),
        ("1.x", "answer"),
        ("today", "answer"),
        ("today", "request"),
    ],
)
def test_no_odd_field_stops_doubles_or_loses_a_drink(generation: str, lost: str) -> None:
    bar = Bar(generation)
    for how in ("", "answer"):
        bar.deliver(lost=how)
        bar.forget()
    assert set(bar.bodies) >= {"taps", "events", "post"}
    wrong = []
    for endpoint, body in list(bar.bodies.items()):
        if endpoint == "status" and lost:
            continue  # it is asked before, and no part of what follows
        for path, odd in odd_fields(body):
            if (endpoint, path) in ENVELOPE:
                continue
            bar.forget()
            bar.endpoint, bar.path, bar.odd = endpoint, path, odd
            done = bar.deliver(lost=lost)
            if not isinstance(done, Delivered) or len(bar.emulator.memory.drinks) != 2:
                wrong.append((endpoint, path, "gone" if odd is GONE else odd, bar.posts, done))
    assert [str(one) for one in wrong] == []


def test_of_an_odd_tap_the_others_are_used_and_it_is_named_with_what_to_do() -> None:
    body = Bar("today").ask(form_api.get_taps()).body
    told = 0
    for path, odd in odd_fields(body):
        if path[:2] != ("objects", 0):
            continue
        good, says = believed(form_api.read_taps(changed(body, path, odd)), usual_ml_per_tick=0.45)
        assert "kegboard.flow1" in [tap.meter_name for tap in good]
        assert len(says) <= 1
        for say in says:
            told += 1
            assert say.text.isprintable()
            assert len(say.text) < 400
            assert "mend it on the server" in say.text or "no name of a meter" in say.text
            # Without a name or a meter the other one of them says which it is.
            assert "'Main'" in say.text or "kegboard.flow0" in say.text or path == ("objects", 0), say.text
    assert told > 10


def test_of_a_token_only_what_says_whose_it_is_and_whether_it_is_valid_is_judged() -> None:
    token = {
        "id": 1, "auth_device": "core.rfid", "token_value": "ff", "username": "bob", "enabled": True, "nice_name": "Bob's",
        "created_time": "2026-01-01T00:00:00Z", "pin": "1", "user": {"username": "bob", "is_active": True},
    }  # fmt: skip
    body = json.dumps({"object": token, "meta": {"result": "ok"}}).encode()
    for path, odd in odd_fields(body):
        needed = (
            path == ("object",)
            or path[-1] in ("auth_device", "token_value", "enabled")
            or path == ("object", "username")
        )
        if not needed:
            assert form_api.read_token(changed(body, path, odd)).username == "bob"
