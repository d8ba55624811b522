"""The simulator's control socket: one JSON object a line, both ways, for its own user only.

Knows sockets and lines. Must not know boards or verbs. Requests are bounded; a client that sends anything
else, or does not read, is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable
from typing import Any, Final

from kegapps.daemon.loop import READ, Loop

MAX_LINE_BYTES: Final = 65_536
MAX_CLIENTS: Final = 32

Json = dict[str, Any]


class ControlError(Exception):
    """The socket cannot be made; the text is one line for a person."""


class Caller:
    """One client, and the request it waits for."""

    def __init__(self, server: ControlServer, connection: socket.socket) -> None:
        self.on_gone: Callable[[], None] | None = None
        self._server = server
        self._connection = connection
        self._line = bytearray()

    def say(self, answer: Json) -> None:
        """Send one object; a client that does not read is dropped."""
        try:
            self._connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            self.drop()

    def drop(self) -> None:
        """End the connection; harmless if it has ended."""
        if self._server.forget(self, self._connection):
            self._connection.close()
            if self.on_gone is not None:
                self.on_gone()

    def readable(self, _ready: int) -> None:
        """Read what has come, and pass on complete requests."""
        try:
            data = self._connection.recv(MAX_LINE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._line += data
        if not data or len(self._line) > 2 * MAX_LINE_BYTES:
            self.drop()
            return
        while b"\n" in self._line:
            line, _, rest = bytes(self._line).partition(b"\n")
            self._line[:] = rest
            try:
                request = json.loads(line)
            except (ValueError, RecursionError):
                request = None
            if not isinstance(request, dict):
                self.drop()
                return
            self._server.on_request(request, self)


class ControlServer:
    """Listens at `path`, mode 0600. `on_request(request, caller)` answers with `caller.say`, now or later."""

    def __init__(self, loop: Loop, path: str, on_request: Callable[[Json, Caller], None]) -> None:
        """Raises ControlError."""
        self.path = path
        self.on_request = on_request
        self._loop = loop
        self._callers: set[Caller] = set()
        self._listener = _bind(path)
        loop.watch(self._listener, READ, self._accept)

    def forget(self, caller: Caller, connection: socket.socket) -> bool:
        """Stop listening to a caller; False if it was forgotten before."""
        if caller not in self._callers:
            return False
        self._callers.discard(caller)
        self._loop.unwatch(connection)
        return True

    def close(self) -> None:
        """Hang up and remove the socket."""
        for caller in list(self._callers):
            caller.drop()
        self._loop.unwatch(self._listener)
        self._listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _accept(self, _ready: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        if len(self._callers) >= MAX_CLIENTS:
            connection.close()
            return
        caller = Caller(self, connection)
        self._callers.add(caller)
        self._loop.watch(connection, READ, caller.readable)


def connect(path: str) -> socket.socket:
    """A connection to the simulator at `path`. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _bind(path: str) -> socket.socket:
    _make_way(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    old_umask = os.umask(0o177)
    try:
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise ControlError(f"{path}: {error.strerror or error}; choose another --control") from None
    finally:
        os.umask(old_umask)
    listener.listen(MAX_CLIENTS)
    listener.setblocking(False)
    return listener


def _make_way(path: str) -> None:
    """Remove what a simulator left behind that is no more; refuse everything else. Raises ControlError."""
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        raise ControlError(f"{path} exists and is no socket; choose another --control, or remove it")
    try:
        connect(path).close()
    except ConnectionRefusedError:
        with contextlib.suppress(OSError):
            os.unlink(path)
        return
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror or error}") from None
    raise ControlError(f"another simulator answers at {path}; stop it, or choose another --device_link")
