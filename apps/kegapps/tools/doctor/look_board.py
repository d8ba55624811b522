"""Asks a board itself whether it is there: opens its line for a few seconds, pings, and waits for its hello.

Knows the port and the codec. Opening resets many boards: only for a line that nobody else has.
"""

from __future__ import annotations

from typing import Final

from kegapps.daemon.loop import Loop
from kegapps.daemon.port import Port, PortError
from kegapps.kbsp.codec import BAUD, Decoder, encode
from kegapps.kbsp.messages import Hello, Ping
from kegapps.tools.doctor.facts import ProbeFacts

PATIENCE_S: Final = 5.0  # a board that opening resets is back after 2.5 s and says hello by itself
PING_S: Final = (0.0, 3.0)  # a bootloader swallows the first


def probe(path: str, patience_s: float = PATIENCE_S) -> ProbeFacts:
    """What the board at `path` says within `patience_s`."""
    loop, decoder = Loop(), Decoder()
    hellos: list[Hello] = []
    heard = [0]
    lost: list[str] = []

    def read(data: bytes) -> None:
        heard[0] += len(data)
        hellos.extend(message for message in decoder.feed(data) if isinstance(message, Hello))

    try:
        port = Port(loop, path, baud=BAUD, on_bytes=read, on_lost=lost.append)
    except PortError as error:
        return ProbeFacts(problem=str(error))
    for delay_s in PING_S:
        loop.call_later(delay_s, lambda: port.write(encode(Ping())))
    end_s = loop.now_s() + patience_s
    while not hellos and not lost and (left_s := end_s - loop.now_s()) > 0:
        loop.run_once(min(left_s, 0.1))
    port.close()
    if not hellos:
        return ProbeFacts(problem=lost[0] if lost else "", bytes_heard=heard[0], waited_s=patience_s)
    hello = hellos[0]
    return ProbeFacts(
        firmware_version=hello.firmware_version,
        serial_number=hello.serial_number,
        uptime_s=hello.uptime_s,
        bytes_heard=heard[0],
    )
