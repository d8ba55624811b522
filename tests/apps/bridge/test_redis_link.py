"""One connection to what calls itself Redis: slow, strange, unwilling, gone; and the file of the cursor."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kegapps.bridge import redis_resp
from kegapps.bridge.name_lookup import NameLookup, Place
from kegapps.bridge.redis_address import RedisAddress
from kegapps.bridge.redis_cursor import CursorFile
from kegapps.bridge.redis_link import RedisLink
from kegapps.bridge.redis_resp import Reply
from kegapps.daemon.errors import StartError
from kegapps.daemon.loop import READ, Loop
from kegapps.kegnet.drinks_record import Cursor, Record, Seen

PATIENCE_S = 20.0
PING = redis_resp.command("PING")


class Stage:
    """A link and, at its other end, whatever `answers` makes of what it hears; None: it hangs up."""

    def __init__(self, answers: Callable[[bytes], bytes | None], password: str = "") -> None:
        self.ahead_s = 0.0
        self.loop = Loop(lambda: time.monotonic() + self.ahead_s)
        self.told: list[str] = []
        self.replies: list[Reply] = []
        self.heard: list[bytes] = []
        self._answers = answers
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.loop.watch(self._server, READ, self._accept)
        self.link = RedisLink(
            self.loop,
            RedisAddress(host="localhost", port=self._server.getsockname()[1], password=password),
            [PING],
            on_ready=lambda: self.told.append("ready"),
            on_reply=self.replies.append,
            on_gone=lambda: self.told.append(self.link.problem),
        )

    def _accept(self, _ready: int) -> None:
        sock, _ = self._server.accept()
        self._sockets.append(sock)
        self.loop.watch(sock, READ, lambda _ready: self._hear(sock))

    def _hear(self, sock: socket.socket) -> None:
        data = sock.recv(65536)
        answer = self._answers(data) if data else None
        if data:
            self.heard.append(data)
        if answer is None:
            self.loop.unwatch(sock)
            sock.close()
        elif answer:
            sock.sendall(answer)

    def until(self, condition: Callable[[], object]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, self.told
            self.loop.run_once(0.02)

    def close(self) -> None:
        self.link.close()
        for sock in self._sockets:
            if sock.fileno() >= 0:
                self.loop.unwatch(sock)
                sock.close()
        self._server.close()
        self.loop.close()


@pytest.fixture
def stages() -> Iterator[list[Stage]]:
    made: list[Stage] = []
    yield made
    for stage in made:
        stage.close()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak Redis' protocol: a line that begins with 'HTTP/1.1 400 Bad Req'"),
        (
            b"-NOAUTH Authentication required.\r\n",
            "it refused us: NOAUTH Authentication required.; give a user and password in --redis_url",
        ),
        (
            b"-LOADING Redis is loading the dataset in memory\r\n",
            "it refused us: LOADING Redis is loading the dataset in memory",
        ),
        (None, "it closed the connection"),
    ],
    ids=["http", "noauth", "loading", "hangs up"],
)  # fmt: skip
def test_what_does_not_welcome_us_is_told_and_tried_again(
    stages: list[Stage], answer: bytes | None, problem: str
) -> None:
    stage = Stage(lambda _data: answer)
    stages.append(stage)
    stage.until(lambda: len(stage.told) >= 2)
    assert stage.told[:2] == [problem, problem]
    assert not stage.link.ready


def test_one_that_accepts_and_says_nothing_is_given_up_after_5_s(stages: list[Stage]) -> None:
    stage = Stage(lambda _data: b"")
    stages.append(stage)
    stage.until(lambda: stage.heard)
    assert stage.told == []
    stage.ahead_s += 5
    stage.until(lambda: stage.told == ["no answer for 5 s"])


def test_the_password_goes_first_and_what_is_said_after_the_greeting_is_passed_on(
    stages: list[Stage],
) -> None:
    stage = Stage(lambda data: b"+OK\r\n+PONG\r\n:1\r\n" if b"AUTH" in data else b":2\r\n", password="sesame")
    stages.append(stage)
    stage.until(lambda: stage.told == ["ready"])
    assert stage.heard == [redis_resp.command("AUTH", "sesame") + PING]
    stage.link.send(redis_resp.command("PUBLISH", "kegnet", "x"))
    stage.until(lambda: stage.replies == [1, 2])


def test_one_that_stops_reading_is_given_up_before_it_costs_memory(stages: list[Stage]) -> None:
    stage = Stage(lambda _data: b"+PONG\r\n")
    stages.append(stage)
    stage.until(lambda: stage.told == ["ready"])
    # Nobody turns the loop: the kernel's buffers fill up, then ours.
    for _ in range(400):
        stage.link.send(bytes(65_536))
        if not stage.link.ready:
            break
    stage.until(lambda: "it takes no more" in stage.told)


def test_nobody_there_is_a_state_and_so_is_a_socket_that_is_not_there(tmp_path: Path) -> None:
    loop, told = Loop(), list[str]()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    links: list[RedisLink] = []
    for address in (
        RedisAddress(host="localhost", port=port),
        RedisAddress(path=str(tmp_path / "redis.sock")),
        RedisAddress(host="fe80::1%nowhere0"),
    ):
        links.append(
            RedisLink(
                loop, address, [PING], on_ready=lambda: None, on_reply=lambda _reply: None,
                on_gone=lambda: told.extend(link.problem for link in links if link.problem),
            )
        )  # fmt: skip
    end_s = time.monotonic() + PATIENCE_S
    while len(set(told)) < 3 and time.monotonic() < end_s:
        loop.run_once(0.05)
    assert set(told) == {"connection refused", "no such socket", "name or service not known"}
    for link in links:
        link.close()
    loop.close()


def looked_up(host: str, *, cancel: bool = False) -> list[Place | str]:
    loop, answers = Loop(), list[Place | str]()
    lookup = NameLookup(loop, host, 6379, answers.append)
    if cancel:
        lookup.cancel()
    end_s = time.monotonic() + (0.2 if cancel else PATIENCE_S)
    while not answers and time.monotonic() < end_s:
        loop.run_once(0.05)
    loop.close()
    return answers


def test_a_name_is_looked_up_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_up("127.0.0.1") == [(socket.AF_INET, ("127.0.0.1", 6379))]

    def unknown(*_args: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert looked_up("bar.invalid") == ["name or service not known"]
    assert looked_up("bar.invalid", cancel=True) == []
    assert looked_up("." * 300) == ["name or service not known"]


# -- the file of the cursor


def at(drink_id: int) -> Record:
    return (Cursor(store_id="a", drink_id=drink_id, uuid="u"),)


def test_the_cursor_is_what_was_saved_last(tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "bridge.json")
    assert CursorFile(path, flag="redis_state").load() == ()
    cursor = CursorFile(path, flag="redis_state")
    cursor.load()
    cursor.save(at(7))
    cursor.save(at(8))
    assert CursorFile(path, flag="redis_state").load() == at(8)
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["bridge.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"\xff", b'{"last_drink_id": -1}', b'{"last_drink_id": "7"}', b"8" * 9999, b"[" * 4000,
        b'{"last_drink_id": 99999999999999999999999}',
    ],
)  # fmt: skip
def test_a_file_of_others_is_not_taken_for_the_cursor_and_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bridge.json"
    path.write_bytes(content)
    with pytest.raises(StartError, match=r"--redis_state=.*: not a file of this program"):
        CursorFile(str(path), flag="redis_state").load()
    assert path.read_bytes() == content


def test_a_number_without_a_store_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"last_drink_id": 7}\n')
    assert CursorFile(str(tmp_path / "state.json"), flag="redis_state").load() == ()


def test_what_cannot_be_kept_leaves_what_was_kept_and_nothing_half_written(tmp_path: Path) -> None:
    path = str(tmp_path / "state.json")
    file = CursorFile(path, flag="redis_state")
    file.load()
    before = (Cursor(store_id="a", drink_id=7),)
    file.save(before)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    seen = tuple(Seen(drink_id=number, uuid="u", end_unix_s=1.0) for number in range(1, 1001))
    after = (Cursor(store_id="a", drink_id=1000, seen=seen),)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.save(after)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert os.listdir(tmp_path) == ["state.json"]
    assert CursorFile(path, flag="redis_state").load() == before
    file.save(after)
    assert CursorFile(path, flag="redis_state").load() == after


def test_where_no_file_can_be_is_told_at_the_start(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "file" / "bridge.json", Path("/proc/bridge.json")):
        (tmp_path / "file").touch()
        with pytest.raises(StartError, match=rf"--redis_state.*{tmp_path}|{path}"):
            CursorFile(str(path), flag="redis_state").load()
