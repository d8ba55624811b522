from __future__ import annotations

from tests.apps.server.fuzz import run


def test_a_sample_of_broken_answers_raises_nothing_and_is_judged() -> None:
    outcomes = run(inputs=3000, seed=1)
    for kind in ("done", "retry", "look", "hold", "stop", "dead", "well", "away", "wrong_url"):
        assert outcomes[kind] > 0, kind
    assert outcomes["through a socket"] == 6
