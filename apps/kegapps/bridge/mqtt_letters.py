"""What two bridges write to each other by way of a broker, and back; untrusted, so bounded and typed.

Knows JSON and kegnet's messages. Must not know topics, connections or clocks.
A letter is one JSON object: a kegnet message (`event`, `data`) with more beside it, so that it can be read with any
MQTT tool. What is no letter raises LetterError, whose text is one line for a person.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from kegapps.kegnet import fields
from kegapps.kegnet.codec import Rejected, decode, encode
from kegapps.kegnet.events import APP_EVENTS, CORE_EVENTS, AppEvent, BoardStatus, CoreEvent, Event

MAX_LETTER_BYTES: Final = 4096  # a real one has some 300; one with the longest texts allowed, 3,000
_MAX_STAMP_CHARS: Final = 64


class LetterError(ValueError):
    """The bytes are no such letter; why, on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """A machine passes on what one of its apps said.

    session   its own, as long as its spool lives
    number    of this event in the session; each has the next one
    first     the lowest number that it does not know to be stored by the core
    sent_s    when it wrote this, by its monotonic clock since `run`, a start of its bridge
    """

    session: str
    number: int
    first: int
    run: str
    sent_s: float
    event: AppEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """The core has stored what came of all events of `session` below `took`; `again`: send again from that one on."""

    session: str
    took: int
    again: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """What the core says; `stamp` is that of the last Beat of the machine, empty if there was none."""

    event: CoreEvent
    stamp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A stamp: whoever shows it has written after this was. `again`: an order was too old, perhaps; say it again."""

    stamp: str
    again: bool = False


def write_up(letter: Up) -> bytes:
    """As it is sent."""
    return _write(
        letter.event,
        session=letter.session,
        number=letter.number,
        first=letter.first,
        run=letter.run,
        sent_s=round(letter.sent_s, 3),
    )


def read_up(payload: bytes) -> Up:
    """The letter. Raises LetterError."""
    data, event = _read(payload)
    if not isinstance(event, APP_EVENTS):
        raise LetterError(f"{type(event).__name__} is not an app's to send")
    number, first = _field(data, "number", fields.COUNT), _field(data, "first", fields.COUNT)
    if first > number:
        raise LetterError(f"number {number} comes before the first one that is not stored, {first}")
    return Up(
        session=_field(data, "session", fields.NAME),
        number=number,
        first=first,
        run=_field(data, "run", fields.NAME),
        sent_s=_field(data, "sent_s", fields.AGE),
        event=event,
    )


def write_status(status: BoardStatus) -> bytes:
    """As it is sent."""
    return _write(status)


def read_status(payload: bytes) -> BoardStatus:
    """How a board is. Raises LetterError."""
    _, event = _read(payload)
    if not isinstance(event, BoardStatus):
        raise LetterError(f"{type(event).__name__} is no status of a board")
    return event


def write_down(letter: Down) -> bytes:
    """As it is sent."""
    return _write(letter.event, stamp=letter.stamp)


def read_down(payload: bytes) -> Down:
    """The letter. Raises LetterError."""
    data, event = _read(payload)
    if not isinstance(event, CORE_EVENTS):
        raise LetterError(f"{type(event).__name__} is not a core's to say")
    return Down(event=event, stamp=_stamp(data))


def write_took(letter: Took) -> bytes:
    """As it is sent."""
    return json.dumps({"session": letter.session, "took": letter.took, "again": letter.again}).encode()


def read_took(payload: bytes) -> Took:
    """The letter. Raises LetterError."""
    data = _object(payload)
    return Took(
        session=_field(data, "session", fields.NAME),
        took=_field(data, "took", fields.COUNT),
        again=_field(data, "again", fields.COUNT_OR_NONE),
    )


def write_beat(letter: Beat) -> bytes:
    """As it is sent."""
    return json.dumps({"stamp": letter.stamp, "again": letter.again}).encode()


def read_beat(payload: bytes) -> Beat:
    """The letter. Raises LetterError."""
    data = _object(payload)
    return Beat(stamp=_stamp(data), again=data.get("again") is True)


def _write(event: Event, **more: Any) -> bytes:
    message = encode(event).rstrip(b"\n")
    extra = "".join(f', "{name}": {json.dumps(value)}' for name, value in more.items())
    return message[:-1] + extra.encode() + b"}"


def _read(payload: bytes) -> tuple[dict[str, Any], Event]:
    data = _object(payload)
    event = decode(payload)
    if isinstance(event, Rejected):
        raise LetterError(event.reason)
    return data, event


def _object(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_LETTER_BYTES:
        raise LetterError(f"{len(payload)} bytes are too long, expected {MAX_LETTER_BYTES} at most")
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        raise LetterError("not JSON") from None
    if type(data) is not dict:
        raise LetterError("not a JSON object")
    return data


def _field(data: dict[str, Any], name: str, kind: fields.Kind) -> Any:
    try:
        return kind.read(data, name)
    except fields.RefusedError as error:
        raise LetterError(str(error)) from None


def _stamp(data: dict[str, Any]) -> str:
    stamp = data.get("stamp")
    if type(stamp) is not str or len(stamp) > _MAX_STAMP_CHARS or not stamp.isprintable():
        raise LetterError(f"stamp {fields.shown(stamp)}, expected at most {_MAX_STAMP_CHARS} characters")
    return stamp
