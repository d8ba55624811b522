from __future__ import annotations

from tests.apps.kbsp.fuzz import run


def test_a_sample_of_broken_input_raises_nothing_and_loses_no_byte() -> None:
    counts = run(inputs=5000, seed=1)
    assert counts["messages"] > 1000
    assert min(counts[name] for name in ("crc_errors", "bad_lengths", "bad_trailers", "malformed")) > 0
