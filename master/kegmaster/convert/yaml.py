"""YAML written: mappings, lists, texts and numbers, in blocks, every text in double quotes.

Source: YAML 1.2, 5.1 (which characters may stand for themselves) and 7.3.1 (double quotes). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*\Z")
_RESERVED = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null"})
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def document(value: Mapping[str, object]) -> str:
    """A document, without its `---`."""
    return "".join(f"{line}\n" for line in _block(value))


def text(value: str) -> str:
    """A text, in double quotes: what it holds can be nothing but text."""
    return '"' + "".join(_SHORT.get(letter) or _letter(letter) for letter in value) + '"'


def _letter(letter: str) -> str:
    code = ord(letter)
    if 0x20 <= code < 0x7F or (code >= 0xA0 and letter.isprintable()):
        return letter
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _key(key: str) -> str:
    return key if _PLAIN_KEY.match(key) and key.lower() not in _RESERVED else text(key)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return text(value)
    return "{}" if isinstance(value, Mapping) else "[]"


def _block(value: object) -> list[str]:
    lines: list[str] = []
    if isinstance(value, Mapping) and value:
        for key, member in value.items():
            if isinstance(member, Mapping | list | tuple) and member:
                lines += [f"{_key(key)}:", *(f"  {line}" for line in _block(member))]
            else:
                lines.append(f"{_key(key)}: {_scalar(member)}")
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for member in value:
            first, *rest = _block(member)
            lines += [f"- {first}", *(f"  {line}" for line in rest)]
    else:
        lines.append(_scalar(value))
    return lines
