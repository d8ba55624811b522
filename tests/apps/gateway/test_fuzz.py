from __future__ import annotations

from tests.apps.gateway.fuzz import run


def test_two_thousand_broken_requests_are_read_alike_in_any_pieces_and_answered() -> None:
    outcomes = run(2000, seed=20261121)
    assert outcomes["events"] > 100
    assert outcomes["answered 200"] > 0
    assert outcomes["answered 400"] > 0
