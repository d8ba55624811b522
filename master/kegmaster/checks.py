"""What `_ready` and `_health` say, as data: which question is asked, how often, and how many failures count.

Knows the syntax. Must not know clocks, sockets or processes: `probing` asks, `liveness` judges.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping

from .keys import count, seconds, words
from .lean import Any, Final
from .spec import Check

KINDS: Final = (
    "tcp://HOST:PORT, unix:///PATH, http://HOST:PORT/PATH, kegnet://HOST:PORT, file:/PATH or a command"
)
KEGNET_PORT: Final = 9805
LONGEST_SOCKET_PATH: Final = 107
"""Linux's sockaddr_un, less the final NUL."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_OPTION = re.compile(r"(every|timeout|failures|grace|max_age)=(.*)\Z", re.DOTALL)
_PLACE = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/]*))(?::(?P<port>[^:/]*))?\Z")
_NUMBERS = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:\.(?!\Z)|\Z)){4}\Z")


def health(text: str) -> Check:
    """The check of `_health`. Raises ValueError with what was expected."""
    return _check(text, "every", "timeout", "failures", "grace", "max_age")


def ready(text: str) -> Check:
    """The check of `_ready`; of the options it takes `timeout` only. Raises ValueError with what was expected."""
    return _check(text, "timeout")


def _check(text: str, *known: str) -> Check:
    asked = list(words(text))
    terms: dict[str, Any] = {}
    while len(asked) > 1 and (option := _OPTION.match(asked[-1])):
        name, value = option.groups()
        if name not in known:
            raise ValueError(f"{name}= belongs to _health, take it out")
        parse, field = _TERMS[name]
        if field in terms:
            raise ValueError(f"{name}= stands twice, take one out")
        terms[field] = parse(name, value)
        asked.pop()
    if not asked or not asked[0]:
        raise ValueError(f"expected {KINDS}")
    if "max_age_s" in terms and not asked[0].startswith("file:"):
        raise ValueError("max_age= belongs to file:, take it out")
    place = _place(asked[0])
    if place is None:
        return Check(kind="command", text=shlex.join(asked)[:100], argv=tuple(asked), written=text, **terms)
    if len(asked) > 1:
        options = ", ".join(f"{name}=" for name in known)
        raise ValueError(f"{asked[1]!r} is no option, after the address come only {options}")
    return Check(**place, text=asked[0], written=text, **terms)


def _time(name: str, text: str) -> float:
    try:
        return seconds(text)
    except ValueError:
        raise ValueError(f"{name}= wants seconds, such as {name}=5s or {name}=2min") from None


def _some_time(name: str, text: str) -> float:
    value = _time(name, text)
    if value < 0.1:
        raise ValueError(f"{name}= wants at least 0.1 s, such as {name}=5s")
    return value


def _times(name: str, text: str) -> int:
    try:
        value = count(text)
    except ValueError:
        value = 0
    if not value:
        raise ValueError(f"{name}= wants a whole number, 1 or more")
    return value


_TERMS: Final[Mapping[str, tuple[Callable[[str, str], float | int], str]]] = {
    "every": (_some_time, "every_s"),
    "timeout": (_some_time, "timeout_s"),
    "failures": (_times, "failures"),
    "grace": (_time, "grace_s"),
    "max_age": (_some_time, "max_age_s"),
}


def _place(word: str) -> dict[str, Any] | None:
    """The fields of an address; None if the word is none, and so the program of a command."""
    if word.startswith("file:"):
        path = word.removeprefix("file:")
        path = path[2:] if path.startswith("///") else path
        if not path.startswith("/") or path.startswith("//"):
            raise ValueError("expected an absolute path, such as file:/run/app/alive")
        return {"kind": "file", "path": path}
    match = _SCHEME.match(word)
    if match is None:
        return None
    scheme, rest = match[1], word[match.end() :]
    if scheme == "unix":
        if not rest.startswith("/") or len(rest.encode("utf-8", "surrogateescape")) > LONGEST_SOCKET_PATH:
            raise ValueError(f"expected unix:///PATH, of at most {LONGEST_SOCKET_PATH} bytes")
        return {"kind": "unix", "path": rest}
    if scheme == "http":
        place, slash, path = rest.partition("/")
        if not all("!" <= letter <= "~" for letter in path):
            raise ValueError("the path of an http:// address is plain ASCII, write other letters as %XX")
        return {"kind": "http", "path": slash + path or "/", **_host_and_port(scheme, place, 80)}
    if scheme == "tcp":
        return {"kind": "tcp", **_host_and_port(scheme, rest, 0)}
    if scheme == "kegnet":
        return {"kind": "kegnet", **_host_and_port(scheme, rest, KEGNET_PORT)}
    if scheme == "https":
        raise ValueError("TLS is not spoken here, use http:// or a command such as curl -fsS")
    raise ValueError(f"{scheme}:// is unknown, expected {KINDS}")


def _host_and_port(scheme: str, text: str, default: int) -> dict[str, Any]:
    match = _PLACE.match(text)
    if match is None:
        raise ValueError(f"expected {scheme}://HOST:PORT, an IPv6 address in [ ]")
    host = match["six"] or match["host"] or "localhost"
    if not match["six"] and host != "localhost" and not _NUMBERS.match(host):
        # Looking up a name may take half a minute, and the watchdog must not wait for it.
        raise ValueError("expected localhost or an address in numbers, names are not looked up")
    port = match["port"]
    if port is None and default:
        return {"host": host, "port": default}
    if not port or not port.isascii() or not port.isdigit() or not 1 <= int(port[:9]) <= 65535:
        raise ValueError(f"expected a port from 1 to 65535, as in {scheme}://localhost:8080")
    return {"host": host, "port": int(port)}
