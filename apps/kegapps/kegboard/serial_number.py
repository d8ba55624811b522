"""Gives a board its serial number: once, for a board keeps its first for ever.

Knows the port, the loop and the two messages. Must not know flags.
Source: protocol page, section 6: firmware 15 or later stores a number of at most 29 bytes if it has none, and answers
with a hello; a board that has one says nothing.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from kegapps.daemon.loop import Loop
from kegapps.daemon.port import Port, PortError
from kegapps.kbsp.codec import BAUD, Decoder, encode
from kegapps.kbsp.messages import Hello, Ping, SetSerialNumber

NEW: Final = "new"
MAX_CHARS: Final = 29
ASK_AGAIN_S: Final = 3.0  # a board that reboots because it was opened says hello after 2 s
PATIENCE_S: Final = 12.0
_FORM: Final = re.compile(r"[A-Za-z0-9_.:-]+")


class CannotGiveError(Exception):
    """The board has no such number now; the text is one line for a person."""


def parse_serial_number(text: str) -> str:
    """The number that `text` asks for; `new` is one that no other board has. Raises ValueError, for a person."""
    if text == NEW:
        return f"KB-0000-0000-{secrets.randbits(32):08x}"
    if len(text) > MAX_CHARS or not _FORM.fullmatch(text):
        raise ValueError(
            f"{text!r}: expected at most {MAX_CHARS} letters, digits and signs such as KB-0000-0000-deadbeef, or new"
        )
    return text


class Giving:
    """One board that is being given `number`. When `loop` has been stopped, `result()` tells how it went."""

    def __init__(self, loop: Loop, device: str, number: str) -> None:
        """Raises PortError."""
        self._loop = loop
        self._device = device
        self._number = number
        self._decoder = Decoder()
        self._outcome = ""
        self._problem = f"{device}: interrupted"
        self._given = False
        self._port = Port(loop, device, baud=BAUD, on_bytes=self._read, on_lost=self._lost)
        self._ask()
        loop.call_later(PATIENCE_S, lambda: self._fail("nothing on it says hello; is it a Kegboard?"))

    def result(self) -> str:
        """What was done, for a person. Raises CannotGiveError."""
        self._port.close()
        if not self._outcome:
            raise CannotGiveError(self._problem)
        return self._outcome

    def _ask(self) -> None:
        self._port.write(encode(Ping()))
        self._loop.call_later(ASK_AGAIN_S, self._ask)

    def _read(self, data: bytes) -> None:
        for message in self._decoder.feed(data):
            if isinstance(message, Hello):
                self._hear(message)

    def _hear(self, hello: Hello) -> None:
        has = hello.serial_number
        if has == self._number:
            self._outcome = f"{self._device} {'is' if self._given else 'was already'} {has}"
            self._loop.stop()
        elif has is None:
            self._fail(f"firmware {hello.firmware_version} keeps no serial number, 15 or later does")
        elif has:
            self._fail(f"the board is {has}, and keeps that number for ever")
        else:
            self._given = True
            self._port.write(encode(SetSerialNumber(serial_number=self._number)))

    def _lost(self, reason: str) -> None:
        self._fail(reason)

    def _fail(self, problem: str) -> None:
        if not self._outcome:
            self._problem = f"{self._device}: {problem}"
            self._loop.stop()


def give(loop: Loop, device: str, number: str) -> str:
    """Run the loop until the board on `device` has the number; what was done. Raises CannotGiveError."""
    try:
        giving = Giving(loop, device, number)
    except PortError as error:
        raise CannotGiveError(f"{device}: {error}") from None
    loop.run()
    return giving.result()
