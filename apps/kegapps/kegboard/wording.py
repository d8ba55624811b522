"""What a message of the board says, in words for a person and as JSON for a program.

Knows messages. Must not know where they come from.
"""

from __future__ import annotations

import dataclasses
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


def as_json(message: Message) -> dict[str, Any]:
    """What a message says, for a program: its name and its fields, tokens in hex as hosts write them."""
    fields = dataclasses.asdict(message)
    if isinstance(message, AuthToken):
        fields["token"] = message.token_hex
    return {"message": name_of(message), **fields}
