"""What today's server orders a board to do, in its answers to `kegboard-event`: checked and typed.

Knows the three commands of section 6. Must not know sockets, taps, valves or who carries them out.
Source: shared/kegbot-server-api.md, section 6, "Commands".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kegapps.server import answers
from kegapps.server.answers import AnswerError, Data

_MAX_COMMANDS: Final = 64
_MAX_NUMBERS: Final = 64  # meters or relays of one board, grants of one command


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorize:
    """Let a token's owner pour on these meters, and open these relays."""

    id: str
    grant_id: str
    meter_numbers: tuple[int, ...]
    relay_numbers: tuple[int, ...]
    max_idle_ms: int
    auth_device: str
    token: str = field(repr=False)
    max_volume_ml: float | None = None
    max_duration_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The token may not pour."""

    id: str
    auth_device: str
    token: str = field(repr=False)
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deauthorize:
    """End these grants."""

    id: str
    grant_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """A command that is unknown or malformed: to be answered with `command_result` and `result`."""

    id: str
    result: str
    """`unsupported` or `error`."""
    message: str


Command = Authorize | Deny | Deauthorize | Unsupported


def read_commands(data: Data) -> tuple[Command, ...]:
    """The commands in an answer, oldest first. One without an id cannot be acknowledged, and is none."""
    commands = answers.if_sane(answers.objects_in, data, "commands") or []
    # What is left out comes again, after the first ones are acknowledged.
    read = [_command(command) for command in commands[:_MAX_COMMANDS]]
    return tuple(command for command in read if command is not None)


def _command(command: Data) -> Command | None:
    command_id = answers.if_sane(answers.id_in, command, "id")
    if command_id is None:
        return None
    try:
        kind = answers.text_in(command, "type")
        data = answers.object_in(command, "data")
        match kind:
            case "authorize":
                return _authorize(command_id, data)
            case "deny":
                return Deny(
                    id=command_id,
                    auth_device=answers.text_in(data, "auth_device"),
                    token=answers.text_in(data, "token"),
                    reason=answers.label_in(data, "reason"),
                )
            case "deauthorize":
                grants = data.get("grant_ids")
                if type(grants) is not list or not all(type(grant) is str for grant in grants[:_MAX_NUMBERS]):
                    raise AnswerError("grant_ids is no list of texts")
                return Deauthorize(id=command_id, grant_ids=tuple(grants[:_MAX_NUMBERS]))
    except AnswerError as error:
        return Unsupported(id=command_id, result="error", message=str(error))
    return Unsupported(id=command_id, result="unsupported", message=f"no command {kind!r} here")


def _authorize(command_id: str, data: Data) -> Authorize:
    grant_id = answers.id_in(data, "grant_id")
    if grant_id is None:
        raise AnswerError("grant_id is missing")
    idle_ms = answers.whole_in(data, "max_idle_ms")
    return Authorize(
        id=command_id,
        grant_id=grant_id,
        meter_numbers=_numbers(data, "meter_numbers"),
        relay_numbers=_numbers(data, "relay_numbers"),
        max_idle_ms=30000 if idle_ms is None else idle_ms,
        auth_device=answers.text_in(data, "auth_device"),
        token=answers.text_in(data, "token"),
        max_volume_ml=answers.number_in(data, "max_volume_ml"),
        max_duration_ms=answers.whole_in(data, "max_duration_ms"),
    )


def _numbers(data: Data, name: str) -> tuple[int, ...]:
    numbers = data.get(name, [])
    if type(numbers) is not list or len(numbers) > _MAX_NUMBERS:
        raise AnswerError(f"{name} is no list of numbers")
    if not all(type(number) is int and 0 <= number < 256 for number in numbers):
        raise AnswerError(f"{name} is no list of numbers")
    return tuple(numbers)
