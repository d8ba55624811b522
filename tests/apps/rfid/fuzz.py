"""Broken input for everything that reads what a tag's reader sends: `python -m tests.apps.rfid.fuzz --inputs=1000000`.

Prints counts; exit status 1 at the first input that raises, gives anything but tokens, grows a buffer, or gives other
tokens when cut differently. It prints the seed and that input.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from kegapps.rfid.key_events import EVENT, MAX_CHARS
from kegapps.rfid.presence import Presence
from kegapps.rfid.tag_frames import TagDecoder
from kegapps.rfid.wedge import WedgeDecoder
from kegapps.rfid.wedge_formats import FORMATS
from kegapps.rfid.word_lines import MAX_LINE_BYTES, Word, WordDecoder
from tests.apps import fuzzing
from tests.apps.rfid.readers import ALICES, BOBS, id12, rdm6300, typed

TOKEN: Final = re.compile(r"[0-9a-f]{1,64}")
SEEDS: Final = (
    id12(ALICES), rdm6300(BOBS), typed(ALICES), typed("0363566787"), typed("171,38595"), ALICES.encode() + b"\n",
    b"added " + BOBS.encode() + b"\n", b"removed " + BOBS.encode() + b"\n",
)  # fmt: skip


class ViolationError(AssertionError):
    """A decoder did something that its description excludes."""


class Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[Any]: ...


DECODERS: Final[tuple[Callable[[], Decoder], ...]] = (
    TagDecoder,
    WordDecoder,
    *(lambda form=form: WedgeDecoder(form) for form in FORMATS),
)


def make_input(rng: random.Random) -> bytes:
    """Mostly something good gone wrong in a few ways, now and then plain noise or an endless repetition."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(1, 20)) * rng.choice((1, 1, 500))
    data = rng.choice(SEEDS)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(data) + 1)
        data = rng.choice((
            data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at + rng.randrange(3) :],
            data[:at] + rng.choice((b"\x02", b"\x03", b"\n", b"\0", b"0", b"\r\n")) + data[at:],
            data[at:] + data,
            data + rng.choice(SEEDS),
        ))  # fmt: skip
    return data


def held_bytes(decoder: Decoder) -> int:
    """How much a decoder, and what is in it, keeps of what it was fed."""
    parts = [decoder, *(part for part in vars(decoder).values() if hasattr(part, "feed"))]
    kept = [value for part in parts for value in vars(part).values()]
    return sum(len(value) for value in kept if isinstance(value, bytes | bytearray | str))


def check(rng: random.Random, data: bytes, presence: Presence, now_s: float) -> int:
    """How many tokens `data` gives, whole and cut in two alike. Raises ViolationError."""
    tokens = 0
    for new in DECODERS:
        whole, pieces = new(), new()
        given = list(whole.feed(data))
        cut = rng.randrange(len(data) + 1)
        if [*pieces.feed(data[:cut]), *pieces.feed(data[cut:])] != given:
            raise ViolationError(f"cut at {cut} it gives others")
        if held_bytes(whole) > MAX_LINE_BYTES + MAX_CHARS + 2 * EVENT.size + 64:
            raise ViolationError(f"{held_bytes(whole)} bytes are held back")
        for said in given:
            token = said.token if isinstance(said, Word) else said
            if isinstance(token, str):
                tokens += 1
                if not TOKEN.fullmatch(token):
                    raise ViolationError(f"{token!r} is no token")
                come_and_go(presence, token, now_s)
    return tokens


def come_and_go(presence: Presence, token: str, now_s: float) -> None:
    """Whatever is seen, tokens come and go in turns."""
    lay_there = presence.token
    for change in presence.seen(token, now_s):
        if (change.status == "added") == (lay_there is not None):
            raise ViolationError(f"{change} while {lay_there} lay there")
        lay_there = change.token if change.status == "added" else None
    if presence.token is None:
        raise ViolationError(f"{token} was seen, and nothing is there")


def run(inputs: int, seed: int) -> Counter[str]:
    """Counts of `inputs` inputs. Raises ViolationError, or whatever the code under test let out."""
    presence = Presence(1.0)

    def take(data: bytes, rng: random.Random, number: int) -> dict[str, int]:
        return {"bytes": len(data), "tokens": check(rng, data, presence, now_s=number / 10)}

    return fuzzing.each(inputs, seed, make_input, take)


if __name__ == "__main__":
    sys.exit(fuzzing.main(run, __doc__))
