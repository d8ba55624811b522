"""Numbers that order a start, made into `_after`: who comes before whom. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .draft import Draft


def chain(apps: Sequence[tuple[int, Draft]]) -> bool:
    """Have each app wait for those of the next lower number; true if there was more than one number."""
    levels = sorted({number for number, _ in apps})
    for before, number in itertools.pairwise(levels):
        earlier = [draft.name for level, draft in apps if level == before]
        for level, draft in apps:
            if level == number:
                draft.after += earlier
    return len(levels) > 1
