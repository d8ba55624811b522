"""Broken input for everything that reads serial bytes: `python -m tests.apps.kbsp.fuzz --inputs=1000000`.

Prints counts; exit status 1 at the first input that raises, grows a buffer, loses count of a byte, or gives
other messages when cut differently. It prints the seed and that input.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Final

from kegapps.kbsp import codec
from kegapps.kbsp.codec import HEADER_BYTES, MAX_FRAME_BYTES, PREFIX, Decoder
from kegapps.kbsp.messages import Message
from kegapps.kegboard.board import Board, BoardConfig
from tests.apps import fuzzing
from tests.apps.kbsp.vectors import FRAMES

SEEDS: Final = tuple(FRAMES.values())
IDS: Final = (0x01, 0x02, 0x10, 0x11, 0x12, 0x13, 0x14, 0x81, 0x84, 0x85, 0x86)


class ViolationError(AssertionError):
    """The codec did something that its description excludes."""


def flip(rng: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]


def cut_out(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randrange(1, 9) :]


def insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    piece = rng.choice((PREFIX, b"\r\n", b"K", b"\0", rng.randbytes(rng.randrange(1, 6))))
    return data[:at] + piece + data[at:]


def glue(rng: random.Random, data: bytes) -> bytes:
    return data + rng.choice(SEEDS)


def relength(rng: random.Random, data: bytes) -> bytes:
    return data[:10] + rng.choice((0, 1, 13, 112, 113, 256, 0x7FFF, 0xFFFF)).to_bytes(2, "little") + data[12:]


def sealed(rng: random.Random, data: bytes) -> bytes:
    """A payload out of order in a frame whose checksum is right, so that it gets past the frame's checks."""
    payload = flip(rng, data[HEADER_BYTES:-4][:112] or rng.randbytes(rng.randrange(113)))
    return codec.frame(rng.choice(IDS), payload)


MUTATIONS: Final[tuple[Callable[[random.Random, bytes], bytes], ...]] = (
    flip,
    cut_out,
    insert,
    glue,
    relength,
    sealed,
)


def make_input(rng: random.Random) -> bytes:
    """Mostly a good frame gone wrong in a few ways, now and then plain noise."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(200))
    data = rng.choice(SEEDS)
    for _ in range(rng.randrange(1, 4)):
        data = rng.choice(MUTATIONS)(rng, data)
    return data


def same(message: Message) -> None:
    """A decoded message encodes to itself, or is refused as too long for the wire. Raises ViolationError."""
    try:
        encoded = codec.encode(message)
    except ValueError:
        return
    if list(Decoder().feed(encoded)) != [message]:
        raise ViolationError(f"{message} came back as something else")


def check(rng: random.Random, data: bytes) -> int:
    """How many messages `data` gives, whole and cut in two alike. Raises ViolationError."""
    whole, pieces = Decoder(), Decoder()
    messages = list(whole.feed(data))
    cut = rng.randrange(len(data) + 1)
    if [*pieces.feed(data[:cut]), *pieces.feed(data[cut:])] != messages or vars(pieces) != vars(whole):
        raise ViolationError(f"cut at {cut} it gives other messages")
    if whole.pending_bytes >= MAX_FRAME_BYTES:
        raise ViolationError(f"{whole.pending_bytes} bytes are held back")
    dropped = whole.unknown_messages + whole.malformed
    if len(data) - whole.garbage_bytes - whole.pending_bytes < 16 * (len(messages) + dropped):
        raise ViolationError("more messages than bytes")
    list(whole.settle())
    for message in messages:
        same(message)
    return len(messages)


def run(inputs: int, seed: int) -> Counter[str]:
    """Counts of `inputs` inputs. Raises ViolationError, or whatever the code under test let out."""
    stream = Decoder()  # sees everything in one go: what one input leaves behind is the next one's beginning
    board, now_s = Board(BoardConfig()), 0.0
    board.reset(now_s)

    def take(data: bytes, rng: random.Random, number: int) -> dict[str, int]:
        nonlocal now_s
        counts = {"bytes": len(data), "messages": check(rng, data)}
        for message in stream.feed(data):
            same(message)
        if number % 16 == 0:
            now_s += 0.1
            board.receive(data, now_s)
            counts["board_bytes"] = len(board.run(now_s))
        return counts

    counts = fuzzing.each(inputs, seed, make_input, take)
    counts.update({name: value for name, value in vars(stream).items() if isinstance(value, int)})
    return counts


if __name__ == "__main__":
    sys.exit(fuzzing.main(run, __doc__))
