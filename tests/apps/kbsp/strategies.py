"""Hypothesis strategies for everything the protocol can say."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from kegapps.kbsp.messages import (
    AuthToken,
    BoardConfiguration,
    Hello,
    Message,
    MeterStatus,
    OneWirePresence,
    OutputStatus,
    Ping,
    SetOutput,
    SetSerialNumber,
    TemperatureReading,
)

u8 = st.integers(0, 2**8 - 1)
u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
i32 = st.integers(-(2**31), 2**31 - 1)
PRINTABLE = string.digits + string.ascii_letters + string.punctuation + " "
names = st.text(PRINTABLE, max_size=40)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Hello,
        firmware_version=u16,
        protocol_version=st.none() | u16,
        serial_number=st.none() | st.text(PRINTABLE, max_size=30),
        uptime_ms=st.none() | u32,
        uptime_days=st.none() | u32,
    ),
    st.builds(
        BoardConfiguration,
        board_name=st.none() | names,
        baud_rate=st.none() | u16,
        update_interval_ms=st.none() | u16,
        watchdog_timeout=st.none() | u16,
    ),
    st.builds(MeterStatus, meter_name=names, reading_ticks=u32),
    st.builds(TemperatureReading, sensor_name=names, sensor_c=i32.map(lambda micro: micro / 1_000_000)),
    st.builds(OutputStatus, output_name=names, enabled=st.booleans()),
    st.builds(OneWirePresence, device_id=u64, status=st.none() | u8),
    st.builds(AuthToken, device_name=names, token=st.binary(max_size=60), status=u8),
    st.just(Ping()),
    st.builds(SetOutput, output_id=u8, output_mode=u8, mode_bytes=st.sampled_from((1, 2))),
    st.builds(SetSerialNumber, serial_number=names, nul_terminated=st.booleans()),
)
# Noise that cannot join with a frame's prefix or look like one: what a line without a board carries.
noise = st.binary(max_size=40).map(lambda data: data.replace(b"K", b"k"))
