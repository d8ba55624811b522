"""The findings as people read them, or as one JSON object.

Knows findings, settings and how a terminal is coloured. Must not know how anything was found out. Pure.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from kegapps.tools.doctor.finding import Finding, Level, Link, first_cut
from kegapps.tools.doctor.settings import SECRET, Setting, Settings
from kegapps.tools.doctor.wording import plain

_COLOURS: Final = {Level.OK: "32", Level.HINT: "33", Level.TROUBLE: "1;31", Level.UNKNOWN: "2"}
_LEVEL_WIDTH: Final = max(len(level) for level in Level)
_LINK_WIDTH: Final = max(len(link) for link in Link)
_INDENT: Final = _LEVEL_WIDTH + _LINK_WIDTH + 4


def as_text(findings: Sequence[Finding], settings: Settings, *, user: str, colours: bool, width: int) -> str:
    """The whole answer, `width` columns wide; `user` is whose rights were looked at."""
    lines = [f"This was looked at, with the rights of user {user}:", *_settings_lines(settings), ""]
    before: Link | None = None
    for finding in findings:
        lines += _lines(finding, repeated=finding.link is before, colours=colours, width=width)
        before = finding.link
    # The last line stays one, however long: people and scripts look for it.
    return "\n".join([*lines, "", verdict(findings)])


def as_object(findings: Sequence[Finding], settings: Settings, *, user: str) -> dict[str, Any]:
    """The same for programs; see docs/doctor.rst."""
    cut = first_cut(findings)
    return {
        "user": user,
        "settings": [
            {"name": name, "value": value, "origin": origin} for name, value, origin in _rows(settings)
        ],
        "findings": [
            {"link": f.link.value, "level": f.level.value, "text": f.text, "cure": f.cure} for f in findings
        ],
        "cut": cut.link.value if cut else None,
        "verdict": verdict(findings),
    }


def verdict(findings: Sequence[Finding]) -> str:
    """The last line: where the chain is cut first, and what to do."""
    cut = first_cut(findings)
    if cut is not None:
        others = dict.fromkeys(
            f.link.value for f in findings if f.level is Level.TROUBLE and f.link is not cut.link
        )
        more = f". It is cut, too, at: {', '.join(others)}." if others else ""
        return f"The chain is cut at: {cut.link}. Do: {cut.cure}{more}"
    unknown = dict.fromkeys(f.link.value for f in findings if f.level is Level.UNKNOWN)
    if unknown:
        return f"No cut was found; not everything could be looked at: {', '.join(unknown)}."
    return "The chain is whole."


def _lines(finding: Finding, *, repeated: bool, colours: bool, width: int) -> list[str]:
    level = finding.level.value.ljust(_LEVEL_WIDTH)
    link = "" if repeated else finding.link.value
    head = f"{level}  {link.ljust(_LINK_WIDTH)}  "
    text = [*_wrapped(finding.text, width - _INDENT, "")]
    if finding.cure and finding.level is not Level.OK:
        text += _wrapped(f"-> {finding.cure}", width - _INDENT, "   ")
    lines = [(head if number == 0 else " " * _INDENT) + line for number, line in enumerate(text)]
    if colours:
        mark = f"\x1b[{_COLOURS[finding.level]}m{level}\x1b[0m"
        lines[0] = mark + lines[0][len(level) :]
    return lines


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    # Paths and commands stay whole: people copy them.
    return textwrap.wrap(
        text, max(width, 40), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _settings_lines(settings: Settings) -> list[str]:
    rows = _rows(settings)
    width = max(len(name) for name, _, _ in rows)
    return [f"  {name.ljust(width)}  {value}, from {origin}" for name, value, origin in rows]


def _rows(settings: Settings) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, Setting | None]] = [("core", settings.core), ("store", settings.store)]
    for board in settings.boards:
        rows += [("board", board.name), ("device", board.device)]
    rows += [
        ("kegnet_token_file", settings.token_file), ("api_url", settings.api_url),
        ("api_key", settings.api_key), ("api_key_file", settings.api_key_file),
    ]  # fmt: skip
    return [
        (name, "(not shown)" if name in SECRET else plain(setting.value), plain(setting.origin))
        for name, setting in rows
        if setting is not None
    ]
