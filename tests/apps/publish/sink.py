"""A network of one's own: an HTTP server on loopback that takes messages, or answers 500, hangs, hangs up, is dead."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

DEADLINE_S = 30.0


class Sink:
    """Serves from a thread; `mode` may be changed at any time: `ok`, `error`, `redirect`, `refuse`, `hang`, `close`."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.refused = ""  # messages with that in them are answered 403, for ever
        self.taken: list[str] = []
        self.bodies: list[tuple[str, str]] = []  # (path, body) of all requests
        self.times_s: list[float] = []  # of what was taken
        self.requests = 0
        self.hook: Callable[[], None] = lambda: None  # before a message is taken
        self._changed = threading.Condition()
        self._release = threading.Event()
        self._server: http.server.ThreadingHTTPServer | None = None
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port: int = taken.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                sink._take(self, body)

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self._release.clear()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def die(self) -> None:
        """Nobody listens any more."""
        assert self._server is not None
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    def close(self) -> None:
        if self._server is not None:
            self.die()

    def url(self, path: str = "") -> str:
        """As a line for the file of destinations."""
        return f"json://127.0.0.1:{self.port}/{path}"

    def wait_for(self, condition: Callable[[], object], what: str = "") -> None:
        """Until `condition()`, looked at whenever something arrives."""
        end_s = time.monotonic() + DEADLINE_S
        with self._changed:
            while not condition():
                assert self._changed.wait(end_s - time.monotonic()), f"{what}: {self.taken}, {self.requests}"

    def _take(self, handler: http.server.BaseHTTPRequestHandler, body: str) -> None:
        mode = self.mode
        with self._changed:
            self.requests += 1
            self.bodies.append((handler.path, body))
            self._changed.notify_all()
        if mode == "hang":
            self._release.wait(DEADLINE_S)
            mode = "close"
        if mode == "close":
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        if self.refused and self.refused in body:
            mode = "refuse"
        if mode == "ok":
            self.hook()
            with self._changed:
                self.taken.append(_message(body))
                self.times_s.append(time.monotonic())
                self._changed.notify_all()
        handler.send_response({"ok": 200, "redirect": 302, "refuse": 403}.get(mode, 500))
        if mode == "redirect":
            handler.send_header("Location", "/login?session=1")
        handler.send_header("Content-Length", "0")
        handler.end_headers()


def _message(body: str) -> str:
    if body.startswith("{"):
        return str(json.loads(body)["message"])
    return urllib.parse.parse_qs(body)["message"][0]
