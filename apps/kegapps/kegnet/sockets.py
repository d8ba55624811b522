"""Sockets that never block: what kegnet asks of them on both ends, and how any program connects one.

Knows socket options. Must not know messages.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from typing import Any, Final

_USER_TIMEOUT_MS: Final = (
    20_000  # sent and not acknowledged, or no room at the peer, for this long: it is gone
)
_OPTIONS: Final = (
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),  # else 40 ms a message
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),  # a peer whose machine vanished is noticed after 10 + 3 * 5 s
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
)


def tune(sock: socket.socket) -> None:
    """Never block, send at once, notice a peer that vanished. Raises OSError if `sock` is dead."""
    sock.setblocking(False)
    for level, name, value in _OPTIONS:
        if (option := getattr(socket, name, None)) is not None:  # some are missing outside Linux
            sock.setsockopt(level, option, value)


def reset(sock: socket.socket) -> None:
    """Close `sock` and free at once what its peer did not take."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def family(host: str) -> socket.AddressFamily:
    """The family of `host`, an IP address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def begin_connecting(family: int, place: Any) -> socket.socket:
    """A socket on its way to `place`, an address as `family` wants it: once it is writable ask `check_connected`.

    Raises OSError if that cannot even be begun.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_UNIX:
            sock.setblocking(False)
        else:
            tune(sock)
        result = sock.connect_ex(place)
        if result not in (0, errno.EINPROGRESS):
            raise OSError(result, "")
    except BaseException:
        sock.close()
        raise
    return sock


def check_connected(sock: socket.socket) -> None:
    """Raises OSError, fit for `why`, if the attempt that `begin_connecting` began failed."""
    if problem := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(problem, "")
    # Connecting to a local port on which nobody listens may hit upon itself.
    if sock.getsockname() == sock.getpeername():
        raise OSError("nobody listens there")


def why(error: OSError) -> str:
    """The system's words for `error`, such as "Connection refused"."""
    return os.strerror(error.errno) if error.errno else str(error)


def out_of_resources(error: OSError) -> bool:
    """True if `error` is about this process or machine (descriptors, memory), not about one connection."""
    return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
