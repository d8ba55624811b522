"""Servers that do everything wrong: each call ends in time, in bounded memory, with a reason and the truth about `sent`."""

from __future__ import annotations

import gzip
import logging
import socket
import struct
import time
from collections.abc import Callable

import pytest

from kegapps.server import form_api
from kegapps.server.calls import MAX_ANSWER_BYTES, Answer, Call
from kegapps.server.exchange import exchange
from kegapps.server.url import parse_api_url
from kegapps.server.verdicts import Asked, Kind, judge
from tests.apps.server.emulators import Emulator
from tests.apps.server.rawserver import Script, raw_server, request_of, saying
from tests.apps.server.support import closed_port, pour

DRINK = b'{"object": {"id": 7, "ticks": 1000}}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(DRINK) + DRINK


def post(timeout_s: float = 5.0, path: str = "taps/kegboard.flow0") -> Call:
    return Call(method="POST", path=path, form=(("ticks", "1000"),), timeout_s=timeout_s)


def told(script: Script, timeout_s: float = 5.0) -> Answer:
    with raw_server(script) as port:
        return exchange(parse_api_url(f"http://127.0.0.1:{port}/api/v1/"), "secret-key", post(timeout_s))


def chunked(body: bytes, size: int = 5) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return (
        b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nTrailer: x\r\n\r\n"
    )


@pytest.mark.parametrize(
    "pieces",
    [
        [WHOLE],
        [bytes((letter,)) for letter in WHOLE],
        [b"HTTP/1.0 200 OK\r\n\r\n" + DRINK],  # no length: it ends where the connection does
        [b"HTTP/1.1 200\r\n\r\n" + DRINK],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(DRINK)],
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 3, WHOLE],
        [HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(DRINK)],
        [HEAD + b"Content-Length: nonsense\r\n\r\n" + DRINK],
        [WHOLE + b"and more that nobody asked for" * 1000],
        [b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % len(DRINK) + DRINK],
    ],
    ids=["whole", "in single bytes", "HTTP/1.0", "no reason phrase", "chunked", "100 Continue", "gzip unasked",
         "length nonsense", "more than its length", "bare line feeds"],
)  # fmt: skip
def test_odd_but_whole_answers_are_understood(pieces: list[bytes]) -> None:
    answer = told(saying(*pieces))
    assert (answer.status, answer.body, answer.error, answer.sent) == (200, DRINK, "", True)
    assert judge(answer, Asked.DRINK).kind is Kind.DONE


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ([], "closed the connection without an answer"),
        ([b"HTTP/1.1 200"], None),
        ([b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"], "not in HTTP"),
        ([b"\x15\x03\x01\x00\x02\x02\x46"], "not in HTTP"),
        ([b"HTTP/1.1 -5 OK\r\n\r\n"], "not in HTTP"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"], None),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"], "head of the answer is larger"),
        ([b"HTTP/1.1 200 OK\r\n\r\n" + DRINK[:20]], None),
        ([WHOLE[:-5]], "in the middle of its answer"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"], "chunks of the answer are none"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc"], "chunks of the answer are none"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\nabc"], "chunks of the answer are none"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\nabc"], "middle"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n"], "chunks of the answer are none"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 5000], "chunks of the answer are none"),
        ([HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n"], "transfer coding nobody asked for"),
        ([HEAD + b"Content-Encoding: gzip\r\n\r\n" + DRINK], "is said to be packed"),
        ([HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 50_000_000)], "larger than"),
        ([HEAD + b"Content-Length: 99999999999\r\n\r\n" + b"x" * MAX_ANSWER_BYTES * 2], "larger than"),
        ([HEAD + b"\r\n", *[b"x" * 65536] * 64], "larger than"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000], "without end"),
        ([HEAD + b"\r\n" + b"[" * 500_000], None),
        ([HEAD + b"\r\n" + b'{"object": ' * 50_000], None),
        ([HEAD + b"\r\n" + b'{"object": {"id": ' + b"9" * 100_000 + b"}}"], None),
        ([HEAD + b"\r\n" + b"\xff\xfe\x00"], None),
    ],
    ids=["nothing", "half a line", "ssh", "tls alert", "negative status", "200 headers", "a long header", "half JSON",
         "shorter than its length", "chunk of size zz", "chunk of size -5", "a chunk of 256 TB", "a chunk of 4 GB", "a chunk that goes on", "a size without end", "gzip chunks",
         "gzip that is none",
         "zip bomb", "100 GB announced", "4 MB", "100 Continue for ever", "deep list", "deep object", "huge number",
         "not UTF-8"],
)  # fmt: skip
def test_answers_that_make_no_sense_mean_look_before_you_repeat(
    pieces: list[bytes], says: str | None
) -> None:
    answer = told(saying(*pieces))
    verdict = judge(answer, Asked.DRINK)
    assert (verdict.kind, verdict.may_be_stored) == (Kind.LOOK, True), (answer.status, verdict)
    assert len(answer.body) <= MAX_ANSWER_BYTES
    assert answer.sent
    assert verdict.reason.isprintable()
    if says is not None:
        assert any(one in answer.error for one in says.split("|")), answer.error


def dripping(head: bytes, drop: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.02)

    return script


def deaf(connection: socket.socket) -> None:
    connection.recv(1)
    time.sleep(3)


@pytest.mark.parametrize(
    "script",
    [
        dripping(b"", b"H"),
        dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        dripping(HEAD + b"Content-Length: 99999\r\n\r\n", b"x"),
        dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        deaf,
    ],
    ids=["status line", "headers", "body", "chunks", "100 Continue", "nothing"],
)
def test_a_server_that_drips_cannot_move_the_deadline(script: Script) -> None:
    begin_s = time.monotonic()
    answer = told(script, timeout_s=0.4)
    assert time.monotonic() - begin_s < 2.5  # the drip alone would go on for ever
    assert answer.error
    assert answer.sent
    assert judge(answer, Asked.DRINK).kind is Kind.LOOK


def test_a_server_that_takes_no_more_of_a_large_request_cannot_move_the_deadline_either() -> None:
    with raw_server(deaf) as port:
        url = parse_api_url(f"http://127.0.0.1:{port}/")
        large = Call(method="POST", path="x", form=(("x", "y" * 20_000_000),), timeout_s=0.4)
        answer = exchange(url, None, large)
    assert "did not answer within 0.4 s" in answer.error
    assert answer.sent


def refuse_at_once(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")
    connection.shutdown(socket.SHUT_WR)
    time.sleep(0.3)


def test_a_proxy_that_refuses_before_it_read_all_is_heard() -> None:
    with raw_server(refuse_at_once) as port:
        large = Call(method="POST", path="x", form=(("x", "y" * 20_000_000),), timeout_s=5.0)
        answer = exchange(parse_api_url(f"http://127.0.0.1:{port}/"), None, large)
    assert (answer.status, judge(answer, Asked.DRINK).kind) == (413, Kind.HOLD)


def resetting(after: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(after)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


@pytest.mark.parametrize("after", [b"", b"HTTP/1.1 2", HEAD, WHOLE[:-9]])
def test_a_connection_reset_at_any_moment_means_look(after: bytes) -> None:
    verdict = judge(told(resetting(after)), Asked.DRINK)
    assert (verdict.kind, verdict.may_be_stored) == (Kind.LOOK, True)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://[fe80::1%nosuchport]/", "fe80::1%nosuchport is not found"),  # without asking a name server
        (
            "http://xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.example/",
            "this cannot be sent",
        ),
        ("http://127.0.0.1:{port}/", "nothing listens at 127.0.0.1:{port}"),
        ("http://[::1]:{port}/", "nothing listens at [::1]:{port}"),
        ("https://127.0.0.1:{port}/", "nothing listens at 127.0.0.1:{port}"),
    ],
)
def test_what_was_never_sent_is_said_to_be_so(url: str, says: str) -> None:
    with closed_port() as port:
        answer = exchange(parse_api_url(url.format(port=port)), "key", post())
        assert says.format(port=port) in answer.error
    assert (answer.status, answer.sent) == (None, False)
    assert judge(answer, Asked.DRINK).kind is Kind.RETRY


@pytest.mark.parametrize(
    "call",
    [
        Call(method="POST", path="taps/x\r\nX-Evil: 1"),
        Call(method="GET", path="taps x"),
        Call(method="POST", path="x", headers={"Authorization": "Bearer a\r\nX-Evil: 1"}),
        Call(method="POST", path="x", json={"x": float("nan")}),
    ],
)
def test_what_no_request_can_carry_is_not_sent(call: Call) -> None:
    asked: list[bytes] = []
    with raw_server(lambda connection: asked.append(request_of(connection))) as port:
        answer = exchange(parse_api_url(f"http://127.0.0.1:{port}/"), "key", call)
    assert "cannot be sent" in answer.error
    assert (answer.sent, asked) == (False, [])


def full_backlog() -> socket.socket:
    """A listening socket that takes no connection any more."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(0)
    return listening


def test_a_server_too_busy_to_connect_to_is_given_up_in_time() -> None:
    with full_backlog() as listening:
        address = listening.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        answer = exchange(parse_api_url(f"http://127.0.0.1:{address[1]}/"), None, post(0.3))
        for sock in waiting:
            sock.close()
    assert "no connection within 0.3 s" in answer.error
    assert not answer.sent


def test_https_to_a_server_of_http_is_explained_and_nothing_was_sent() -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with raw_server(plain) as port:
        answer = exchange(parse_api_url(f"https://127.0.0.1:{port}/api/v1/"), "secret-key", post())
    assert "is it http:// rather than https://?" in answer.error
    assert not answer.sent


def test_localhost_is_reached_by_whichever_address_listens() -> None:
    hosts = {str(found[4][0]) for found in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    assert "127.0.0.1" in hosts
    for host in hosts:
        with raw_server(saying(WHOLE), host) as port:
            answer = exchange(parse_api_url(f"http://localhost:{port}/api/v1/"), "key", post())
            assert (answer.status, answer.error) == (200, ""), host


@pytest.mark.parametrize(
    ("base", "host", "target"),
    [
        ("http://127.0.0.1:{port}/kegbot/api/v1/", "127.0.0.1:{port}", "/kegbot/api/v1/taps/kegboard.flow0"),
        ("http://127.0.0.1:{port}//api///v1", "127.0.0.1:{port}", "/api/v1/taps/kegboard.flow0"),
        ("http://localhost:{port}", "localhost:{port}", "/taps/kegboard.flow0"),
    ],
)
def test_port_and_path_prefix_reach_the_server(base: str, host: str, target: str) -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        seen.append(request_of(connection))
        connection.sendall(WHOLE)

    with raw_server(script) as port:
        assert exchange(parse_api_url(base.format(port=port)), "secret-key", post()).status == 200
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST {target} HTTP/1.1"
    assert f"Host: {host.format(port=port)}" in lines
    assert sum(line.lower().startswith("host:") for line in lines) == 1
    assert "X-Kegbot-Api-Key: secret-key" in lines
    assert "Connection: close" in lines
    assert body == b"ticks=1000"


def test_redirects_are_not_followed_and_proxies_of_the_environment_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bytes] = []

    def elsewhere(connection: socket.socket) -> None:
        asked.append(request_of(connection))

    with raw_server(elsewhere) as other:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{other}/")
        moved = (
            b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:%d/api/v1/\r\nContent-Length: 0\r\n\r\n"
            % other
        )
        answer = told(saying(moved))
    assert answer.status == 307
    assert answer.location == f"http://127.0.0.1:{other}/api/v1/"
    assert asked == []


@pytest.mark.parametrize(
    ("header", "date_unix_s", "retry_after_s"),
    [
        (b"Date: Fri, 20 Nov 2026 23:26:38 GMT\r\nRetry-After: 120", 1795217198.0, 120.0),
        (b"Date: yesterday\r\nRetry-After: Fri, 20 Nov 2026 23:26:38 GMT", None, None),
        (b"Date: Fri, 99 Nov 99999 99:99:99 GMT\r\nRetry-After: 99999999999999", None, None),
        (b"Date:\r\nRetry-After: -1", None, None),
        ("Retry-After: ٣".encode(), None, None),
    ],
)
def test_the_servers_clock_and_pause_are_read_if_they_make_sense(
    header: bytes, date_unix_s: float | None, retry_after_s: float | None
) -> None:
    answer = told(saying(b"HTTP/1.1 503 Busy\r\n" + header + b"\r\nContent-Length: 0\r\n\r\n"))
    assert (answer.status, answer.date_unix_s, answer.retry_after_s) == (503, date_unix_s, retry_after_s)


def test_the_key_is_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    call = Call(method="POST", path="x", headers={"Authorization": "Bearer kbe_secret"})
    scripts: list[Callable[[], Answer]] = [
        lambda: told(saying(b"")),
        lambda: told(saying(b"garbage")),
        lambda: told(saying(HEAD + b"Location: x\r\n\r\nsecre")),
    ]
    shown = [repr(script()) for script in scripts] + [repr(call), caplog.text]
    assert not any("secret" in one for one in shown)


def test_a_real_drink_goes_through_by_ipv6() -> None:
    with Emulator(host="::1") as emulator:
        call = form_api.post_drink(pour(), now_unix_s=time.time())
        assert exchange(parse_api_url(emulator.url), emulator.key, call).status == 200
