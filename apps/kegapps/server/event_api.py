"""Today's `kegboard-event`: batches of events with their age, pairing, and the server's commands.

Knows the protocol of section 6, version 1. Must not know sockets, clocks, the store, or which pours go this way
(`route`). A batch may be repeated without looking: the server skips event ids and pour ids that it has.
Source: shared/kegbot-server-api.md, section 6.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

from kegapps.server import answers, verdicts
from kegapps.server.answers import AnswerError, Data
from kegapps.server.calls import Answer, Call, Pour
from kegapps.server.commands import Command, read_commands
from kegapps.server.url import ApiUrl
from kegapps.server.verdicts import Asked, Kind, Verdict

VERSION: Final = 1
MAX_EVENTS: Final = 16
MAX_BYTES: Final = 16384
_ENVELOPE_BYTES: Final = 512  # device, boot id and the rest around the events, with room for a longer age


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvent:
    """One event of a device."""

    id: int
    """From 1, rising within a boot id."""
    type: str
    at_unix_s: float
    """When it happened, by the core's clock; only its age is sent."""
    data: Mapping[str, Any]


class Pairing(Enum):
    """What an admin decided about a device."""

    PENDING = "pending"
    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What became of a batch."""

    verdict: Verdict
    """DONE; RETRY; STOP: this device sends nothing more this way until a probe; DEAD: the batch can never succeed.

    A DEAD batch of several events: send them one at a time, then only the bad one is DEAD.
    """
    commands: tuple[Command, ...] = ()
    """Each is repeated by the server until acknowledged, and is to be applied once."""
    pairing: Pairing | None = None
    token: str | None = field(default=None, repr=False)
    """With ALLOWED: given once. Store it, then send again at once."""


def event_path(url: ApiUrl) -> str:
    """Where the endpoint is on the server whose form API is at `url`."""
    return f"{url.path.removesuffix('v1/')}kegboard-event"


def probe_call(url: ApiUrl) -> Call:
    """Asks whether the endpoint is there. An empty batch: refused by it before the device is looked at."""
    return Call(method="POST", path=event_path(url), json={}, with_key=False)


def is_there(answer: Answer) -> bool:
    """Whether the answer to `probe_call` comes from the endpoint."""
    try:
        data = answers.parse(answer.body)
    except AnswerError:
        return False
    if answer.status == 400:
        return data.get("error") in ("invalid", "unsupported_version")
    return (answer.status == 401 and "pairing" in data) or (
        answer.status == 503 and data.get("error") == "setup_required"
    )


def device_of(meter_name: str) -> tuple[str, int] | None:
    """(device, meter number) of a meter such as `kegboard.flow0`; None for a name the protocol cannot express."""
    device, _, port = meter_name.rpartition(".")
    number = port.removeprefix("flow")
    if not 0 < len(device) <= 64 or port == number or not number.isascii() or not number.isdecimal():
        return None
    return (device, int(number)) if number == str(int(number[:9])) else None


def pour_event(event_id: int, pour: Pour, *, grant_id: str | None = None) -> DeviceEvent:
    """The end of a pour. Raises ValueError if its meter has no number (see `device_of`)."""
    found = device_of(pour.meter_name)
    if found is None:
        raise ValueError(f"{pour.meter_name} is no meter that kegboard-event can name")
    data: dict[str, Any] = {
        "meter_number": found[1],
        "pour_id": pour.uuid,
        "volume_ml": pour.volume_ml,
        "duration_ms": _milliseconds(pour.end_unix_s - pour.start_unix_s),
        "ticks": pour.ticks,
        "ml_per_tick": pour.ml_per_tick,
    }
    if grant_id:
        data["grant_id"] = grant_id
    return DeviceEvent(id=event_id, type="pour", at_unix_s=pour.end_unix_s, data=data)


def temperature_event(event_id: int, sensor: str, celsius: float, at_unix_s: float) -> DeviceEvent:
    """A reading of `<device>.<sensor>`; may be of the past."""
    data = {"sensor": sensor, "temp_c": celsius}
    return DeviceEvent(id=event_id, type="temperature", at_unix_s=at_unix_s, data=data)


def status_event(
    event_id: int, at_unix_s: float, *, boot: bool, version: str, uptime_s: float
) -> DeviceEvent:
    """The device lives. Its meters are left out: the server would take their calibration for its own."""
    data: dict[str, Any] = {
        "state": "boot" if boot else "heartbeat",
        "fw_version": version,
        "uptime_ms": _milliseconds(uptime_s),
        "events_dropped": 0,
        "config": {},
    }
    return DeviceEvent(id=event_id, type="status", at_unix_s=at_unix_s, data=data)


def command_result(
    event_id: int, command_id: str, at_unix_s: float, *, result: str = "ok", message: str = ""
) -> DeviceEvent:
    """Acknowledges a command: `ok`, `error` or `unsupported`. Until then the server repeats it."""
    data = {"command": command_id, "result": result} | ({"message": message} if message else {})
    return DeviceEvent(id=event_id, type="command_result", at_unix_s=at_unix_s, data=data)


def batch_of(events: Iterable[DeviceEvent]) -> tuple[DeviceEvent, ...]:
    """As many of the first `events` as one request may carry; at least one, if there is one."""
    batch: list[DeviceEvent] = []
    size = _ENVELOPE_BYTES
    for event in events:
        size += len(json.dumps(_written(event, event.at_unix_s))) + 24  # a longer age, and the comma
        if batch and (len(batch) == MAX_EVENTS or size > MAX_BYTES):
            break
        batch.append(event)
    return tuple(batch)


def post_events(
    url: ApiUrl,
    *,
    device: str,
    boot_id: str,
    events: Sequence[DeviceEvent],
    now_unix_s: float,
    uptime_s: float,
    token: str | None,
) -> Call:
    """The batch `events`, oldest first; to be built anew at each attempt. `token` None: not paired yet.

    Raises ValueError for what the server would refuse.
    """
    ids = [event.id for event in events]
    if not 1 <= len(events) <= MAX_EVENTS or ids[0] < 1 or any(a >= b for a, b in itertools.pairwise(ids)):
        raise ValueError(f"a batch has 1 to {MAX_EVENTS} events with rising ids, not {ids}")
    if not 0 < len(device) <= 64 or not 0 < len(boot_id) <= 32:
        raise ValueError(f"device {device!r} or boot id {boot_id!r} is empty or too long")
    body = {
        "v": VERSION,
        "device": device,
        "boot_id": boot_id,
        "sent_uptime_ms": _milliseconds(uptime_s),
        "events": [_written(event, now_unix_s) for event in events],
    }
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Call(method="POST", path=event_path(url), json=body, headers=headers, with_key=False)


def receive(answer: Answer) -> Reception:
    """What became of a batch, by its answer."""
    if answer.status == 200 and not answer.error:
        try:
            return Reception(
                verdict=Verdict(kind=Kind.DONE, reason=""), commands=read_commands(answers.parse(answer.body))
            )
        except AnswerError as error:
            return Reception(verdict=Verdict(kind=Kind.RETRY, reason=f"[200] {error}"))
    if answer.status == 401:
        try:
            return _paired(answers.object_in(answers.parse(answer.body), "pairing"))
        except AnswerError:
            pass  # not the endpoint's own 401, but a proxy's
    verdict = verdicts.judge(answer, Asked.READING)
    if answer.status in (400, 413, 422):
        verdict = replace(verdict, kind=Kind.DEAD)
    elif verdict.kind is Kind.HOLD:
        verdict = replace(verdict, kind=Kind.STOP)
    elif answer.status is not None and answer.status >= 500:
        verdict = replace(verdict, kind=Kind.RETRY)  # 503 setup_required among them
    return Reception(verdict=verdict)


def pairing_delay_s(polls: int) -> float:
    """Seconds until a device that is pending asks again, after `polls` (1 or more) such answers."""
    return 5.0 if polls <= 12 else 60.0


def retry_delay_s(failures: int, jitter: float) -> float:
    """Seconds until the next attempt after `failures` (1 or more) in a row; at once if there is a new pour.

    `jitter` is a random number from 0 to 1 that the caller draws.
    """
    return min(300.0, 30.0 * 2.0 ** min(max(failures, 1) - 1, 8)) * (1.0 - 0.25 * min(max(jitter, 0.0), 1.0))


def _written(event: DeviceEvent, now_unix_s: float) -> dict[str, Any]:
    age_ms = _milliseconds(now_unix_s - event.at_unix_s)
    return {"id": event.id, "type": event.type, "age_ms": age_ms, "data": dict(event.data)}


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _paired(pairing: Data) -> Reception:
    state = answers.text_in(pairing, "state")
    token = answers.if_sane(answers.text_in, pairing, "token") or ""
    if state == "allowed" and token.isascii() and token and " " not in token:
        reason = "the server gave this device its token"
        return Reception(
            verdict=Verdict(kind=Kind.RETRY, reason=reason), pairing=Pairing.ALLOWED, token=token
        )
    if state == "denied":
        reason = "this device was denied on the server: allow it there, in the dashboard under Kegboards"
        return Reception(verdict=Verdict(kind=Kind.STOP, reason=reason), pairing=Pairing.DENIED)
    reason = "this device waits to be allowed on the server, in the dashboard under Kegboards"
    return Reception(verdict=Verdict(kind=Kind.RETRY, reason=reason), pairing=Pairing.PENDING)
