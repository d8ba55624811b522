"""One call and its answer over one connection, whatever the server does: a deadline, a bound, and words for people.

Knows sockets, TLS and http.client. Must not know what a call is for, or what its answer means.
Each call has its own connection: on one that was kept open, a server's closing it could not be told from a lost
answer. Redirects are not followed and the environment's proxies not asked: the key goes where it was configured to.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import http.client
import io
import json
import socket
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from kegapps.server.answers import printable
from kegapps.server.calls import MAX_ANSWER_BYTES, Answer, Call
from kegapps.server.url import ApiUrl

if TYPE_CHECKING:
    import ssl

_MAX_HEAD_BYTES: Final = (
    1 << 18
)  # of all that comes beside the body: headers, chunk sizes, any number of "100 Continue"
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "kegmaster",
    "Connection": "close",
}


def exchange(url: ApiUrl, api_key: str | None, call: Call) -> Answer:
    """Perform `call`; it takes `call.timeout_s` at most, and the look-up of the server's name. Raises nothing.

    `api_key`: None sends none.
    """
    deadline = _Deadline(call.timeout_s)
    try:
        sock = _connect(url, deadline)
    except OSError as error:
        return Answer(error=_why_no_connection(url, call, error))
    line = _Line(sock, deadline)
    try:
        return _converse(line, url, api_key, call)
    except Exception as error:  # noqa: BLE001 (whatever a server makes http.client raise must not lose a drink)
        return Answer(error=_why_no_answer(url, call, error), sent=line.sent)
    finally:
        sock.close()


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


class _Line:
    """What http.client takes for a socket: the connection, under the deadline."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self.sent = False

    def sendall(self, data: bytes) -> None:
        self.sent = True
        self._sock.settimeout(self._deadline.left_s())
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Received(self._sock, self._deadline), 65536)

    def close(self) -> None:
        return  # by `exchange`, at its end


class _Received(io.RawIOBase):
    """The bytes that come, bounded in time and number."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left_bytes = MAX_ANSWER_BYTES + _MAX_HEAD_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left_s())
        count = self._sock.recv_into(buffer)
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise _TooLargeError
        return count


class _TooLargeError(OSError):
    """More came than any honest answer has."""


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


def _converse(line: _Line, url: ApiUrl, api_key: str | None, call: Call) -> Answer:
    connection = http.client.HTTPConnection(url.host, url.port)
    connection.auto_open = 0
    connection.sock = line
    target, content_type, body = _request(url, call)
    connection.putrequest(call.method, target, skip_host=True, skip_accept_encoding=True)
    headers = {"Host": url.authority, **_HEADERS, **call.headers}
    if call.with_key and api_key is not None:
        headers["X-Kegbot-Api-Key"] = api_key
    if call.method == "POST":
        headers |= {"Content-Type": content_type, "Content-Length": str(len(body))}
    for name, value in headers.items():
        connection.putheader(name, value)
    # A server that closes on us while we send may have said why before: too large, for one.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.endheaders(body or None)
    return _read(connection.getresponse(), call)


def _request(url: ApiUrl, call: Call) -> tuple[str, str, bytes]:
    """Target, content type and body."""
    target = url.target(call.path)
    if call.json is not None:
        return target, "application/json", json.dumps(call.json, allow_nan=False).encode("ascii")
    form = urlencode(call.form)
    if call.method == "POST":
        return target, "application/x-www-form-urlencoded", form.encode("ascii")
    return f"{target}?{form}" if form else target, "", b""


def _read(response: http.client.HTTPResponse, call: Call) -> Answer:
    """The answer whose head came. What goes wrong from here on does not take the status away."""
    body, error = b"", ""
    try:
        body = response.read(MAX_ANSWER_BYTES + 1)
        # http.client does not say so when a length was asked for.
        if response.length:
            error = "the server closed the connection in the middle of its answer"
        elif response.getheader("Content-Encoding", "identity").strip().lower() in ("gzip", "x-gzip"):
            body = _unzipped(body)
        if len(body) > MAX_ANSWER_BYTES:
            raise _TooLargeError
    except Exception as failure:  # noqa: BLE001 (as above)
        error = _why_cut_off(call, failure)
    return Answer(
        status=response.status,
        body=body[:MAX_ANSWER_BYTES],
        error=error,
        sent=True,
        location=printable(response.getheader("Location") or ""),
        date_unix_s=_date_unix_s(response.getheader("Date")),
        retry_after_s=_seconds(response.getheader("Retry-After")),
    )


def _unzipped(body: bytes) -> bytes:
    import zlib  # not asked for, but some proxies pack what they like

    return zlib.decompressobj(wbits=31).decompress(body, MAX_ANSWER_BYTES + 1)


def _date_unix_s(text: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and len(text) < 10 and text.isascii() and text.isdecimal() else None


def _why_no_connection(url: ApiUrl, call: Call, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"{url.host} is not found ({error.strerror}): check --api_url and this machine's name server"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {url.authority} (connection refused): is the server running?"
    if isinstance(error, TimeoutError):
        return f"{url.authority} does not answer: no connection within {call.timeout_s:g} s"
    reason = printable(error.strerror or str(error) or type(error).__name__)
    if type(error).__name__ == "SSLCertVerificationError":
        return f"the certificate of {url.authority} is not trusted: {reason}"
    if type(error).__name__.startswith("SSL"):
        return (
            f"{url.authority} does not speak TLS as it should ({reason}): is it http:// rather than https://?"
        )
    return f"no connection to {url.authority}: {reason}"


def _why_no_answer(url: ApiUrl, call: Call, error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"{url.authority} took the request and did not answer within {call.timeout_s:g} s"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return f"{url.authority} closed the connection without an answer"
    if isinstance(error, _TooLargeError):
        return f"{url.authority} answers without end"
    if isinstance(error, http.client.BadStatusLine):
        return f"{url.authority} answers, but not in HTTP: is it https:// rather than http://?"
    return f"the answer of {url.authority} is not to be understood: {_named(error)}"


def _why_cut_off(call: Call, error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"the server did not finish its answer within {call.timeout_s:g} s"
    if isinstance(error, http.client.IncompleteRead | ConnectionResetError):
        return "the server closed the connection in the middle of its answer"
    if isinstance(error, _TooLargeError):
        return f"the answer is larger than {MAX_ANSWER_BYTES} bytes"
    return f"the answer broke off: {_named(error)}"


def _named(error: Exception) -> str:
    return printable(f"{type(error).__name__} {getattr(error, 'strerror', None) or error}")
