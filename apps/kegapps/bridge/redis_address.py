"""Where a Redis is, as a URL says it.

Knows the notation. Must not know sockets.
"""

from __future__ import annotations

import posixpath
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import Final

DEFAULT_URL: Final = "redis://localhost:6379/0"
DEFAULT_PORT: Final = 6379
_MAX_SOCKET_PATH: Final = 107  # Linux, unix(7)
_NUMBERS: Final = re.compile(r"[\d.]+", re.ASCII)
_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_DATABASE: Final = re.compile(r"/?|/\d{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """`host` and `port`, or the `path` of a Unix socket; who we say we are, if it wants to know."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """For a person, without the password."""
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_redis_url(url: str) -> RedisAddress:
    """What `redis://[[user]:password@]host[:port][/database]` or `unix://[[user]:password@]/path` says.

    The database does not matter: channels belong to all of them. Raises ValueError, whose text is for a person and
    does not repeat the password.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "rediss":
        raise ValueError(
            "rediss: this program does not encrypt; use redis:// through a tunnel, such as stunnel"
        )
    if scheme not in ("redis", "unix") or not rest:
        raise ValueError(f"expected redis://HOST:PORT/0 or unix:///PATH, such as {DEFAULT_URL}")
    login, _, place = rest.rpartition("@")
    username, _, password = login.partition(":")
    try:
        url.encode()
        username, password = (urllib.parse.unquote(word, errors="strict") for word in (username, password))
    except UnicodeError:
        raise ValueError("the user or the password is not UTF-8 text") from None
    if scheme == "unix":
        path = urllib.parse.unquote(place.partition("?")[0])
        if not posixpath.isabs(path):
            raise ValueError("expected the whole path of a socket: unix:///run/redis/redis.sock")
        if "\0" in path or len(path.encode()) > _MAX_SOCKET_PATH:
            raise ValueError(
                f"the path of a socket has at most {_MAX_SOCKET_PATH} bytes, and none that is zero"
            )
        return RedisAddress(path=path, username=username, password=password)
    try:
        parts = urllib.parse.urlsplit(f"//{place}")
    except ValueError:
        raise ValueError("expected an IPv6 address in the brackets: redis://[::1]:6379/0") from None
    try:
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError:
        raise ValueError("expected a port of 1 to 65535 behind the host") from None
    if not parts.hostname or port == 0:
        raise ValueError("expected a host and a port: redis://localhost:6379/0")
    _check_host(parts.hostname)
    if not _DATABASE.fullmatch(parts.path):
        raise ValueError(f"expected the number of a database behind the slash, not {parts.path!r}")
    return RedisAddress(host=parts.hostname, port=port, username=username, password=password)


def _check_host(host: str) -> None:
    """Raises ValueError for what can never be found."""
    if ":" in host:
        return  # IPv6: it was looked at, and a zone may come and go
    if _NUMBERS.fullmatch(host) and not _IPV4.fullmatch(host):
        raise ValueError(f"{host!r} is no IPv4 address: that is four numbers of 0 to 255")
    try:
        host.encode("idna")  # as the resolver will
    except UnicodeError:
        raise ValueError(
            f"{host[:80]!r} is no name of a host: the parts between its dots have 1 to 63 letters"
        ) from None
    if not host.isprintable() or " " in host:
        raise ValueError(f"{host[:80]!r} is no name of a host")
