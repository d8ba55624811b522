"""The server's bounds, by real sockets on a loop whose clock is turned by hand."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from kegapps.daemon.loop import Loop
from kegapps.gateway.request import Request
from kegapps.gateway.server import Answer, HttpServer, Reply, ServerLimits
from tests.apps.kegnet.support import Clock, turn_until

REQUEST = b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
LIMITS = ServerLimits(max_connections=4, max_connections_of_one=3, kept_for_known=0)


class Served:
    """A server, the requests that it handed over, and clients of it."""

    def __init__(self, limits: ServerLimits = LIMITS) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.requests: list[tuple[Request, str]] = []
        self.replies: list[Reply] = []
        self.at_once = True
        self.body: dict[str, object] = {}
        self.known: set[str] = set()
        self.server = HttpServer(
            self.loop, ("127.0.0.1", 0), self._handle, limits=limits, is_known=self.known.__contains__
        )
        self.clients: list[socket.socket] = []

    def _handle(self, request: Request, host: str, reply: Reply) -> None:
        self.requests.append((request, host))
        if self.at_once:
            reply(Answer(status=200, body=self.body))
        else:
            self.replies.append(reply)

    def client(self, host: str = "127.0.0.1", data: bytes = b"") -> socket.socket:
        """One that has been accepted, or turned away."""
        sock = socket.create_connection(self.server.address, 10.0, (host, 0))
        sock.setblocking(False)
        self.clients.append(sock)
        sock.sendall(data)
        for _ in range(4):
            self.loop.run_once(0.01)
        return sock

    def pass_time(self, seconds: float) -> None:
        self.clock.ahead_s += seconds
        for _ in range(4):
            self.loop.run_once(0.005)

    def read(self, sock: socket.socket, enough: Callable[[bytes], object] = lambda got: not got) -> bytes:
        """What comes until it is enough; by default until the server hangs up."""
        got = b""

        def done() -> bool:
            nonlocal got
            try:
                piece = sock.recv(65536)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                piece = b""
            got += piece
            return not piece or (got and bool(enough(got))) or False

        turn_until(self.loop, done)
        return got

    def is_open(self, sock: socket.socket) -> bool:
        self.loop.run_once(0.01)
        try:
            return bool(sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False

    def close(self) -> None:
        for sock in self.clients:
            sock.close()
        self.server.close()
        self.loop.close()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


def test_who_drips_a_request_is_cut_however_steadily(served: Served) -> None:
    sock = served.client(data=REQUEST[:5])
    for byte in REQUEST[5:15]:
        served.pass_time(0.99)
        sock.send(bytes([byte]))
    served.pass_time(1.0)
    assert served.read(sock).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert served.requests == []
    served.pass_time(3.0)
    assert served.server.connections == 0


def test_who_says_nothing_is_hung_up_on(served: Served) -> None:
    sock = served.client()
    served.pass_time(4.5)
    assert served.is_open(sock)
    served.pass_time(1.0)
    assert served.read(sock) == b""


def test_a_board_may_keep_its_connection_from_one_heartbeat_to_the_next(served: Served) -> None:
    sock = served.client(data=REQUEST)
    for _ in range(3):
        assert served.read(sock, lambda got: got.endswith(b"{}")).startswith(b"HTTP/1.1 200 OK")
        served.pass_time(60.0)
        assert served.is_open(sock)
        sock.sendall(REQUEST)
    assert served.read(sock, lambda got: got.endswith(b"{}")).startswith(b"HTTP/1.1 200 OK")
    served.pass_time(91.0)
    assert not served.is_open(sock)


def test_one_host_has_so_many_connections_and_an_idle_one_of_its_own_gives_way(served: Served) -> None:
    first, second, third = (served.client() for _ in range(3))
    other = served.client("127.0.0.2")
    assert served.server.connections == 4
    fourth = served.client()
    assert not served.is_open(first)
    assert all(map(served.is_open, (second, third, other, fourth)))
    begun = [served.client(data=b"POST") for _ in range(2)]
    assert served.server.connections == 4
    assert served.is_open(begun[-1])


def test_who_never_ends_a_request_gives_way_to_others_the_oldest_first(served: Served) -> None:
    dripping = [served.client(f"127.0.0.{2 + number // 2}", b"P") for number in range(4)]
    board = served.client(data=REQUEST)
    assert served.read(board, lambda got: got.endswith(b"{}")).startswith(b"HTTP/1.1 200 OK")
    assert [served.is_open(sock) for sock in dripping] == [False, True, True, True]
    dripping += [served.client(f"127.0.0.{4 + number}", b"P") for number in range(5)]
    assert served.is_open(board), "who has sent a whole request goes last"
    assert sum(map(served.is_open, dripping)) == 3


def test_places_are_kept_for_the_addresses_of_those_who_are_known() -> None:
    served = Served(ServerLimits(max_connections=4, max_connections_of_one=3, kept_for_known=2))
    served.known.add("127.0.0.9")
    strangers = [served.client(f"127.0.0.{2 + number}", b"P") for number in range(3)]
    assert [served.is_open(sock) for sock in strangers] == [False, True, True]
    boards = [served.client("127.0.0.9") for _ in range(3)]
    assert all(map(served.is_open, boards))
    assert [served.is_open(sock) for sock in strangers] == [False, False, True]
    strangers += [served.client(f"127.0.0.{20 + number}", b"P") for number in range(3)]
    assert all(map(served.is_open, boards)), "no stranger takes a place of theirs"
    assert sum(map(served.is_open, strangers)) == 1
    served.close()


def test_who_is_being_served_does_not_give_way_and_the_next_is_turned_away(served: Served) -> None:
    served.at_once = False
    busy = [served.client(data=REQUEST) for _ in range(3)]
    assert len(served.replies) == 3
    turned_away = served.client(data=REQUEST)
    assert not served.is_open(turned_away)
    for reply in served.replies:
        reply(Answer(status=200, body={}))
    for sock in busy:
        assert served.read(sock, lambda got: got.endswith(b"{}")).startswith(b"HTTP/1.1 200 OK")


def test_an_answer_may_come_later_and_to_nobody(served: Served) -> None:
    served.at_once = False
    stays, leaves = served.client(data=REQUEST), served.client(data=REQUEST)
    leaves.close()
    served.clients.remove(leaves)
    for reply in served.replies:
        reply(Answer(status=200, body={"late": True}))
        reply(Answer(status=500, body={}))  # a second one is none
    assert served.read(stays, lambda got: got.endswith(b"}")).count(b"HTTP/1.1") == 1
    served.pass_time(100.0)
    assert served.server.connections == 0


def test_who_does_not_read_the_answer_is_hung_up_on(served: Served) -> None:
    served.body = {"x": "y" * 8_000_000}
    served.client(data=REQUEST)
    assert served.server.connections == 1
    served.pass_time(11.0)
    assert served.server.connections == 0


def test_what_is_too_large_is_answered_although_it_goes_on_coming(served: Served) -> None:
    sock = served.client(data=b"POST /x HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
    got = served.read(sock, lambda got: got.endswith(b"}"))
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in got
    sock.sendall(b"x" * 50_000)
    served.pass_time(3.0)
    assert served.server.connections == 0
