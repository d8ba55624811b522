"""What a message of the board says, in words for a person and as JSON for a program.

Knows messages. Must not know where they come from.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import Any

from kegapps.kbsp.messages import (
    AuthToken,
    Hello,
    Message,
    MeterStatus,
    OneWirePresence,
    OutputStatus,
    TemperatureReading,
)


def name_of(message: Message) -> str:
    """The protocol's name of a message: `meter_status`, `onewire_presence`."""
    camel = type(message).__name__.replace("OneWire", "Onewire")
    return "".join("_" + char.lower() if char.isupper() else char for char in camel)[1:]


def describe(message: Message) -> str:
    """What a message says, for a person."""
    match message:
        case Hello():
            parts = [f"firmware {message.firmware_version}"]
            if message.serial_number is not None:
                parts.append(f"serial {message.serial_number or 'not set'}")
            if message.uptime_s is not None:
                parts.append(f"up {message.uptime_s:.3f} s")
            return ", ".join(parts)
        case MeterStatus():
            return f"{message.meter_name} = {message.reading_ticks} ticks"
        case TemperatureReading():
            return f"{message.sensor_name} = {message.sensor_c:.4f} C"
        case OutputStatus():
            return f"{message.output_name} {'on' if message.enabled else 'off'}"
        case AuthToken():
            state = "present" if message.present else "removed"
            return f"{message.device_name} {message.token_hex} {state}"
        case OneWirePresence():
            return f"{message.device_id:016x} {'present' if message.present else 'removed'}"
        case _:
            fields = dataclasses.asdict(message).items()
            return " ".join(f"{name}={value}" for name, value in fields if value is not None)


def introduce(hello: Hello, *, now: datetime, before: str) -> str:
    """What a board says about itself, for a status that stays: `before` is the text of its hello before.

    The time of its boot is the same text for every heartbeat, or each of them would be a line in the log.
    """
    parts = [f"firmware {hello.firmware_version}"]
    if hello.serial_number is not None:
        parts.append(f"serial {hello.serial_number or 'not set'}")
    if hello.uptime_s is not None:
        try:
            booted = now - timedelta(seconds=hello.uptime_s)
        except OverflowError:
            booted = datetime.min + timedelta(days=1)
        texts = [f"up since {booted + timedelta(minutes=step):%Y-%m-%d %H:%M}" for step in (0, -1, 1)]
        parts.append(next((text for text in texts if before.endswith(text)), texts[0]))
    return ", ".join(parts)


def as_json(message: Message) -> dict[str, Any]:
    """What a message says, for a program: its name and its fields, tokens in hex as hosts write them."""
    fields = dataclasses.asdict(message)
    if isinstance(message, AuthToken):
        fields["token"] = message.token_hex
    return {"message": name_of(message), **fields}
