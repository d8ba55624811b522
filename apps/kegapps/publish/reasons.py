"""Why a network was not reached: what Python's libraries say of it, as words for a person.

Knows their texts. Must not know networks, or what in a text is secret.
"""

from __future__ import annotations

import re
from typing import Final

EXCEPTION: Final = "Socket Exception: "
"""How Apprise's plugins begin the detail that names the cause."""

_KNOWN: Final = (
    (re.compile(r"(redirected to .*)"), r"\1"),
    (re.compile(r"NameResolutionError|Failed to resolve|Name or service not known"), "its name is not known"),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED\W+(?:certificate verify failed: )?([^(\n]+)"),
        r"its certificate: \1",
    ),
    (re.compile(r"\[SSL[:\]]|SSLError"), "it does not speak TLS as it should"),
    (re.compile(r"[Tt]imed? ?out"), "no answer in time"),
    (re.compile(r"RemoteDisconnected|Connection reset|BrokenPipe"), "it closed the connection"),
    (re.compile(r"\[Errno -?\d+\] ([A-Z][\w ,]+)"), r"\1"),
)
_MOST: Final = 120


def with_cause(said: str, detail: str) -> str:
    """What Apprise `said`, with what `detail` (the text of an exception, or "") adds to that."""
    if not detail:
        return said
    for pattern, words in _KNOWN:
        if found := pattern.search(detail):
            cause = found.expand(words).strip()
            return f"{said.rstrip('. ')}: {cause[:1].lower()}{cause[1:]}"
    return f"{said.rstrip('. ')}: {detail[:_MOST]}"
