"""The command line of a fuzzer: so many inputs from a seed, and what came of them."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable


def main(run: Callable[[int, int], Counter[str]], description: str) -> int:
    """`run(inputs, seed)` throws them and raises AssertionError, naming the input, at the first that is ill taken."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begin_s = time.monotonic()
    outcomes = run(options.inputs, options.seed)
    took_s = time.monotonic() - begin_s
    print(f"{options.inputs} inputs, seed {options.seed}, {took_s:.1f} s: no exception; {dict(outcomes)}")
    return 0
