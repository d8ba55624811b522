"""The kinds of values in kegnet's messages: what is accepted, within which bounds, and how it is written.

Knows types and bounds, and says what is wrong with a value. Must not know events, framing or sockets.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, Final, NoReturn, TypeGuard

from kegapps.daemon.labels import as_label, is_label
from kegapps.kegnet.events import ALL_TAPS, MAX_READING

MAX_NAME_CHARS: Final = 128
MAX_LABEL_CHARS: Final = 200  # what people call a tap or a beverage
MAX_TEXT_CHARS: Final = 512  # a sentence for a person, a path
MIN_TOKEN_CHARS, MAX_TOKEN_CHARS = 16, 256
MAX_REPORT_BYTES: Final = 500_000  # a thousand taps and boards
_MAX_REPORT_DEPTH: Final = 8
MAX_COUNT: Final = 2**63 - 1  # flow and drink numbers, ticks of a flow: what a database column holds
MAX_MEASURE: Final = 1e12  # mL and degrees C; beyond it is nonsense, and float arithmetic goes wrong
MAX_AGE_S: Final = 10 * 366 * 86400.0  # ten years: no event is older than the hardware
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)

Data = dict[str, Any]  # a message's "data" as JSON gave it


class RefusedError(ValueError):
    """A message cannot be accepted; the text is the reason, on one line."""


REQUIRED: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a field is read from a message's data (raises RefusedError) and written as JSON text.

    `write` raises ValueError for what no peer could read. A field with a `default`, which is the record's, need not
    be there: it is neither read when it is absent nor written when it has that value.
    """

    read: Callable[[Data, str], Any]
    write: Callable[[Any], str]
    default: object = REQUIRED


def shown(value: object) -> str:
    """`value` for a one-line message: printable ASCII, short, whatever it is."""
    if type(value) is str:
        return ascii(value[:40])
    if value is None or type(value) is bool:
        return json.dumps(value)
    if type(value) is float or (type(value) is int and abs(value) < 10**20):
        return repr(value)
    return {int: "a huge number", list: "a list", dict: "an object"}.get(type(value), "something else")


TOKEN_FORM: Final = f"{MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} printable ASCII characters without spaces"


def is_token(value: object) -> TypeGuard[str]:
    """True for what may be shown to a core as a token."""
    return (
        type(value) is str
        and MIN_TOKEN_CHARS <= len(value) <= MAX_TOKEN_CHARS
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )


def _refuse(data: Data, field: str, expected: str) -> NoReturn:
    found = f"is {shown(data[field])}" if field in data else "is missing"
    raise RefusedError(f"{field} {found}, expected {expected}")


def _read_name(data: Data, field: str) -> str:
    value = data.get(field)
    # Not printable: control characters, lone surrogates, line separators. Poison to logs and displays.
    if type(value) is str and 0 < len(value) <= MAX_NAME_CHARS and value.isprintable():
        return value
    _refuse(data, field, f"1 to {MAX_NAME_CHARS} printable characters")


def _read_tap_name(data: Data, field: str) -> str:
    # Peers of 2013 and later call it meter_name; a message with both says the same twice.
    return _read_name(data, "meter_name" if field not in data and "meter_name" in data else field)


def _read_tap_name_or_all(data: Data, field: str) -> str:
    # An empty or absent name has meant every tap since 2013.
    if data.get(field) in (None, "") and data.get("meter_name") in (None, ""):
        return ALL_TAPS
    return _read_tap_name(data, field)


def _read_username(data: Data, field: str) -> str | None:
    return None if data.get(field) in (None, "") else _read_name(data, field)


def _read_reading(data: Data, field: str) -> int:
    value = data.get(field)
    if type(value) is int and 0 <= value <= MAX_READING:
        return value
    if type(value) is float and 0 <= value < MAX_READING + 1:  # NaN and infinity compare false
        return int(value)  # truncated, as the 2012 core does
    _refuse(data, field, f"ticks from 0 to {MAX_READING}")


def _read_count_between(data: Data, field: str, low: int, high: int) -> int:
    value = data.get(field)
    if type(value) is int and low <= value <= high:
        return value
    _refuse(data, field, f"a whole number from {low} to {high}")


def _read_count(data: Data, field: str) -> int:
    return _read_count_between(data, field, 0, MAX_COUNT)


def _read_number(data: Data, field: str, low: float, high: float) -> float:
    value = data.get(field)
    if (type(value) is float or type(value) is int) and low <= value <= high:
        return float(value)
    _refuse(data, field, f"a number from {low:g} to {high:g}")


def _read_age(data: Data, field: str) -> float:
    return _read_number(data, field, 0.0, MAX_AGE_S)


def _read_time(data: Data, field: str) -> datetime:
    value = data.get(field)
    if type(value) is str and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass  # the 31st of February
    _refuse(data, field, "a time such as 2026-11-21T07:12:12Z")


def _read_token(data: Data, field: str) -> str:
    value = data.get(field)
    if is_token(value):
        return value
    raise RefusedError(f"{field} is not {TOKEN_FORM}")  # and what it is, is nobody's business


def _read_text(data: Data, field: str, most: int = MAX_TEXT_CHARS) -> str:
    value = data.get(field)
    if value is None:
        return ""
    if type(value) is str and len(value) <= most and is_label(value):
        return value
    _refuse(data, field, f"at most {most} printable characters")


def fit(text: str, most: int) -> str:
    """At most `most` characters of `text`, each printable: what any peer accepts, also as a name."""
    return "".join(char if char.isprintable() else "?" for char in text[:most])


def fit_label(text: str, most: int) -> str:
    """At most `most` characters of `text`, as peers accept it for what people call a thing."""
    return as_label(text[:most])


def _read_report(data: Data, field: str) -> Data:
    value = data.get(field)
    if type(value) is dict and _is_plain(value):
        return value
    _refuse(data, field, f"an object of plain JSON, at most {_MAX_REPORT_DEPTH} deep")


def _write_report(report: Data) -> str:
    if not _is_plain(report):
        raise ValueError("a report must be plain JSON")
    text = json.dumps(report)
    if len(text) > MAX_REPORT_BYTES:
        raise ValueError(f"a report of {len(text)} bytes is too long")
    return text


def _is_plain(value: object, depth: int = _MAX_REPORT_DEPTH) -> bool:
    """True if any JSON reader can read it: no endless nesting, no infinity, no integer that needs a big one."""
    if isinstance(value, dict):
        return depth > 0 and all(
            type(key) is str and _is_plain(item, depth - 1) for key, item in value.items()
        )
    if isinstance(value, list | tuple):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    if type(value) is int:
        return -MAX_COUNT <= value <= MAX_COUNT
    return (type(value) is float and math.isfinite(value)) or value is None or type(value) in (bool, str)


def _write_time(time: datetime) -> str:
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone; kegnet carries UTC")
    return f'"{time.astimezone(UTC).isoformat(timespec="seconds")[:19]}Z"'


def _write_number(value: float) -> str:
    if not -MAX_MEASURE <= value <= MAX_MEASURE:
        raise ValueError(f"{value} is no number to send")
    return repr(float(value))


NAME = Kind(read=_read_name, write=_quoted)
TAP_NAME = Kind(read=_read_tap_name, write=_quoted)
TAP_NAME_OR_ALL = Kind(read=_read_tap_name_or_all, write=_quoted)
USERNAME = Kind(read=_read_username, write=lambda name: _quoted(name) if name else "null")
READING = Kind(read=_read_reading, write=int.__repr__)
COUNT = Kind(read=_read_count, write=int.__repr__)
CELSIUS = Kind(
    read=lambda data, field: _read_number(data, field, -MAX_MEASURE, MAX_MEASURE), write=_write_number
)
MILLILITRES = Kind(read=lambda data, field: _read_number(data, field, 0.0, MAX_MEASURE), write=_write_number)
AGE = Kind(read=_read_age, write=lambda age_s: _write_number(age_s) if age_s > 0 else "0.0", default=0.0)
TIME = Kind(read=_read_time, write=_write_time)
TOKEN = Kind(read=_read_token, write=_quoted)
REASON = Kind(read=_read_text, write=lambda text: _quoted(fit_label(text, MAX_TEXT_CHARS)))
TEXT = replace(REASON, default="")
LABEL = Kind(
    read=lambda data, field: _read_text(data, field, MAX_LABEL_CHARS),
    write=lambda text: _quoted(fit_label(text, MAX_LABEL_CHARS)),
    default="",
)
UNIX_S = MILLILITRES
COUNT_OR_NONE = Kind(
    read=lambda data, field: None if data.get(field) is None else _read_count(data, field),
    write=int.__repr__,
    default=None,
)
DURATION_OR_NONE = Kind(
    read=lambda data, field: None if data.get(field) is None else _read_age(data, field),
    write=_write_number,
    default=None,
)
REPORT = Kind(read=_read_report, write=_write_report)


def one_of(words: tuple[str, ...]) -> Kind:
    """One of `words`, exactly."""

    def read(data: Data, field: str) -> str:
        value = data.get(field)
        if type(value) is str and value in words:
            return value
        _refuse(data, field, f"one of {', '.join(words)}")

    return Kind(read=read, write=_quoted)


def whole(low: int, high: int, *, default: object = REQUIRED) -> Kind:
    """A whole number from `low` to `high`."""

    def write(value: int) -> str:
        if not low <= value <= high:
            raise ValueError(f"{value} is not from {low} to {high}")
        return int.__repr__(value)

    return Kind(
        read=lambda data, field: _read_count_between(data, field, low, high), write=write, default=default
    )
