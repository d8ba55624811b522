"""What is on tap, from a Kegbot Server itself: for a core of 2012, which tells its apps nothing of it.

Knows the server's list of taps and when to ask for it. Must not know sockets (a thread of `kegapps.server` has them) or
screens. A server that is away, or says nonsense, changes nothing of what is known but its status.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from kegapps.daemon.loop import Loop, Timer
from kegapps.kegnet.taproom import TapFacts
from kegapps.server.answers import AnswerError
from kegapps.server.calls import Answer
from kegapps.server.courier import Courier
from kegapps.server.form_api import ServerTap, get_taps, read_taps
from kegapps.server.url import ApiUrl

STALE_S: Final = 600.0
"""A temperature that is older tells of another evening. A Pi's clock may be ahead of the server's by as much."""


class ServerTaps:
    """Asks the server at `url` at once, and again `every_s` after each answer.

    `on_taps` is given all its taps that have a meter, `on_status` called whenever `status` changes.
    """

    def __init__(
        self,
        loop: Loop,
        url: ApiUrl,
        api_key: str | None,
        *,
        every_s: float,
        on_taps: Callable[[tuple[TapFacts, ...]], None],
        on_status: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._every_s = every_s
        self._on_taps = on_taps
        self._on_status = on_status
        self._courier = Courier(loop, url, api_key)
        self._problem = "not asked yet"
        self._timer: Timer | None = None
        self.ask()

    @property
    def status(self) -> str:
        """How it is, for a person."""
        where = f"the Kegbot Server at {self._courier.url}"
        return f"{where}: {self._problem}" if self._problem else f"reading {where}"

    def ask(self) -> None:
        """Ask now, unless an answer is awaited."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._courier.waiting:
            self._courier.perform(get_taps(), self._answered)

    def close(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._courier.close()

    def _answered(self, answer: Answer) -> None:
        before, self._problem = self._problem, self._take(answer)
        self._timer = self._loop.call_later(self._every_s, self.ask)
        if self._problem != before:
            self._on_status()

    def _take(self, answer: Answer) -> str:
        """Pass on the taps in `answer`; what is wrong with it, if anything is."""
        if answer.error:
            return answer.error
        if answer.status in (401, 403):
            return f"it wants a right key (HTTP {answer.status}): --api_key_file"
        if answer.status != 200:
            return f"no list of taps there (HTTP {answer.status}); is --api_url right?"
        try:
            taps = read_taps(answer.body)
        except AnswerError as error:
            return f"{error}; is --api_url right?"
        now_unix_s = time.time()
        self._on_taps(tuple(_facts(tap, now_unix_s) for tap in taps if tap.has_meter))
        return ""


def _facts(tap: ServerTap, now_unix_s: float) -> TapFacts:
    on = tap.on
    fresh = on.temperature_unix_s is not None and abs(now_unix_s - on.temperature_unix_s) <= STALE_S
    return TapFacts(
        name=tap.meter_name,
        description=tap.name,
        beverage=on.beverage,
        keg_volume_ml=on.keg_volume_ml,
        keg_left_ml=on.keg_left_ml,
        sensor_name=on.sensor_name,
        temperature_c=on.temperature_c if fresh else None,
        temperature_unix_s=on.temperature_unix_s if fresh else None,
    )
