"""The checksums of the tap room's wires. Knows bytes. Must not know what is in them."""

from __future__ import annotations

from typing import Final


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value


_CRC_TABLE: Final = tuple(_crc_of_byte(value) for value in range(256))


def crc16(data: bytes | bytearray, start: int = 0) -> int:
    """The CRC of CCITT (x^16+x^12+x^5+1), reflected: KERMIT's from 0, and X.25's, inverted, from 0xFFFF; 0..0xFFFF.

    `start` may also be the CRC of what came before. Over KERMIT's own data and CRC, its low byte first, it is 0.
    """
    crc = start
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def crc8(data: bytes) -> int:
    """The 1-wire checksum (x^8+x^5+x^4+1, reflected, start 0); 0 over an address with its last byte."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc
