"""An emulated server on a loopback port: HTTP around the APIs of its generation, and the faults in between."""

from __future__ import annotations

import contextlib
import http.server
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from tests.apps.server.emulators import own_api
from tests.apps.server.emulators.faults import Fault, Faults
from tests.apps.server.emulators.form_api import FormApi
from tests.apps.server.emulators.kegboard_event import KegboardEvents
from tests.apps.server.emulators.memory import Memory
from tests.apps.server.emulators.replies import FormError, Reply, Request, web_page
from tests.apps.server.emulators.site import KEY, KEY_2012, Site

GENERATIONS = ("2012", "1.x", "today")
HANG_S = 120.0


class Emulator:
    """A Kegbot Server of one generation; serves in threads of its own from `start` (or `with`) on.

    `url` is the right `--api_url` for it, `key` a right `--api_key`. `site`, `memory`, `faults` and `events` may
    be looked at and changed while it runs. With `state`, what it recorded outlives it.
    """

    def __init__(
        self,
        generation: str = "today",
        *,
        port: int = 0,
        site: Site | None = None,
        faults: Faults | None = None,
        state: Path | None = None,
        allow_at_once: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        assert generation in GENERATIONS
        self.generation = generation
        self.site = site or Site()
        self.faults = faults or Faults()
        self.memory = Memory(state)
        self.form_api = FormApi(generation, self.site, self.memory, self.now)
        self.events = KegboardEvents(self.form_api, allow_at_once=allow_at_once)
        self.key = KEY_2012 if generation == "2012" else KEY
        self.requests: list[Request] = []
        """All that were read, in the order of their arrival."""
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._server = _Server((host, port), self)
        self.port = self._server.server_address[1]
        name = f"[{host}]" if ":" in host else host
        self.origin = f"http://{name}:{self.port}"
        self.url = f"{self.origin}/api/" if generation == "2012" else f"{self.origin}/api/v1/"

    def now(self) -> float:
        return time.time() + self.site.skew_s

    def start(self) -> Emulator:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        """As often as you like."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes it: its own end comes at the next poll only
        self._server.shutdown()
        self._server.server_close()
        self.memory.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def answer(self, request: Request) -> Reply:
        """What the server does and says when nothing goes wrong."""
        path = "/" + request.path.strip("/")
        with self._lock:
            self.requests.append(request)
            for base, today in (("/api/v1", False), ("/api", self.generation == "today")):
                if path != base and not path.startswith(base + "/"):
                    continue
                if base == "/api/v1" and self.generation == "2012":
                    return FormError("NotFoundError", "Not an API endpoint").reply(self.generation)
                endpoint = path[len(base) + 1 :]
                if not today:
                    return self.form_api.answer(request, endpoint)
                if endpoint == "kegboard-event":
                    return self.events.answer(request)
                return own_api.answer(self.site, self.memory, request, endpoint)
            return web_page(404)

    def draw(self, method: str) -> Fault | None:
        with self._lock:
            return self.faults.next(method)

    def count(self, fault: Fault, drinks: int) -> None:
        with self._lock:
            self.memory.count_fault(fault.value)
            for _ in range(drinks):
                self.memory.count_fault(f"{fault.value} drink")

    def hang(self, connection: socket.socket) -> None:
        """Until the client goes, this server ends, or HANG_S."""
        end_s = time.monotonic() + HANG_S
        while not self._ending.is_set() and time.monotonic() < end_s:
            if select.select([connection], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    if not connection.recv(4096):
                        return


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], emulator: Emulator) -> None:
        self.emulator = emulator
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def handle_error(self, *_: object) -> None:
        return  # a client that went away in the middle


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    timeout = 60

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        return

    def date_time_string(self, _timestamp: float | None = None) -> str:
        return formatdate(self.server.emulator.now(), usegmt=True)

    def _serve(self) -> None:
        emulator = self.server.emulator
        fault = emulator.draw(self.command)
        if fault is Fault.CLOSE_UNREAD:
            emulator.count(fault, 0)
            self._reset()
            return
        request = self._read()
        if fault is None:
            self._send(emulator.answer(request))
            return
        if fault is Fault.LATE:
            emulator.hang(self.connection)
        before = len(emulator.memory.drinks)
        done = None
        if fault in (Fault.CUT, Fault.LOST, Fault.LOST_500, Fault.LOST_504, Fault.LATE):
            done = emulator.answer(request)
        emulator.count(fault, len(emulator.memory.drinks) - before)
        self._fail(fault, done)

    def _fail(self, fault: Fault, done: Reply | None) -> None:
        emulator = self.server.emulator
        if fault is Fault.HANG:
            emulator.hang(self.connection)
            self.close_connection = True
        elif fault in (Fault.LOST, Fault.LATE):
            self._reset()
        elif fault is Fault.CUT and done is not None:
            self._send(done, cut=True)
        else:
            self._send(dict(self._replies())[fault])

    def _replies(self) -> Iterator[tuple[Fault, Reply]]:
        generation = self.server.emulator.generation
        yield Fault.REFUSE_400, FormError("BadRequestError", "No active keg at this tap").reply(generation)
        yield Fault.REFUSE_401, FormError("BadApiKeyError", "Invalid API key.").reply(generation)
        yield Fault.REFUSE_404, FormError("NotFoundError", "Meter is inactive").reply(generation)
        yield Fault.FAIL_500, FormError("ServerError", "database is locked").reply(generation)
        yield Fault.LOST_500, FormError("ServerError", "task queue unreachable").reply(generation)
        yield Fault.PROXY_502, web_page(502)
        yield Fault.PROXY_503, web_page(503)
        yield Fault.LOST_504, web_page(504)
        yield Fault.WEB_PAGE, web_page(200)
        yield Fault.EMPTY, Reply()
        yield Fault.NO_CONTENT, Reply(status=204)
        yield Fault.REDIRECT, Reply(status=302, headers={"Location": f"{self.server.emulator.origin}/login/"})

    def _read(self) -> Request:
        target = urlsplit(self.path)
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(int(length)) if length.isdecimal() else b""
        kind = self.headers.get("Content-Type", "")
        form = parse_qsl(body.decode(), keep_blank_values=True) if "form-urlencoded" in kind else []
        return Request(
            method=self.command,
            path=target.path,
            query=dict(parse_qsl(target.query)),
            form=dict(form),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )

    def _send(self, reply: Reply, *, cut: bool = False) -> None:
        emulator = self.server.emulator
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        if emulator.generation == "today":
            self.send_header("Deprecation", "true")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if cut else reply.body)
        self.close_connection = True

    def _reset(self) -> None:
        """Gone at once, without an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
