from __future__ import annotations

from tests.apps.rfid.fuzz import run


def test_a_sample_of_broken_input_raises_nothing_and_gives_tokens_only() -> None:
    assert run(inputs=1000, seed=1)["tokens"] > 300
