"""What a server says, read with care: JSON of bounded depth and size, fields of the right type, safe to show.

Knows JSON, types and bounds. Must not know endpoints, sockets or what is done about a bad answer.
Names, ids and users are taken as they are or not at all; what is only shown to people is made fit for it; and what can
be done without is read `if_sane`: nothing that is not needed spoils an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NoReturn, TypeVar

from kegapps.daemon.labels import as_label
from kegapps.server.calls import MAX_ANSWER_BYTES

MAX_LIST: Final = 1000  # taps, drinks or events in one answer; the largest honest list has 100
_MAX_TEXT_CHARS: Final = 256
_MAX_NUMBER: Final = 1e12
_MAX_WHOLE: Final = 2**63 - 1  # what a database column holds
_NUMBER: Final = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,3})?", re.ASCII)
# 2012 writes ...:12Z, since 1.x an offset and a fraction. Without either it would be some local time.
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)", re.ASCII)

Data = dict[str, Any]
_Read = TypeVar("_Read")


class AnswerError(ValueError):
    """The answer makes no sense; the text is the reason, one printable line."""


def parse(body: bytes) -> Data:
    """The JSON object in `body`. Raises AnswerError."""
    if len(body) > MAX_ANSWER_BYTES:
        raise AnswerError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
    if not body.strip():
        raise AnswerError("the answer is empty")
    if is_web_page(body):
        raise AnswerError("the answer is a web page, not JSON")
    try:
        # What one field has that is no JSON (NaN, a byte of another coding, an endless number) is its own trouble.
        value = json.loads(
            body.decode("utf-8-sig", "replace"), strict=False, parse_constant=_nothing, parse_int=_whole
        )
    except RecursionError:
        raise AnswerError("the answer is nested too deeply") from None
    except ValueError:  # json.JSONDecodeError
        raise AnswerError(f"the answer is not JSON: {printable(body[:60].decode('latin-1'))!r}") from None
    if type(value) is not dict:
        raise AnswerError("the answer is JSON, but no object")
    return value


def is_web_page(body: bytes) -> bool:
    """True if `body` is HTML, as proxies, log-in pages and broken sites send it."""
    return body[:200].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def printable(text: str, limit: int = 160) -> str:
    """`text` for a line that people read: printable, without line breaks, short."""
    line = " ".join(text[: 4 * limit].split())
    line = as_label(line)
    return line if len(line) <= limit else line[: limit - 3] + "..."


def object_in(data: Data, field: str) -> Data:
    """The object in `field`. Raises AnswerError."""
    value = data.get(field)
    return value if type(value) is dict else _refuse(field, value, "an object")


def nested_in(data: Data, field: str) -> Data:
    """The object in `field`; an empty one if there is none."""
    value = data.get(field)
    return value if type(value) is dict else {}


def objects_in(data: Data, field: str) -> list[Data]:
    """The list of objects in `field`; an entry that is none is an empty one. Raises AnswerError."""
    value = data.get(field)
    if type(value) is not list:
        _refuse(field, value, "a list of objects")
    if len(value) > MAX_LIST:
        raise AnswerError(f"{field} has {len(value)} entries, more than {MAX_LIST}")
    return [item if type(item) is dict else {} for item in value]


def if_sane(read: Callable[[Data, str], _Read | None], data: Data, field: str) -> _Read | None:
    """What `read` finds in `field`, where one can do without; None for what it refuses."""
    try:
        return read(data, field)
    except AnswerError:
        return None


def label_in(data: Data, field: str) -> str:
    """What people call a thing, in `field`: fit to show, other characters replaced, cut; empty for what is no text."""
    value = data.get(field)
    return printable(value) if type(value) is str else ""


def text_in(data: Data, field: str) -> str:
    """The text in `field`, which names something or somebody; empty if it is missing or null. Raises AnswerError."""
    value = data.get(field)
    if value is None:
        return ""
    if type(value) is not str or len(value) > _MAX_TEXT_CHARS or not value.isprintable() or "\ufffd" in value:
        _refuse(field, value, f"at most {_MAX_TEXT_CHARS} printable characters")
    return value


def id_in(data: Data, field: str) -> str | None:
    """The id in `field`, whether the server writes it as number or text. Raises AnswerError."""
    value = data.get(field)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and 0 <= value <= _MAX_WHOLE:
        return str(value)
    return text_in(data, field) or None


def number_in(data: Data, field: str) -> float | None:
    """The number in `field`, also as text; None if it is missing or null. Raises AnswerError."""
    value = _number(data.get(field))
    if value is None:
        return None
    if type(value) not in (int, float) or not -_MAX_NUMBER <= value <= _MAX_NUMBER:
        _refuse(field, value, "a number")
    return float(value)


def whole_in(data: Data, field: str) -> int | None:
    """The whole number in `field`, from 0, also as `500.0` or text; None if it is missing or null.

    Raises AnswerError.
    """
    value = _number(data.get(field))
    if value is None:
        return None
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= _MAX_WHOLE:
        _refuse(field, value, "a whole number")
    return value


def time_in(data: Data, field: str) -> float | None:
    """The time in `field`, Unix seconds; None if it is missing or null, or names no time zone.

    Raises AnswerError for what is no time.
    """
    text = text_in(data, field)
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        if not _TIME.fullmatch(text):
            return None
        return time.timestamp()
    except (ValueError, OverflowError):
        _refuse(field, text, "a time such as 2026-11-20T23:26:38+00:00")


def _refuse(field: str, value: object, expected: str) -> NoReturn:
    found = printable(repr(value), 40) if type(value) in (str, float, bool) else type(value).__name__
    raise AnswerError(f"{field} in the answer is {found}, expected {expected}")


def _number(value: object) -> Any:
    """`value`, or the number that it writes as text."""
    if type(value) is not str or not _NUMBER.fullmatch(value):
        return value
    return int(value) if value.isdecimal() else float(value)


def _whole(digits: str) -> int | float:
    """JSON's whole number of any length: beyond what is used anywhere, it need not be exact."""
    return int(digits) if len(digits) < 40 else float(digits)


def _nothing(_name: str) -> None:
    """NaN and Infinity, which some servers write, say nothing."""
