from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz import FUZZERS, Chunk, chunks, throw

ROOT = Path(__file__).resolve().parent.parent


def test_a_hundred_thousand_broken_inputs_do_no_harm_to_any_reader() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--inputs=100000", "--seed=1", "--processes=2"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    assert "100,000 inputs in" in done.stdout
    for target in FUZZERS:
        assert re.search(rf"\b{target}: +{100 // len(FUZZERS)},\d\d\d inputs", done.stdout), target


def test_the_inputs_are_shared_out_in_chunks_with_seeds_of_their_own() -> None:
    work = list(chunks(["a", "b", "c"], 50_000, seed=3))
    assert sum(chunk.inputs for chunk in work) == 50_000
    assert len({(chunk.target, chunk.seed) for chunk in work}) == len(work) == 6
    assert {chunk.seed for chunk in work} == {3_000_000, 3_000_001}


def test_what_goes_wrong_is_told_with_its_input_and_its_seed() -> None:
    result = throw(Chunk(target="kegnet", seed=7, inputs="many"))  # type: ignore[arg-type] # on purpose
    assert "TypeError" in result.trouble
    assert result.chunk.command == "python -m tests.apps.kegnet.fuzz --seed=7 --inputs=many"
