"""A board's batch of events: JSON of strangers made into typed records, or refused with a reason.

Knows the fields of version 1 and their bounds. Must not know sockets, the store, or what events lead to.
Source: shared/kegbot-server-api.md, section 6. A batch that is not sound is refused whole; an event whose `data` is
not sound is dropped alone, as the protocol has it, because the board would never send the others again either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeGuard

VERSION: Final = 1
MAX_EVENTS: Final = 16
MAX_DEVICE_CHARS: Final = 64
MAX_BOOT_ID_CHARS: Final = 32
MAX_ID_CHARS: Final = 128
"""Of a pour, a grant, a command, a token: opaque texts."""
MAX_NUMBERS: Final = 16
"""Meters and relays of one board are numbered from 0 to one less than this."""
MAX_AGE_S: Final = 30 * 86400.0
"""What is said to be older is taken for this old: the core believes no more either."""
MAX_AGE_MS: Final = 30 * 86_400_000
MAX_POUR_ML: Final = 50_000.0
"""A board ends a pour after 5 minutes; more than a keg in one is a fault, not a drink."""
MAX_POUR_TICKS: Final = 1_000_000
"""The finest meters that beer flows through make about 20 ticks per mL: that many are MAX_POUR_ML."""
MAX_ID: Final = 2**53 - 1

Data = Mapping[str, Any]


class Invalid(Exception):  # noqa: N818 - it is an answer, not an accident
    """The batch is refused; `error` is the word for it and `detail` names the field."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(detail or error)
        self.error = error
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Pour:
    """So much was poured through a meter; `final`: the pour is over, else it goes on.

    `ticks` and `ml_per_tick` are None where the board does not say them; `duration_s` is from the first tick to the
    last.
    """

    meter_number: int
    pour_id: str
    volume_ml: float
    duration_s: float
    final: bool
    ticks: int | None = None
    ml_per_tick: float | None = None
    grant_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """A sensor's reading in degrees Celsius."""

    sensor: str
    temp_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenShown:
    """A token came to a reader (`attached`) or went."""

    auth_device: str
    token: str = field(repr=False)
    attached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the board is; calibrations in mL per tick by meter number."""

    boot: bool
    fw_version: str
    uptime_s: float | None
    events_dropped: int
    ml_per_tick: Mapping[int, float]
    meters: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The board took a command: `ok`, `error` or `unsupported`."""

    command: str
    result: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantEnd:
    """The board ended a grant by itself."""

    meter_numbers: tuple[int, ...]
    grant_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An event with malformed data, and what is wrong with it."""

    type: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """An event of a kind that this version does not know."""

    type: str


What = Pour | Temperature | TokenShown | Status | CommandResult | GrantEnd | Dropped | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a batch; it happened `age_s` seconds before the batch was sent."""

    id: int
    age_s: float
    what: What


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one request carries."""

    device: str
    boot_id: str
    events: tuple[Event, ...]


class _MalformedError(Exception):
    """The data of one event is not sound; the text names the field."""


def read_batch(body: bytes) -> Batch:
    """The batch in `body`. Raises Invalid."""
    try:
        batch = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Invalid("invalid", "not JSON") from None
    if not isinstance(batch, dict):
        raise Invalid("invalid", "not an object")
    version = batch.get("v")
    if type(version) is not int:
        raise Invalid("invalid", "v")
    if version != VERSION:
        raise Invalid("unsupported_version")
    device = batch.get("device")
    if not _is_text(device, MAX_DEVICE_CHARS):
        raise Invalid("invalid", "device")
    boot_id = batch.get("boot_id")
    if not _is_text(boot_id, MAX_BOOT_ID_CHARS):
        raise Invalid("invalid", "boot_id")
    events = batch.get("events")
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
        raise Invalid("invalid", "events")
    read: list[Event] = []
    for event in events:
        read.append(_event(event, after=read[-1].id if read else 0))
    return Batch(device=device, boot_id=boot_id, events=tuple(read))


def _event(event: Any, *, after: int) -> Event:
    if not isinstance(event, dict):
        raise Invalid("invalid", "events: not an object")
    number = event.get("id")
    if type(number) is not int or not after < number <= MAX_ID:
        raise Invalid("invalid", "events: id")
    age_ms = event.get("age_ms")
    if type(age_ms) is not int or age_ms < 0:
        raise Invalid("invalid", "events: age_ms")
    kind = event.get("type")
    if not isinstance(kind, str):
        raise Invalid("invalid", "events: type")
    return Event(id=number, age_s=min(age_ms, MAX_AGE_MS) / 1000, what=_what(kind, event.get("data")))


def _what(kind: str, data: Any) -> What:
    reader = _READERS.get(kind)
    if reader is None:
        return Unknown(type=_shown(kind))
    if not isinstance(data, dict):
        return Dropped(type=kind, reason="data is no object")
    try:
        return reader(data)
    except _MalformedError as error:
        return Dropped(type=kind, reason=f"malformed {error}")


def _pour(data: Data) -> Pour:
    ticks = data.get("ticks")
    return Pour(
        meter_number=_number(data, "meter_number"),
        pour_id=_text(data, "pour_id"),
        volume_ml=_measure(data, "volume_ml", MAX_POUR_ML),
        duration_s=_measure(data, "duration_ms", MAX_AGE_S * 1000) / 1000,
        final=True,
        # What is optional and not sound is as good as not said: the pour itself must not be lost for it.
        ticks=ticks if type(ticks) is int and 0 <= ticks <= MAX_POUR_TICKS else None,
        ml_per_tick=_calibration(data.get("ml_per_tick")),
        grant_id=_optional(data, "grant_id"),
    )


def _pour_update(data: Data) -> Pour:
    return Pour(
        meter_number=_number(data, "meter_number"),
        pour_id=_text(data, "pour_id"),
        volume_ml=_measure(data, "volume_ml", MAX_POUR_ML),
        duration_s=_measure(data, "duration_ms", MAX_AGE_S * 1000) / 1000,
        final=False,
    )


def _temperature(data: Data) -> Temperature:
    temp_c: Any = data.get("temp_c")
    if type(temp_c) not in (int, float) or not -300 <= temp_c <= 1000:
        raise _MalformedError("temp_c")
    return Temperature(sensor=_text(data, "sensor", 64), temp_c=float(temp_c))


def _token(data: Data) -> TokenShown:
    action = data.get("action")
    if action not in ("attached", "detached"):
        raise _MalformedError("action")
    return TokenShown(
        auth_device=_text(data, "auth_device", 64),
        token=_text(data, "token"),
        attached=action == "attached",
    )


def _status(data: Data) -> Status:
    state = data.get("state")
    if state not in ("boot", "heartbeat"):
        raise _MalformedError("state")
    uptime_ms, dropped = data.get("uptime_ms"), data.get("events_dropped")
    meters: list[int] = []
    calibrations: dict[int, float] = {}
    rows = data.get("meters")
    for row in rows[:MAX_NUMBERS] if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            continue
        number, ml_per_tick = row.get("meter_number"), _calibration(row.get("ml_per_tick"))
        if type(number) is int and 0 <= number < MAX_NUMBERS:
            meters.append(number)
            if ml_per_tick is not None:
                calibrations[number] = ml_per_tick
    return Status(
        boot=state == "boot",
        fw_version=_optional(data, "fw_version")[:40],
        uptime_s=uptime_ms / 1000 if type(uptime_ms) is int and 0 <= uptime_ms < MAX_ID else None,
        events_dropped=dropped if type(dropped) is int and 0 <= dropped <= MAX_ID else 0,
        ml_per_tick=calibrations,
        meters=tuple(dict.fromkeys(meters)),
    )


def _command_result(data: Data) -> CommandResult:
    result = data.get("result")
    if result not in ("ok", "error", "unsupported"):
        raise _MalformedError("result")
    return CommandResult(
        command=_text(data, "command"), result=result, message=_shown(_optional(data, "message"))
    )


def _grant_end(data: Data) -> GrantEnd:
    numbers = data.get("meter_numbers")
    if not isinstance(numbers, list) or not all(
        type(number) is int and 0 <= number < MAX_NUMBERS for number in numbers[:MAX_NUMBERS]
    ):
        raise _MalformedError("meter_numbers")
    return GrantEnd(
        meter_numbers=tuple(numbers[:MAX_NUMBERS]),
        grant_id=_optional(data, "grant_id"),
        reason=_shown(_optional(data, "reason")),
    )


_READERS: Final[Mapping[str, Callable[[Data], What]]] = {
    "pour": _pour,
    "pour_update": _pour_update,
    "temperature": _temperature,
    "token": _token,
    "status": _status,
    "command_result": _command_result,
    "grant_end": _grant_end,
}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _is_text(value: object, most: int) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable()


def _text(data: Data, name: str, most: int = MAX_ID_CHARS) -> str:
    value = data.get(name)
    if not _is_text(value, most):
        raise _MalformedError(name)
    return value


def _optional(data: Data, name: str) -> str:
    value = data.get(name)
    return value if _is_text(value, MAX_ID_CHARS) else ""


def _number(data: Data, name: str) -> int:
    value = data.get(name)
    if type(value) is not int or not 0 <= value < MAX_NUMBERS:
        raise _MalformedError(name)
    return value


def _measure(data: Data, name: str, most: float) -> float:
    value: Any = data.get(name)
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise _MalformedError(name)
    return float(value)


def _calibration(value: Any) -> float | None:
    """Millilitres per tick, None if that is not said or cannot be."""
    if type(value) not in (int, float) or not 1e-6 <= value < 1000:
        return None
    return float(value)


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:64])
