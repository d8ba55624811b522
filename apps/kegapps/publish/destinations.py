"""Where messages go: the lines of a file of Apprise URLs, each a destination of its own.

Knows the form of the lines. Must not know files, flags, or Apprise itself: it is imported elsewhere (see `helper`).
A URL holds passwords: it is in no text that this module makes.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

MAX_DESTINATIONS: Final = 32
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://(?=\S)")
_NAME: Final = re.compile(r"[\w.-]{1,32}")
_PORT: Final = re.compile(r"(:\d+)?/*$")
_MASK: Final = "***"


class DestinationError(ValueError):
    """A line cannot be used; `str(error)` is one line: which, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One place to announce at: `key` finds its messages in the queue, `label` is for people.

    The key is the name that the line gives it; without one, the URL's fingerprint: then another URL, such as one with
    a new password, is another destination.
    """

    key: str
    label: str
    line: int
    url: str = field(repr=False)


Adapt = Callable[[str, str], str]
"""Takes (scheme, URL) of a line and gives the URL for Apprise; raises ValueError for what is not for this program."""


def parse(text: str, adapt: Adapt = lambda _scheme, url: url) -> tuple[Destination, ...]:
    """The destinations that `text` lists: `URL` or `NAME URL` a line; empty lines and lines that begin with # are none.

    Raises DestinationError.
    """
    found: dict[str, Destination] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            made = _destination(number, line.split(), adapt)
            if made.key in found:
                raise DestinationError(
                    f"line {number}: the same as line {found[made.key].line}; every message would be sent twice there"
                )
            found[made.key] = made
    if not found:
        raise DestinationError(
            "no destination in it; write one Apprise URL a line, such as discord://ID/TOKEN"
        )
    if len(found) > MAX_DESTINATIONS:
        raise DestinationError(f"{len(found)} destinations; at most {MAX_DESTINATIONS} can be served")
    return tuple(found.values())


def _destination(number: int, words: list[str], adapt: Adapt) -> Destination:
    name = words[0] if len(words) == 2 and not _SCHEME.match(words[0]) else ""
    if name and not _NAME.fullmatch(name):
        raise DestinationError(f"line {number}: a name is at most 32 letters, digits, and . _ -")
    url = words[-1]
    scheme = _SCHEME.match(url)
    if not scheme or len(words) > 2 or (len(words) == 2 and not name):
        raise DestinationError(
            f"line {number}: expected a URL such as discord://ID/TOKEN, or a name and a URL; a space in a URL is %20"
        )
    try:
        url = adapt(scheme[1].lower(), url)
    except ValueError as error:
        raise DestinationError(f"line {number}: {error}") from None
    return Destination(
        key=name or _fingerprint(url.rstrip("/")),
        label=f"{name} ({scheme[1].lower()})" if name else f"{scheme[1].lower()} of line {number}",
        line=number,
        url=url,
    )


def _fingerprint(url: str) -> str:
    """64 bits of `url` (FNV-1a): to find it again, not to prove anything."""
    # Not by hashlib: that loads 4 MB of OpenSSL.
    found = 0xCBF29CE484222325
    for byte in url.encode():
        found = (found ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{found:016x}"


def without_secrets(text: str, url: str, *, known: Collection[str] = ()) -> str:
    """`text` that others wrote, on one line and short, with all of `url` masked that could be secret.

    What is `known`, such as the name of a host, is not.
    """
    rest = url.partition("://")[2]
    # The longest first: a part of a secret must not be masked before the whole.
    pieces = {
        piece
        for piece in (rest, *re.split(r"[/@:?&=+]", rest))
        if len(piece) >= 6 and _PORT.sub("", piece) not in known
    }
    pieces.add(rest.rpartition("@")[0].partition(":")[2])  # a password, however short
    pieces |= {urllib.parse.unquote(piece) for piece in pieces}
    for piece in sorted(filter(None, pieces), key=len, reverse=True):
        text = text.replace(piece, _MASK)
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:200].rstrip(". ")
