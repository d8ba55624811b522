"""One call and its answer over one connection, whatever the server does: a deadline, a bound, and words for people.

Knows sockets and TLS. Must not know what a call is for, or what its answer means.
Each call has its own connection: on one that was kept open, a server's closing it could not be told from a lost
answer. Redirects are not followed and the environment's proxies not asked: the key goes where it was configured to.
"""

from __future__ import annotations

import base64
import functools
import json
import socket
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from kegapps.server.answers import printable
from kegapps.server.calls import Answer, Call
from kegapps.server.http_answer import AnswerReader
from kegapps.server.url import ApiUrl

if TYPE_CHECKING:
    import ssl

_RECEIVE_BYTES: Final = 65536


def exchange(url: ApiUrl, api_key: str | None, call: Call) -> Answer:
    """Perform `call`; it takes `call.timeout_s` at most, and the look-up of the server's name. Raises nothing.

    `api_key`: None sends none.
    """
    deadline = _Deadline(call.timeout_s)
    try:
        request = _request(url, api_key, call)
        sock = _connect(url, deadline)
    except OSError as error:
        return Answer(error=_why_no_connection(url, call, error))
    except ValueError as error:  # after OSError: an untrusted certificate is both
        return Answer(error=f"this cannot be sent: {printable(str(error))}")
    with sock:
        return _converse(sock, request, deadline, url, call)


class _Deadline:
    """One moment for all that a call waits for; a server that sends a byte a second does not move it."""

    def __init__(self, timeout_s: float) -> None:
        self._end_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Seconds left, more than 0. Raises TimeoutError."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


def _connect(url: ApiUrl, deadline: _Deadline) -> socket.socket:
    """A connection to the first of the server's addresses that takes one. Raises OSError."""
    found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(found):
        sock = socket.socket(family, kind, protocol)
        try:
            # An address that does not answer leaves time for the next.
            sock.settimeout(deadline.left_s() / (len(found) - number))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return _tls(sock, url, deadline) if url.scheme == "https" else sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure


def _tls(sock: socket.socket, url: ApiUrl, deadline: _Deadline) -> socket.socket:
    sock.settimeout(deadline.left_s())
    return _tls_context().wrap_socket(sock, server_hostname=url.host.partition("%")[0])


@functools.cache
def _tls_context() -> ssl.SSLContext:
    import ssl  # 3 MB and the system's certificates: only for those who use them

    return ssl.create_default_context()


def _converse(sock: socket.socket, request: bytes, deadline: _Deadline, url: ApiUrl, call: Call) -> Answer:
    reader, error = AnswerReader(), ""
    try:
        try:
            sock.settimeout(deadline.left_s())
            sock.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a server that closes on us while we send may have said why before: too large, for one
        while not reader.over:
            sock.settimeout(deadline.left_s())
            if data := sock.recv(_RECEIVE_BYTES):
                reader.feed(data)
            else:
                reader.end()
    except TimeoutError:
        error = f"{url.authority} took the request and did not answer within {call.timeout_s:g} s"
        if reader.status is not None:
            error = f"{url.authority} did not finish its answer within {call.timeout_s:g} s"
    except ConnectionResetError:
        reader.end(reset=True)
    except OSError as failure:
        error = f"the connection to {url.authority} broke: {printable(failure.strerror or str(failure))}"
    return reader.answer(error)


def _request(url: ApiUrl, api_key: str | None, call: Call) -> bytes:
    """The whole request. Raises ValueError for what no request can carry."""
    target, body = url.target(call.path), b""
    headers = {
        "Host": url.authority,
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "kegmaster",
        "Connection": "close",
        **call.headers,
    }
    if call.with_key and api_key is not None:
        if call.key_as_password:
            headers["Authorization"] = f"Basic {base64.b64encode(f'api:{api_key}'.encode()).decode()}"
        else:
            headers["X-Kegbot-Api-Key"] = api_key
    if call.json is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(call.json, allow_nan=False).encode("ascii")
    elif call.method == "POST":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(call.form).encode("ascii")
    elif call.form:
        target += "?" + urlencode(call.form)
    if call.method == "POST":
        headers["Content-Length"] = str(len(body))
    lines = [f"{call.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if " " in target or not all(line.isascii() and line.isprintable() for line in lines):
        raise ValueError("a path or header has characters that HTTP cannot carry")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _why_no_connection(url: ApiUrl, call: Call, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"{url.host} is not found ({error.strerror}): check --api_url and this machine's name server"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {url.authority} (connection refused): is the server running?"
    if isinstance(error, TimeoutError):
        return f"{url.authority} does not answer: no connection within {call.timeout_s:g} s"
    reason = printable(error.strerror or str(error) or type(error).__name__)
    if type(error).__name__ == "SSLCertVerificationError":
        reason = printable(str(getattr(error, "verify_message", reason)))
        return f"the certificate of {url.authority} is not trusted: {reason}"
    if type(error).__name__.startswith("SSL"):
        return (
            f"{url.authority} does not speak TLS as it should ({reason}): is it http:// rather than https://?"
        )
    return f"no connection to {url.authority}: {reason}"
