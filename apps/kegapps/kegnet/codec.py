r"""Kegnet's bytes to events and back, any chunking, never raising for any bytes.

Knows JSON, the envelope and which event has which fields. Must not know sockets, clocks, or what events mean.
A message is JSON text ended by an empty line (`\n\n`, on reading also `\r\n\r\n`):
`{"event": "<name>", "data": {...}}`. What cannot be accepted becomes a `Rejected`, and costs only itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NoReturn, cast, get_args

from kegapps.kegnet import drink_facts, events, fields
from kegapps.kegnet.events import Event
from kegapps.kegnet.fields import REQUIRED, Data, Kind, RefusedError

MAX_MESSAGE_BYTES: Final = 65536  # real ones have 80 to 260; pretty-printed by hand, a little more
MAX_ANSWER_BYTES: Final = (
    fields.MAX_REPORT_BYTES + 1000
)  # what an app takes of its core: a CoreStatus, Drinks
_EXCERPT_BYTES: Final = 80
_INTERNAL: Final = frozenset({"QuitEvent", "HeartbeatSecondEvent", "HeartbeatMinuteEvent"})

# The wire: every event's fields, in the order in which they are written. Their names are the record's, but for
# those in _ATTRIBUTES.
_AGE: Final = ("age_s", fields.AGE)
WIRE: Final[dict[type[Any], tuple[tuple[str, Kind], ...]]] = {
    events.MeterUpdate: (
        ("tap_name", fields.TAP_NAME),
        ("reading", fields.READING),
        _AGE,
        ("gap_s", fields.AGE),
        ("board_uptime_s", fields.AGE),
    ),
    events.FlowRequest: (
        ("tap_name", fields.TAP_NAME),
        ("request", fields.one_of(get_args(events.FlowRequestKind))),
        _AGE,
    ),
    events.TokenAuthEvent: (
        ("tap_name", fields.TAP_NAME_OR_ALL),
        ("auth_device_name", fields.NAME),
        ("token_value", fields.NAME),
        ("status", fields.one_of(get_args(events.TokenStatus))),
        _AGE,
    ),
    events.ThermoEvent: (("sensor_name", fields.NAME), ("sensor_value", fields.CELSIUS), _AGE),
    events.FlowUpdate: (
        ("flow_id", fields.COUNT),
        ("tap_name", fields.TAP_NAME),
        ("state", fields.one_of(get_args(events.FlowState))),
        ("username", fields.USERNAME),
        ("start_time", fields.TIME),
        ("last_activity_time", fields.TIME),
        ("ticks", fields.COUNT),
        ("volume_ml", fields.MILLILITRES),
    ),
    events.DrinkCreatedEvent: (
        ("flow_id", fields.COUNT),
        ("drink_id", fields.COUNT),
        ("tap_name", fields.TAP_NAME),
        ("start_time", fields.TIME),
        ("end_time", fields.TIME),
        ("username", fields.NAME),
    ),
    events.SetRelayOutputEvent: (
        ("output_name", fields.NAME),
        ("output_mode", fields.one_of(get_args(events.OutputMode))),
    ),
    events.Ping: (),
    events.Credentials: (("token", fields.TOKEN),),
    events.BoardStatus: (
        ("board_name", fields.NAME),
        ("board_state", fields.one_of(get_args(events.BoardState))),
        ("detail", fields.TEXT),
        ("firmware_version", fields.COUNT_OR_NONE),
        ("serial_number", fields.TEXT),
        ("device", fields.TEXT),
        ("uptime_s", fields.DURATION_OR_NONE),
        ("listened_s", fields.DURATION_OR_NONE),
    ),
    events.StatusRequest: (("want", fields.one_of(("status",))),),
    events.CoreStatus: (("status", fields.REPORT),),
    events.DrinksRequest: (
        ("drinks_after", fields.whole(-1, fields.MAX_COUNT)),
        ("limit", fields.whole(1, events.MAX_DRINKS, default=50)),
    ),
    events.Drinks: (
        ("drinks", drink_facts.DRINKS),
        ("last_id", fields.COUNT),
        ("store_id", fields.LABEL),
    ),
    events.Refusal: (("refused", fields.REASON),),
    events.Session: (("session", fields.NAME), ("next", fields.COUNT)),
    events.Taken: (("took", fields.COUNT),),
}
_ATTRIBUTES: Final = {
    (events.BoardStatus, "board_state"): "state",
    (events.CoreStatus, "status"): "report",
    (events.DrinksRequest, "drinks_after"): "after",
    (events.Refusal, "refused"): "reason",
}
# A Ping is what the first of these fields in it says; without any it is just that.
_PINGS: Final = {
    "token": events.Credentials,
    "board_state": events.BoardStatus,
    "want": events.StatusRequest,
    "status": events.CoreStatus,
    "drinks_after": events.DrinksRequest,
    "drinks": events.Drinks,
    "refused": events.Refusal,
    "session": events.Session,
    "took": events.Taken,
}
_BY_NAME: Final = {kind.__name__: kind for kind in WIRE if kind not in _PINGS.values()}
# As decode and encode want it: they are most of what an event costs a hub, and each call in them counts.
_READ: Final = {
    kind: tuple(
        (_ATTRIBUTES.get((kind, field), field), field, how.read, how.default is not REQUIRED)
        for field, how in wire
    )
    for kind, wire in WIRE.items()
}
_WRITE: Final = {
    kind: (
        f'{{"event": "{"Ping" if kind in _PINGS.values() else kind.__name__}", "data": {{',
        tuple(
            (_ATTRIBUTES.get((kind, field), field), f'"{field}": ', how.write, how.default)
            for field, how in wire
        ),
    )
    for kind, wire in WIRE.items()
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that was skipped: why, for a person, and how it began; both short, printable, on one line."""

    reason: str
    excerpt: str


class Decoder:
    """One connection's incoming bytes. Keeps at most `max_message_bytes` and one more between two calls.

    `max_bytes` may be set to another limit between two calls.
    """

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self.max_bytes = max_message_bytes
        self._rest = bytearray()  # the unfinished message; while skipping, at most the newline it ends with
        self._carriage_return = False  # was the last byte; what follows tells whether it is a line end
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[Event | Rejected]:
        """Take what arrived, at once; the messages it completes are decoded as they are asked for.

        A message longer than the limit yields one Rejected as soon as that is known, and is skipped.
        """
        if self._carriage_return or b"\r" in data:
            data = self._with_plain_line_ends(data)
        rest = self._rest
        if rest:
            seen = len(rest) - 1  # the terminator may have begun with the last byte
            rest += data
            if rest.find(b"\n\n", seen) < 0:
                return iter(self._check_length())
            data = bytes(rest)
            rest.clear()
        *texts, unfinished = data.split(b"\n\n")
        if self._skipping and texts:
            del texts[0]
            self._skipping = False
        rest += unfinished
        messages = map(decode if len(data) <= self.max_bytes else self._decode, texts)
        return chain(messages, self._check_length()) if rest else messages

    def _with_plain_line_ends(self, data: bytes) -> bytes:
        if self._carriage_return:
            data = b"\r" + data
        self._carriage_return = data.endswith(b"\r")
        if self._carriage_return:
            data = data[:-1]
        return data.replace(b"\r\n", b"\n")

    def _check_length(self) -> tuple[Rejected, ...]:
        rest = self._rest
        length = len(rest) - rest.endswith(b"\n")
        if self._skipping:
            del rest[:length]
        elif length > self.max_bytes:
            rejected = self._too_long(bytes(rest[: self.max_bytes]))
            self._skipping = True
            del rest[:length]
            return (rejected,)
        return ()

    def _decode(self, text: bytes) -> Event | Rejected:
        return decode(text) if len(text) <= self.max_bytes else self._too_long(text)

    def _too_long(self, text: bytes) -> Rejected:
        excerpt = _excerpt(text[: self.max_bytes])  # the same, however much of the rest is here by now
        return Rejected(f"longer than {self.max_bytes} bytes without an empty line to end it", excerpt)


def decode(text: bytes) -> Event | Rejected:
    """The event in one message, its terminator taken off. Raises nothing, whatever the bytes."""
    kind = None
    try:
        kind, data = _open(text)
        values = {
            name: read(data, field)
            for name, field, read, optional in _READ[kind]
            if not optional or field in data
        }
        return cast(Event, kind(**values))
    except RefusedError as refused:
        if kind is None:
            return Rejected(str(refused), _excerpt(text))
        # What a token is must not get into a log.
        excerpt = _excerpt(text) if kind is not events.Credentials else "(not shown)"
        return Rejected(f"{kind.__name__}: {refused}", excerpt)


def encode(event: Event) -> bytes:
    """`event` as sent: ASCII, terminator included.

    Raises ValueError for a time without a zone, for a measure that is not finite or absurdly large, and for a report
    that is not plain JSON or too long.
    """
    head, wire = _WRITE[type(event)]
    written = [
        key + write(value)
        for attribute, key, write, default in wire
        if (value := getattr(event, attribute)) != default
    ]
    return f"{head}{', '.join(written)}}}}}\n\n".encode("ascii")


def _open(text: bytes) -> tuple[type[Any], Data]:
    """What kind of event it is, and its data. Raises RefusedError."""
    message, envelope = _parse(text, _JSON)
    if type(envelope) is not dict:
        raise RefusedError('not an object with "event" and "data"')
    name = envelope.get("event")
    if type(name) is not str:
        raise RefusedError('"event" must be the name of an event')
    if name not in _BY_NAME:
        raise RefusedError(
            f"{name} is the core's own" if name in _INTERNAL else f"unknown event {fields.shown(name)}"
        )
    data = envelope.get("data")
    if type(data) is not dict:
        raise RefusedError(f'{name}: "data" must be an object, {{}} if it is empty')
    # Every field has a colon, and of two with the same name one is left: with as many fields as colons, none occurs
    # twice. Otherwise one may, or a colon is elsewhere; asking that always would make decoding a third slower.
    if len(envelope) + len(data) != message.count(":"):
        _parse(text, _JSON_WITHOUT_DUPLICATES)
    kind = _BY_NAME[name]
    if kind is events.Ping:
        kind = next((known for field, known in _PINGS.items() if field in data), kind)
    return kind, data


def _parse(text: bytes, json_decoder: json.JSONDecoder) -> tuple[str, object]:
    """The text of a message without white space around it, and its value. Raises RefusedError."""
    try:
        message = text.decode().strip(" \t\r\n")
        value, end = json_decoder.raw_decode(message)
    except UnicodeDecodeError:
        raise RefusedError("not UTF-8") from None
    except RecursionError:
        raise RefusedError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise RefusedError(f"not JSON: {error.msg}" if message else "empty message") from None
    except RefusedError:
        raise
    except ValueError:
        raise RefusedError("a number with too many digits") from None
    if end != len(message):
        raise RefusedError("not JSON: more follows after its end")
    return message, value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> Data:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusedError("a field occurs twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise RefusedError(f"not JSON: {name} is no number")


_JSON: Final = json.JSONDecoder(parse_constant=_no_constant)
_JSON_WITHOUT_DUPLICATES: Final = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_constant=_no_constant
)


def _excerpt(text: bytes) -> str:
    return ascii(text[:_EXCERPT_BYTES].decode("latin-1"))[1:-1]
