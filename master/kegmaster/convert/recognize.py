"""Which launcher a file is of, by its name and by what is in it. Pure."""

from __future__ import annotations

import posixpath
import re

from .unit_losses import OTHER_UNITS

_SECTION = re.compile(r"^[ \t]*\[([^\]\n]{1,200})\]", re.MULTILINE)
_PROCESS = re.compile(r"^[A-Za-z0-9_-]+:[ \t]*\S", re.MULTILINE)


def recognize(text: str, path: str) -> str:
    """One of SOURCES; empty if it looks like none of them."""
    name = posixpath.basename(path)
    if posixpath.splitext(name)[1] in (".service", *OTHER_UNITS):
        return "systemd"
    sections = _SECTION.findall(text)
    kinds = {section.partition(":")[0] for section in sections}
    if kinds & {"program", "supervisord", "eventlistener", "fcgi-program", "supervisorctl"}:
        return "supervisord"
    if kinds & {"watcher", "circus"}:
        return "circus"
    if {"Service"} & kinds:
        return "systemd"
    if not sections:
        return "procfile" if name.startswith("Procfile") or _PROCESS.search(text) else ""
    if kinds & {"group", "unix_http_server", "inet_http_server"}:
        return "supervisord"
    return "kegbot_master"
