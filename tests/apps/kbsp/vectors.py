"""The recorded frames of tests/vectors/kbsp.txt, and the message each of them is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kegapps.kbsp.messages import (
    AuthToken,
    Hello,
    Message,
    MeterStatus,
    OutputStatus,
    Ping,
    SetOutput,
    SetSerialNumber,
    TemperatureReading,
)

VECTORS_FILE: Final = Path(__file__).resolve().parents[2] / "vectors" / "kbsp.txt"


def _read() -> dict[str, bytes]:
    lines = VECTORS_FILE.read_text(encoding="ascii").splitlines()
    pairs = (line.split(" = ") for line in lines if line and not line.startswith("#"))
    return {name: bytes.fromhex(digits) for name, digits in pairs}


FRAMES: Final = _read()
THERMO: Final = "thermo-cd08001234561028"
IBUTTON: Final = bytes.fromhex("010203040506070f")
TAG: Final = bytes.fromhex("c396ab1504")

MESSAGES: Final[dict[str, Message]] = {
    "hello_firmware_18": Hello(firmware_version=18, serial_number="", uptime_ms=2738, uptime_days=0),
    "hello_firmware_3": Hello(firmware_version=3),
    "meter_flow0_45": MeterStatus(meter_name="flow0", reading_ticks=45),
    "meter_flow1_37": MeterStatus(meter_name="flow1", reading_ticks=37),
    "meter_flow1_4": MeterStatus(meter_name="flow1", reading_ticks=4),
    "meter_flow0_2573": MeterStatus(meter_name="flow0", reading_ticks=2573),
    "meter_flow0_20171": MeterStatus(meter_name="flow0", reading_ticks=20171),
    "output_relay1_on": OutputStatus(output_name="relay1", enabled=True),
    "output_relay1_off": OutputStatus(output_name="relay1", enabled=False),
    "temperature_4_25": TemperatureReading(sensor_name=THERMO, sensor_c=4.25),
    "temperature_minus_3_5": TemperatureReading(sensor_name=THERMO, sensor_c=-3.5),
    "token_onewire_present": AuthToken(device_name="onewire", token=IBUTTON, status=1),
    "token_onewire_removed": AuthToken(device_name="onewire", token=IBUTTON, status=0),
    "token_rfid_present": AuthToken(device_name="core.rfid", token=TAG, status=1),
    "token_rfid_removed": AuthToken(device_name="core.rfid", token=TAG, status=0),
    "ping": Ping(),
    "set_output_1_on": SetOutput(output_id=1, output_mode=1),
    "set_output_0_on": SetOutput(output_id=0, output_mode=1),
    "set_output_1_off": SetOutput(output_id=1, output_mode=0),
    "set_output_0_off": SetOutput(output_id=0, output_mode=0),
    "set_output_1_on_one_byte": SetOutput(output_id=1, output_mode=1, mode_bytes=1),
    "set_serial_with_nul": SetSerialNumber(serial_number="KB-1", nul_terminated=True),
    "set_serial_without_nul": SetSerialNumber(serial_number="KB-0000-0000-deadbeef"),
}
