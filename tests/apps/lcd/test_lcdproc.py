"""The driver for LCDd against servers that behave, hang, refuse, come late, and are no LCDd at all."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from kegapps.daemon.loop import READ, Loop
from kegapps.lcd.lcdproc import (
    ANSWER_S,
    FLOOD_BYTES,
    FLOOD_S,
    RETRY_FLOOD_S,
    RETRY_MAX_S,
    LcdprocDisplay,
)
from tests.apps.kegnet.support import Clock, turn_until

POUR = ["Left", "user: alice", "15.37 oz", "Pale Ale"]
_WRITE = re.compile(rb'widget_set kegmaster row(\d+) 1 (\d+) "(.*)"', re.S)


class FakeLcdd:
    """Answers each line as LCDd 0.5.9 does, and knows what would be on its display."""

    def __init__(self, loop: Loop, port: int = 0, *, columns: int = 20, rows: int = 4) -> None:
        self.loop = loop
        self.columns, self.rows = columns, rows
        self.mute = False
        self.refuse = b""  # lines with this in them
        self.greeting = b""
        self.lines: list[bytes] = []
        self.text: dict[int, str] = {}
        self.light = ""
        self.connections = 0
        self._waiting = b""
        self._listener = socket.create_server(("127.0.0.1", port))
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._listener.setblocking(False)
        self._socks: list[socket.socket] = []
        loop.watch(self._listener, READ, self._accept)

    def _accept(self, _ready: int) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        self.text = {}
        self._socks.append(sock)
        self._waiting = b""
        sock.send(self.greeting)
        self.loop.watch(sock, READ, lambda _ready: self._read(sock))

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.loop.unwatch(sock)
            sock.close()
            self._socks.remove(sock)
            return
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        for line in lines:
            self.lines.append(line)
            if not self.mute:
                sock.send(self._answer(line))

    def _answer(self, line: bytes) -> bytes:
        if line == b"hello":
            return b"connect LCDproc 0.5.9 protocol 0.3 lcd wid %d hgt %d cellwid 5 cellhgt 8\n" % (
                self.columns, self.rows,
            )  # fmt: skip
        if self.refuse and self.refuse in line:
            return b"huh? Unknown widget id\n"
        if found := _WRITE.fullmatch(line):
            self.text[int(found[2])] = re.sub(rb"\\(.)", rb"\1", found[3]).decode("iso-8859-1")
        if b"-backlight" in line:
            self.light = line.split()[-1].decode()
        return b"success\nlisten kegmaster\n" if b"screen_add" in line else b"success\n"

    def close(self) -> None:
        for sock in (self._listener, *self._socks):
            self.loop.unwatch(sock)
            sock.close()
        self._socks.clear()


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.lcdd = FakeLcdd(self.loop)
        self.statuses: list[str] = []
        self.display = LcdprocDisplay(self.loop, address=self.lcdd.address, on_status=self._note)

    def _note(self) -> None:
        if self.statuses[-1:] != [self.display.status]:  # it is also called for another size
            self.statuses.append(self.display.status)

    def until(self, condition: Callable[[], object]) -> None:
        turn_until(self.loop, condition)

    def until_shown(self, rows: list[str]) -> None:
        """And all of it is acknowledged."""
        self.until(lambda: [text.rstrip() for _, text in sorted(self.lcdd.text.items())] == rows)
        self.until(lambda: not self.display._awaited)

    def restart(self, **size: int) -> None:
        """Another LCDd at the same place."""
        self.lcdd.close()
        self.until(lambda: not self.display.ready)
        self.lcdd = FakeLcdd(self.loop, self.lcdd.address[1], **size)
        self.clock.ahead_s += RETRY_MAX_S

    def where(self) -> str:
        return f"LCDd at localhost:{self.lcdd.address[1]}"


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.display.close()
    bench.lcdd.close()
    bench.loop.close()


def test_what_is_to_be_shown_is_shown_and_lit(bench: Bench) -> None:
    assert bench.display.status == f"waiting for {bench.where()}"
    bench.display.show(POUR)
    bench.until_shown(POUR)
    assert bench.statuses == [bench.where()]
    assert bench.lcdd.light == "on"
    bench.display.backlight(False)
    bench.until(lambda: bench.lcdd.light == "off")


def test_only_rows_that_changed_are_said(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_shown(POUR)
    said = len(bench.lcdd.lines)
    bench.display.show([*POUR[:2], "15.38 oz", POUR[3]])
    bench.until_shown([*POUR[:2], "15.38 oz", POUR[3]])
    assert len(bench.lcdd.lines) == said + 1


@pytest.mark.parametrize("text", ['the "big" one', "back\\slash", "{a} 'b' $c; `d`", "Größe 4°C", 'x"\\"y'])
def test_any_text_arrives_as_it_is(bench: Bench, text: str) -> None:
    bench.display.show([text])
    bench.until_shown([text, "", "", ""])


def test_a_restarted_lcdd_is_drawn_again_also_with_another_size(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.display.backlight(False)
    bench.until_shown(POUR)
    bench.restart(columns=16, rows=2)
    bench.until_shown(POUR[:2])
    assert (bench.display.columns, bench.display.rows) == (16, 2)
    assert len(bench.lcdd.text[1]) == 16
    bench.until(lambda: bench.lcdd.light == "off")
    assert bench.statuses == [
        bench.where(),
        f"waiting for {bench.where()}: it closed the connection",
        bench.where(),
    ]


def test_a_stuck_lcdd_is_left_after_a_while_and_gets_the_newest_picture_when_it_goes_on(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_shown(POUR)
    bench.lcdd.mute = True
    start_s = time.monotonic()
    said = len(bench.lcdd.lines)
    for number in range(1000):
        bench.display.show([f"{number} oz"])
        bench.loop.run_once(0.0)
    assert time.monotonic() - start_s < 2.0
    assert len(bench.lcdd.lines) - said <= 4
    bench.clock.ahead_s += ANSWER_S
    bench.until(lambda: bench.statuses[-1] == f"waiting for {bench.where()}: no answer for 5 s")
    bench.lcdd.mute = False
    bench.clock.ahead_s += RETRY_MAX_S
    bench.until_shown(["999 oz", "", "", ""])


def test_a_command_that_is_refused_is_no_endless_loop(bench: Bench) -> None:
    bench.lcdd.refuse = b"widget_add"
    bench.display.show(POUR)
    bench.until(
        lambda: (
            bench.statuses[-1:] == [f"waiting for {bench.where()}: it refused a command: Unknown widget id"]
        )
    )
    for _ in range(20):
        bench.loop.run_once(0.01)
    assert bench.lcdd.connections == 1
    bench.lcdd.refuse = b""
    bench.clock.ahead_s += RETRY_MAX_S
    bench.until_shown(POUR)


def test_what_takes_the_screen_but_no_text_is_tried_less_and_less_often_and_told_of_once(
    bench: Bench,
) -> None:
    bench.lcdd.refuse = b"widget_set"
    bench.display.show(POUR)
    delays_s = []
    for number in range(1, 7):
        start_s = bench.clock()
        while bench.lcdd.connections < number or bench.display._sock is not None:
            bench.clock.ahead_s += 0.05
            bench.loop.run_once(0.01)
        delays_s.append(bench.clock() - start_s)
    assert delays_s[-1] > RETRY_MAX_S * 0.8
    assert bench.statuses == [f"waiting for {bench.where()}: it refused a command: Unknown widget id"]
    bench.lcdd.refuse = b""
    bench.clock.ahead_s += RETRY_MAX_S
    bench.until_shown(POUR)
    assert bench.display._failures == 0
    assert bench.statuses[1:] == [bench.where()]


@pytest.mark.parametrize("line", [b"success\n", b"listen kegmaster\n", b"key Enter\n", b"\n"])
def test_what_never_stops_talking_is_left_alone_for_a_while(bench: Bench, line: bytes) -> None:
    bench.display.show(POUR)
    bench.until_shown(POUR)
    (sock,) = bench.lcdd._socks
    sock.setblocking(True)
    while bench.display.ready:
        with contextlib.suppress(OSError):
            sock.sendall(line * (4000 // len(line)))
        bench.loop.run_once(0.0)
    bench.until(
        lambda: bench.statuses[-1] == f"waiting for {bench.where()}: it says more than LCDd ever does"
    )
    bench.clock.ahead_s += RETRY_MAX_S
    bench.loop.run_once(0.05)
    assert bench.lcdd.connections == 1
    bench.clock.ahead_s += RETRY_FLOOD_S
    bench.until_shown(POUR)


def test_what_lcdd_says_unasked_now_and_then_does_no_harm_however_long_it_runs(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_shown(POUR)
    (sock,) = bench.lcdd._socks
    ours = bench.display._sock
    assert ours is not None
    for _ in range(4):
        sock.sendall(b"ignore kegmaster\nlisten kegmaster\n" * (FLOOD_BYTES // 80))
        bench.until(lambda: not select.select([ours], [], [], 0.05)[0])
        bench.clock.ahead_s += FLOOD_S + 1.0
    assert bench.statuses == [bench.where()]


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"220 mail.example ESMTP\r\n" + b"x" * 5000, "it says things that LCDd does not say"),
        (b"connect LCDproc protocol 9\n", "it does not say how large its display is (wid)"),
    ],
)
def test_what_is_no_lcdd_is_said_to_be_none(bench: Bench, greeting: bytes, reason: str) -> None:
    bench.lcdd.greeting = greeting
    bench.lcdd.mute = True
    bench.until(lambda: bench.statuses == [f"waiting for {bench.where()}: {reason}"])


def test_an_lcdd_that_comes_late_is_waited_for(bench: Bench) -> None:
    address = bench.lcdd.address
    bench.lcdd.close()
    bench.display.show(POUR)
    bench.until(lambda: bench.display.status.endswith("Connection refused"))
    for _ in range(5):
        bench.clock.ahead_s += RETRY_MAX_S
        bench.loop.run_once(0.05)
    assert bench.statuses == [f"waiting for {bench.where()}: Connection refused"]
    bench.lcdd = FakeLcdd(bench.loop, address[1])
    while not bench.lcdd.connections:
        bench.clock.ahead_s += 1.0
        bench.loop.run_once(0.05)
    bench.until_shown(POUR)


def test_with_nothing_new_nothing_is_said_and_nothing_wakes_up(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_shown(POUR)
    said = len(bench.lcdd.lines)
    bench.until(lambda: bench.loop._wait_s() is None)
    bench.display.show(POUR)
    bench.loop.run_once(0.05)
    assert len(bench.lcdd.lines) == said
