r"""Files of variables: NAME=value lines, for people and for install. Text in, values out, and back.

One pair of quotes around a value is taken off; nothing inside means anything. What cannot stand in one line is written
as $'...' with the escapes that bash has for it: \n \r \t \\ \' \" and \xHH, one byte each. Must not open files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.)|\Z)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\", b"'": b"'", b'"': b'"'}
_NAMES = {value: b"\\" + letter for letter, value in _LETTERS.items() if value in b"\n\r\t\\'"}


def read(text: str) -> dict[str, str]:
    """The values; blank lines and those that begin with # are skipped.

    Raises ValueError whose text is the number of the first line that is none: the line itself may be a secret.
    """
    values = {}
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = stripped.partition("=")
        if not equals or not (name.isascii() and name.isidentifier()):
            raise ValueError(number)
        if len(value) > 2 and value.startswith("$'") and value.endswith("'"):
            try:
                values[name] = _unescape(value[2:-1])
            except ValueError:
                raise ValueError(number) from None
        else:
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            values[name] = value[1:-1] if quoted else value
    return values


def write(values: Mapping[str, str]) -> str:
    """Lines that `read` gives back exactly; values may hold anything but NUL, also what is not UTF-8."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    if value.isprintable():
        return f"'{value}'"
    pieces = []
    for letter in value:
        data = letter.encode("utf-8", "surrogateescape")
        if data in _NAMES:
            pieces.append(_NAMES[data].decode())
        elif letter.isprintable():
            pieces.append(letter)
        else:
            pieces += [f"\\x{byte:02x}" for byte in data]
    return f"$'{''.join(pieces)}'"


def _unescape(text: str) -> str:
    def byte(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 16)])
        if match[2] not in _LETTERS:
            raise ValueError
        return _LETTERS[match[2]]

    data = _ESCAPE.sub(byte, text.encode("utf-8", "surrogateescape"))
    if b"\0" in data:
        raise ValueError
    return data.decode("utf-8", "surrogateescape")
