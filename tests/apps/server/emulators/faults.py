"""What may go wrong between a request and its answer, drawn at random or told one by one, and counted by the memory."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from enum import Enum


class Fault(Enum):
    # Nothing is recorded:
    REFUSE_400 = "400"
    REFUSE_401 = "401"
    REFUSE_404 = "404"
    FAIL_500 = "500"
    PROXY_502 = "502"
    PROXY_503 = "503"
    WEB_PAGE = "web page with 200"
    EMPTY = "empty 200"
    NO_CONTENT = "204"
    REDIRECT = "302"
    HANG = "hang"
    CLOSE_UNREAD = "closed before the request was read"
    # Handled, but the client does not learn it:
    CUT = "closed in the middle of the answer"
    LOST = "answer lost"
    LOST_500 = "handled, then 500"
    LATE = "handled after the client gave up"
    LOST_504 = "handled, then 504 of a proxy"


# Those of the issue; the others are for tests of their own.
USUAL = (
    Fault.REFUSE_400, Fault.REFUSE_401, Fault.REFUSE_404, Fault.FAIL_500, Fault.PROXY_502, Fault.WEB_PAGE,
    Fault.HANG, Fault.CLOSE_UNREAD, Fault.CUT, Fault.LOST,
)  # fmt: skip


class Faults:
    """Which fault befalls the next request: those of `script` first, then with probability `rate` one of `kinds`.

    `seed` None: none at random. `only_posts`: reading is never disturbed.
    """

    def __init__(
        self,
        script: Iterable[Fault | None] = (),
        *,
        seed: int | None = None,
        rate: float = 0.5,
        kinds: tuple[Fault, ...] = USUAL,
        only_posts: bool = False,
    ) -> None:
        self.script = deque(script)
        self.rate = rate if seed is not None else 0.0
        self.only_posts = only_posts
        self._kinds = kinds
        self._random = random.Random(seed)

    def next(self, method: str) -> Fault | None:
        if self.only_posts and method != "POST":
            return None
        if self.script:
            return self.script.popleft()
        return self._random.choice(self._kinds) if self._random.random() < self.rate else None
