"""A server that says exactly these bytes, in these pieces, to each client; whatever HTTP makes of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Script = Callable[[socket.socket], None]


@contextmanager
def raw_server(script: Script, host: str = "127.0.0.1") -> Iterator[int]:
    """Its port; each connection gets a thread and is closed when `script` returns."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.settimeout(20)
                script(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def request_of(connection: socket.socket) -> bytes:
    """The whole request."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


def saying(*pieces: bytes) -> Script:
    """Reads the request, then sends `pieces` and closes."""

    def script(connection: socket.socket) -> None:
        request_of(connection)
        for piece in pieces:
            connection.sendall(piece)

    return script
