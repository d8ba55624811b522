"""Numbers that order a start, made into `_after`: who comes before whom. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .draft import Draft


def chain(apps: Sequence[tuple[int, Draft]]) -> bool:
    """Have each app wait for those of the next lower number; true if there was more than one number."""
    levels: dict[int, list[Draft]] = {}
    for number, draft in apps:
        levels.setdefault(number, []).append(draft)
    for before, number in pairwise(sorted(levels)):
        earlier = [draft.name for draft in levels[before]]
        for draft in levels[number]:
            draft.after += earlier
    return len(levels) > 1
