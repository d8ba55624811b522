"""The control channel, server side: a Unix socket, one JSON object a line, bounded, for our own user and root only.

Knows sockets and JSON. Must not know apps: a request is handed to `on_request` with the Conversation to answer in.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable

from .lean import Any, Final

MAX_REQUEST_BYTES: Final = 65536
MAX_UNREAD_BYTES: Final = 8 << 20
"""A client that lets so much of its answer lie unread is cut off; a status of 300 apps is a tenth of it."""
MAX_CLIENTS: Final = 64
_BACKLOG: Final = 64
_READ_BYTES: Final = 65536
_PAUSE_S: Final = 1.0

Request = dict[str, Any]


class Conversation:
    """One client. `send` never blocks; after `finish` the client is let go once it has all."""

    def __init__(self, connection: socket.socket, server: ControlServer) -> None:
        self._connection = connection
        self._server = server
        self._inbox = b""
        self._outbox = bytearray()
        self._finished = False
        self.closed = False
        self.asked = False
        """A whole request has come."""
        self.refusal: dict[str, object] = {}
        """What any request is answered with; empty: it is carried out."""

    def send(self, **fields: object) -> None:
        """Send one object."""
        if self.closed:
            return
        self._outbox += json.dumps(fields).encode() + b"\n"
        self._flush()

    def send_lines(self, lines: bytes) -> None:
        """Send objects that are lines of JSON already."""
        if not self.closed:
            self._outbox += lines
            self._flush()

    def fileno(self) -> int:
        """The connection's descriptor."""
        return self._connection.fileno()

    @property
    def unread(self) -> int:
        """Bytes that the client has left no room for."""
        return len(self._outbox)

    def finish(self, **fields: object) -> None:
        """Send the last object."""
        self.send(**fields)
        self._finished = True
        self._flush()

    def close(self) -> None:
        """Let go of the client."""
        if not self.closed:
            self.closed = True
            self._server.forget(self, self._connection)
            self._connection.close()

    def ready(self, mask: int) -> None:
        """The socket is ready: called by the loop."""
        if mask & selectors.EVENT_WRITE:
            self._flush()
        if mask & selectors.EVENT_READ and not self.closed:
            self._read()

    def _read(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # Whatever the client asked for goes on; only its answer is no longer wanted.
            self.close()
            return
        if self._finished:
            return
        self._inbox += data
        line, newline, self._inbox = self._inbox.partition(b"\n")
        if newline:
            self._inbox = b""
            self._take(line)
        elif len(line) > MAX_REQUEST_BYTES:
            self.finish(error=f"a request of more than {MAX_REQUEST_BYTES} bytes is refused")
        else:
            self._inbox = line

    def _take(self, line: bytes) -> None:
        self.asked = True
        if self.refusal:
            self.finish(**self.refusal)
            return
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            self.finish(error="a request is one JSON object on one line")
            return
        self._server.on_request(request, self)

    def _flush(self) -> None:
        if self.closed:
            return
        try:
            while self._outbox:
                sent = self._connection.send(self._outbox)
                del self._outbox[:sent]
        except BlockingIOError:
            if len(self._outbox) > MAX_UNREAD_BYTES:
                self.close()
                return
        except OSError:
            self.close()
            return
        if self._finished and not self._outbox:
            self.close()
        else:
            self._server.want(self, self._connection, writing=bool(self._outbox))


class ControlServer:
    """Listens at `path` and hands requests on."""

    def __init__(
        self, path: str, selector: selectors.BaseSelector,
        on_request: Callable[[Request, Conversation], None], *, inherited: int = -1,
    ) -> None:  # fmt: skip
        """Bind, replacing what an earlier master left at `path`. Raises OSError.

        `inherited`: a socket that listens there already, with whoever waits at the door; -1: there is none.
        """
        self.path = path
        self.on_request = on_request
        self._selector = selector
        self._conversations: dict[Conversation, None] = {}
        self.resume_s: float | None = None
        """No descriptor was free for another client: when to listen again (monotonic)."""
        if inherited >= 0 and os.path.lexists(path):
            self._socket = socket.socket(fileno=inherited)
            self._selector.register(self._socket, selectors.EVENT_READ, self._accept)
        else:
            self._listen()

    def fileno(self) -> int:
        """The descriptor that listens."""
        return self._socket.fileno()

    def _listen(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        bind(self._socket, self.path)
        self._socket.listen(_BACKLOG)
        self._selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def on_time(self, now_s: float) -> None:
        """Listen again once the pause is over."""
        if self.resume_s is not None and self.resume_s <= now_s:
            self.resume_s = None
            self._selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def restore(self) -> None:
        """Listen anew if somebody removed the socket. Raises OSError."""
        if not os.path.lexists(self.path):
            self._stop_listening()
            self._listen()

    def _stop_listening(self) -> None:
        if self.resume_s is None:
            self._selector.unregister(self._socket)
        self.resume_s = None
        self._socket.close()

    def _accept(self, _mask: int) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # Whoever waits at the door would wake us without end.
                self._selector.unregister(self._socket)
                self.resume_s = time.monotonic() + _PAUSE_S
            return
        connection.setblocking(False)
        if len(self._conversations) >= MAX_CLIENTS:
            # Whoever has been silent the longest makes room: nobody can lock the others out by saying nothing.
            silent = next((talk for talk in self._conversations if not talk.asked), None)
            (silent or next(iter(self._conversations))).close()
        self.converse(connection)

    def converse(self, connection: socket.socket) -> Conversation:
        """Take up a conversation; also one that an earlier watchdog of this process has begun."""
        conversation = Conversation(connection, self)
        self._conversations[conversation] = None
        self._selector.register(connection, selectors.EVENT_READ, conversation.ready)
        uid = peer_uid(connection)
        if uid not in (0, os.geteuid()):
            text = f"user {uid} may not command a master of user {os.geteuid()}"
            conversation.refusal = {"error": text, "rights": True}
        return conversation

    def want(self, conversation: Conversation, connection: socket.socket, *, writing: bool) -> None:
        """Watch for room to write only while something waits to be written."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        self._selector.modify(connection, events, conversation.ready)

    def forget(self, conversation: Conversation, connection: socket.socket) -> None:
        """The conversation is over."""
        self._conversations.pop(conversation, None)
        self._selector.unregister(connection)

    def let_go(self) -> None:
        """Hang up on everybody, and leave the socket's file to whoever listens next."""
        for conversation in list(self._conversations):
            conversation.close()
        self._stop_listening()

    def close(self) -> None:
        """Stop listening and remove the socket; conversations under way are let go."""
        self.let_go()
        try:
            os.unlink(self.path)
        except OSError:
            return


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end, as the kernel recorded it at connect."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def bind(sock: socket.socket, path: str) -> None:
    """Bind a Unix socket at `path`, mode 0600, replacing a socket that lies there. Raises OSError."""
    directory, name = os.path.split(path)
    # The kernel takes 107 bytes of path; by way of the open directory any depth will do.
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    old_mask = os.umask(0o177)
    try:
        short = f"/proc/self/fd/{fd}/{name}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        sock.bind(short)
    finally:
        os.umask(old_mask)
        os.close(fd)
