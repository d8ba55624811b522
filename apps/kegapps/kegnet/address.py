"""Where a core listens, as people write it: `localhost:9805`, `9805`, `[::1]:9805`.

Knows the notation. Must not know sockets or names of hosts (nothing is looked up).
"""

from __future__ import annotations

import ipaddress
from typing import Final

DEFAULT_PORT: Final = 9805
DEFAULT_ADDRESS: Final = f"localhost:{DEFAULT_PORT}"  # the default of --kb_core_addr and --kb_core_bind_addr


def parse_address(text: str, default_host: str = "127.0.0.1") -> tuple[str, int]:
    """(host, port) of `host:port`; a value without a colon is the port alone. Port 0 means any free one.

    `localhost` becomes 127.0.0.1, brackets around an IPv6 address are taken off. Raises ValueError, its text
    for a person, when the host is neither that nor a number: looking a name up could block for seconds.
    """
    host, _, port = text.strip().rpartition(":")
    if not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        raise ValueError(
            f"{text!r} is no address: expected host:port with a port up to 65535, such as {DEFAULT_ADDRESS}"
        )
    if not host:
        host = default_host
    return _numeric(host, text), int(port)


def _numeric(host: str, text: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host))
    except ValueError:
        raise ValueError(
            f"{text!r}: {host} is neither localhost nor an IP address such as 127.0.0.1"
        ) from None


def is_loopback(host: str) -> bool:
    """True if `host`, an IP address, can be reached from this machine only."""
    return ipaddress.ip_address(host).is_loopback


def shown_address(host: str, port: int) -> str:
    """The address as Kegbot prints it: `localhost:9805`."""
    name = "localhost" if host == "127.0.0.1" else f"[{host}]" if ":" in host else host
    return f"{name}:{port}"
