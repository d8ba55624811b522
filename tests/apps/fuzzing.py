"""What the fuzzers have in common: their command line, the loop over inputs from a seed, and ways to break a text."""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def main(run: Callable[[int, int], Mapping[str, int]], description: str | None) -> int:
    """`run(inputs, seed)` throws them, and raises at the first that is ill taken."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    begin_s = time.monotonic()
    outcomes = run(options.inputs, options.seed)
    took_s = time.monotonic() - begin_s
    print(f"{options.inputs} inputs, {took_s:.1f} s: no exception; {dict(outcomes)}")
    return 0


def each(
    inputs: int,
    seed: int,
    make_input: Callable[[random.Random], T],
    take: Callable[[T, random.Random, int], Mapping[str, int]],
) -> Counter[str]:
    """The sums of what `take(input, rng, number)` counts of each input. What it raises names the seed and the input."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    for number in range(inputs):
        made = make_input(rng)
        try:
            counts.update(take(made, rng, number))
        except Exception as error:
            error.add_note(f"seed {seed}, input {number}: {made!r}")
            raise
    return counts


def change(rng: random.Random, text: bytearray, pieces: Sequence[bytes]) -> None:
    """Put one of `pieces` in, cut some bytes out, change a byte, repeat a part, or put a piece in the place of some."""
    at = rng.randrange(len(text) + 1)
    kind = rng.randrange(5)
    if kind == 0:
        text[at:at] = rng.choice(pieces)
    elif kind == 1:
        del text[at : at + rng.randrange(1, 12)]
    elif kind == 2:
        text[at : at + 1] = bytes([rng.randrange(256)])
    elif kind == 3:
        begin = rng.randrange(len(text) + 1)
        text[at:at] = text[begin : begin + rng.randrange(1, 60)]
    else:
        text[at : at + rng.randrange(1, 12)] = rng.choice(pieces)
