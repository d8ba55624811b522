"""One request to a Kegbot Server, what came back, and the drink as the server is told of it.

Knows values only. Must not know sockets, the store, or what an answer means.

How the modules of this folder are used together, by whoever has the outbox:

1. `url.parse_api_url` reads `--api_url`; `courier.Courier(loop, url, api_key)` is the one thread that talks.
2. `probe.Probe` finds out which API the URL speaks and whether the key is right; begin with it, repeat it after
   a STOP, and stay paused until it says that all is well.
3. `form_api.post_drink(pour, now_unix_s=...)` builds the Call of one drink, anew at each attempt;
   `courier.perform(call, on_answer)` gives back its Answer later, in the loop.
4. `verdicts.judge(answer, Asked.DRINK, ...)` says what becomes of the drink, `verdicts.delay_s` when to try again.
   On DONE, `form_api.read_drink(answer.body)` has the server's id of it: remember the newest one.
5. If the verdict says `may_be_stored`, or the program ended between 3 and 4, then before the drink is posted
   again: `look.look_calls()` are asked in turn, `look.find_drink` says FOUND (it is done), ABSENT (post again) or
   UNKNOWN (ask the next).
6. A server with `kegboard-event` gets the pours that `route.route` allows through `event_api`; those may be
   repeated without looking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

DEFAULT_TIMEOUT_S: Final = 20.0  # old clients took 10 s, which a Pi with a full database does not always keep
MAX_ANSWER_BYTES: Final = 1 << 20  # the largest honest one, `status` of a bar with 30 taps, is about 100 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request."""

    method: str
    path: str
    """Below the API's URL (`taps/kegboard.flow0`), beside it (`../drinks`) or, with a slash in front, from the
    server's root. Quoted."""
    form: tuple[tuple[str, str], ...] = ()
    """Parameters: in the query of a GET, in the body of a POST."""
    json: Mapping[str, Any] | None = None
    """The body of a POST instead of a form."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Beside those every request has. Not shown: may hold a secret."""
    with_key: bool = True
    """Send the API key along."""
    key_as_password: bool = False
    """Send it as today's own API wants it: HTTP Basic, user `api`."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """From the first attempt to connect to the last byte of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a Call."""

    status: int | None = None
    """The HTTP status; None if none came."""
    body: bytes = b""
    """At most MAX_ANSWER_BYTES; if `error` is set, as much as came."""
    error: str = ""
    """Why there is no whole answer, for people, one line; empty if there is."""
    sent: bool = False
    """The request, or a part of it, may have reached the server."""
    location: str = ""
    """Where a redirect wanted to go (never followed)."""
    date_unix_s: float | None = None
    """The server's clock when it answered, from the header `Date`: whole seconds."""
    retry_after_s: float | None = None
    """How long the server wants to be left alone, from the header `Retry-After` in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pour:
    """A drink as the server is told of it."""

    uuid: str
    meter_name: str
    """`<board>.<port>`, such as `kegboard.flow0`."""
    ticks: int
    volume_ml: float
    """By the calibration in force at the pour."""
    ml_per_tick: float
    """That calibration."""
    username: str | None
    """None: a guest."""
    start_unix_s: float
    end_unix_s: float
    """Time of the last ticks, by the core's clock."""
