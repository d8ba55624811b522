"""The API's URL and key as a person configures them: taken apart, checked and written in one way.

Knows the notation of http and https URLs, and what a header can carry. Must not know sockets; no name is looked up.
Source: shared/kegbot-server-api.md, section 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_EXAMPLE: Final = "http://localhost:8000/api/v1/"
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]{1,32})?", re.ASCII)
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*", re.ASCII)
_MAX_CHARS: Final = 2000
_MAX_KEY_CHARS: Final = 256  # the servers' own have 32 or 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiUrl:
    """Where the API is; `str()` gives the URL, ending in one slash."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name or an IP address, without brackets."""
    port: int
    path: str
    """Begins and ends with a slash."""

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a slash behind."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and port as the header `Host` wants them: the port only if it is not the scheme's own."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def target(self, path: str) -> str:
        """The path of a request: `path` below this URL, beside its last part (`../`), or from the root (`/`)."""
        if path.startswith("/"):
            return path
        if path.startswith("../"):
            return self.path.rstrip("/").rpartition("/")[0] + path.removeprefix("..")
        return self.path + path

    def with_path(self, path: str) -> ApiUrl:
        """The same server, another path."""
        return ApiUrl(scheme=self.scheme, host=self.host, port=self.port, path=path)


def parse_api_url(text: str) -> ApiUrl:
    """The URL in `text`. Raises ValueError, its text one line for a person, never showing a password."""
    text = text.strip()
    if len(text) > _MAX_CHARS or not text.isascii() or not text.isprintable():
        raise ValueError(f"the API URL has characters that no URL has: expected one such as {_EXAMPLE}")
    scheme, colon, _ = text.partition("://")
    if not colon:
        raise ValueError(f"{_shown(text)} is no URL: expected one such as {_EXAMPLE}")
    if scheme.lower() not in _PORTS:
        raise ValueError(f"{_shown(text)}: expected http:// or https:// at its beginning")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"{_shown(text)} is no URL ({error}): expected one such as {_EXAMPLE}") from None
    if "@" in parts.netloc:
        raise ValueError(
            f"{_shown(text)}: no user or password in the URL; the key has a flag of its own (--api_key_file)"
        )
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError(f"{_shown(text)}: nothing may follow the path; expected one such as {_EXAMPLE}")
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError(f"{_shown(text)} names no server: expected one such as {_EXAMPLE}")
    path = re.sub("/+", "/", f"/{parts.path}/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError(f"{_shown(text)}: the path is none of a URL; expected one such as {_EXAMPLE}")
    scheme = parts.scheme
    return ApiUrl(scheme=scheme, host=host, port=_PORTS[scheme] if port is None else port, path=path)


def parse_api_key(text: str) -> str:
    """The key in `text`, from a flag or a file. Raises ValueError, its text one line without the key."""
    key = text.strip()
    if not key:
        raise ValueError("the API key is empty")
    if len(key) > _MAX_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(
            f"the API key is none: expected one word of at most {_MAX_KEY_CHARS} letters and digits, "
            "as the server shows it under its API keys"
        )
    return key


def _shown(text: str) -> str:
    """`text` without what stands before an @, where people put passwords, nor what follows a question mark."""
    head, _, rest = text.rpartition("@")
    if head:
        scheme, colon, _ = head.partition("://")
        text = f"{scheme}://...@{rest}" if colon else f"...@{rest}"
    return re.sub(r"[?#].*", "?...", text)[:100]
