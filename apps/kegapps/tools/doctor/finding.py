"""What the doctor says of a link of the chain, and where the chain is cut.

Knows links and levels. Must not know how anything was found out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Link(StrEnum):
    """The links, in the order in which beer becomes a drink at the server."""

    MASTER = "master"
    DEVICE = "device"
    BOARD = "board"
    TICK = "last tick"
    CORE = "core"
    STORE = "store"
    SERVER = "server"
    OUTBOX = "outbox"


class Level(StrEnum):
    """How a link is. A hint is worth knowing and cuts nothing; unknown: it could not be looked at."""

    OK = "ok"
    HINT = "hint"
    TROUBLE = "trouble"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact about a link, for a person: `text` says what is, `cure` what to do (empty: nothing)."""

    link: Link
    level: Level
    text: str
    cure: str = ""


def ok(link: Link, text: str) -> Finding:
    """All is well."""
    return Finding(link=link, level=Level.OK, text=text)


def hint(link: Link, text: str, cure: str = "") -> Finding:
    """It works, but might work better."""
    return Finding(link=link, level=Level.HINT, text=text, cure=cure)


def trouble(link: Link, text: str, cure: str) -> Finding:
    """The chain is cut here; trouble without a cure is no help, so there must be one."""
    return Finding(link=link, level=Level.TROUBLE, text=text, cure=cure)


def unknown(link: Link, text: str, cure: str = "") -> Finding:
    """It could not be found out."""
    return Finding(link=link, level=Level.UNKNOWN, text=text, cure=cure)


def first_cut(findings: Iterable[Finding]) -> Finding | None:
    """The first trouble along the chain; None if there is none."""
    troubles = [finding for finding in findings if finding.level is Level.TROUBLE]
    return min(troubles, key=lambda finding: list(Link).index(finding.link), default=None)


def is_cut(findings: Iterable[Finding], link: Link) -> bool:
    """True if there is trouble with `link`."""
    return any(finding.link is link and finding.level is Level.TROUBLE for finding in findings)
