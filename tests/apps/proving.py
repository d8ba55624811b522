"""The command line of a proof that goes on by chance: so many rounds, or seconds, from a seed, in a folder of its own."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

N = TypeVar("N", int, float)


def main(
    run: Callable[[N, int, Path], Mapping[str, int]],
    description: str | None,
    *,
    proved: str,
    wanted: N,
    unit: str = "rounds",
) -> None:
    """Print what `run(wanted, seed, folder)` counts; it raises AssertionError when that does not prove `proved`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{unit}", dest="wanted", type=type(wanted), default=wanted)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        counts = run(options.wanted, options.seed, Path(folder))
    print(", ".join(f"{name} {number}" for name, number in counts.items()), "-", proved)
