"""Broken input for the reader of a CFA-635's answers: `python -m tests.apps.lcd.fuzz --inputs=1000000`.

Prints counts; exit status 1 at the first input that raises, grows the buffer, loses count of a byte, or gives other
messages when cut differently. It prints the seed and that input.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from typing import Final

from kegapps.lcd.cfa635 import MAX_PACKET_BYTES, MIN_PACKET_BYTES, Answer, Decoder
from tests.apps import fuzzing
from tests.apps.lcd.emulators import cfa_packet

SEEDS: Final = (
    cfa_packet(0x46), cfa_packet(0x5F), cfa_packet(0xDF), cfa_packet(0x80, b"\x05"),
    cfa_packet(0x41, b"CFA635:h1.0,v1.5"), cfa_packet(0x40, bytes(22)), cfa_packet(0x06),
)  # fmt: skip


class ViolationError(AssertionError):
    """The decoder did something that its description excludes."""


def make_input(rng: random.Random) -> bytes:
    """A few packets with something wrong in between, or within."""
    data = bytearray()
    for _ in range(rng.randrange(1, 5)):
        piece = bytearray(rng.choice(SEEDS))
        wrong = rng.randrange(5)
        if wrong == 0:
            piece[rng.randrange(len(piece))] ^= 1 << rng.randrange(8)
        elif wrong == 1:
            del piece[rng.randrange(len(piece)) :]
        elif wrong == 2:
            piece = bytearray(rng.randbytes(rng.randrange(30)))
        data += piece
    return bytes(data)


def check(rng: random.Random, data: bytes) -> int:
    """How many messages `data` gives, whole and cut in two alike. Raises ViolationError."""
    whole, pieces = Decoder(), Decoder()
    messages = list(whole.feed(data))
    cut = rng.randrange(len(data) + 1)
    if [*pieces.feed(data[:cut]), *pieces.feed(data[cut:])] != messages or vars(pieces) != vars(whole):
        raise ViolationError(f"cut at {cut} it gives other messages")
    if whole.pending_bytes >= MAX_PACKET_BYTES:
        raise ViolationError(f"{whole.pending_bytes} bytes are held back")
    in_packets = sum(MIN_PACKET_BYTES + len(message.data) for message in messages)
    rest = len(data) - whole.garbage_bytes - whole.pending_bytes - in_packets
    if not MIN_PACKET_BYTES * whole.echoes <= rest <= MAX_PACKET_BYTES * whole.echoes:
        raise ViolationError(f"{rest} bytes are unaccounted for")
    # Whatever came before: when the line has gone quiet, the last answer is understood. (Noise that has a right
    # checksum by chance may have taken others for its own, at most 22 bytes of them.)
    messages += [*whole.feed(SEEDS[0] * 8), *whole.settle()]
    if not messages or messages[-1] != Answer(command=6):
        raise ViolationError("an answer behind it is not understood")
    return len(messages)


def run(inputs: int, seed: int) -> Counter[str]:
    """Counts of `inputs` inputs. Raises ViolationError, or whatever the code under test let out."""

    def take(data: bytes, rng: random.Random, _number: int) -> dict[str, int]:
        return {"bytes": len(data), "messages": check(rng, data)}

    return fuzzing.each(inputs, seed, make_input, take)


if __name__ == "__main__":
    sys.exit(fuzzing.main(run, __doc__))
