"""Joins the core, the tap room as it is known, the screens and a display.

Knows the loop and the order of things. Must not know bytes, devices or flags. What the core says is taken in at once
and drawn at most ten times a second; with nothing new and nobody's turn over, nothing wakes up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from kegapps.daemon.loop import Loop, Timer
from kegapps.daemon.service import Service
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import DrinkCreatedEvent, Event, StatusRequest
from kegapps.kegnet.taproom import TapFacts
from kegapps.lcd import screens
from kegapps.lcd.display import Display
from kegapps.lcd.room import Room
from kegapps.lcd.rotation import SPLASH_S, Backlight, Page, Rotation
from kegapps.lcd.screens import Rows, Style, Unit

if TYPE_CHECKING:  # what speaks HTTP is 2 MB that a display beside a core of ours does not need
    from kegapps.lcd.server_taps import ServerTaps

REFRESH_S: Final = 0.1
"""At most so often: a full screen takes 50 ms on a line of 19200 baud, and nobody reads faster."""

ASK_S: Final = 1.0
"""The core is asked at most so often, however many drinks come at once."""

MAX_UNIX_S: Final = 2.0**37
"""In the year 6325: a core's clock may stand at anything, and Python's calendar ends with 9999."""

LAST: Final = "last pour"

MakeDisplay = Callable[[Loop, Callable[[], None]], Display]
MakeServer = Callable[[Loop, Callable[[tuple[TapFacts, ...]], None], Callable[[], None]], "ServerTaps"]
"""From the loop and what is to be called with the taps, and when the status changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How people want it: times in seconds, a backlight that never goes off if its is 0."""

    rotation_s: float
    backlight_s: float
    update_s: float
    unit: Unit
    fahrenheit: bool


class LcdDaemon:
    """Shows the tap room of the core at `core` on the display that `display` makes; begins at once."""

    def __init__(
        self,
        service: Service,
        *,
        core: tuple[str, int],
        token: str,
        display: MakeDisplay,
        manner: Manner,
        server: MakeServer | None = None,
    ) -> None:
        self._service = service
        self._loop = service.loop
        self._manner = manner
        now_s = self._loop.now_s()
        self._room = Room()
        self._rotation = Rotation(now_s)
        self._light = Backlight(manner.backlight_s, now_s)
        self._drawn: tuple[Rows, int, int] | None = None
        self._drawn_s = now_s - REFRESH_S
        self._lit: bool | None = None
        self._wake: Timer | None = None
        self._asking: Timer | None = None
        self._asked_s = now_s - ASK_S
        self._display = display(self._loop, self._on_news)  # it may become one of another size
        self._client = Client(
            self._loop,
            core,
            on_event=self._on_event,
            on_connected=self._on_connected,
            on_disconnected=self._on_disconnected,
            on_failed=lambda _problem: self._on_news(),
            token=token,
        )
        self._server = server and server(self._loop, self._on_server_taps, self._on_news)
        self._draw()

    @property
    def status(self) -> str:
        """How it is, for a person."""
        link = "listening to" if self._client.connected else "looking for"
        server = f"; {self._server.status}" if self._server else ""
        return f"{self._display.status}; {link} the core at {shown_address(*self._client.address)}{server}"

    def close(self) -> None:
        """Let go of core and display."""
        self._client.close()
        self._display.close()
        if self._server:
            self._server.close()

    # What happens

    def _on_event(self, event: Event) -> None:
        now_s = self._loop.now_s()
        if self._room.hear(event, now_s=now_s, unix_s=time.time()):
            self._light.activity(now_s)
        if isinstance(event, DrinkCreatedEvent):
            # Whoever has just poured wants to see how much it was.
            self._rotation.jump(LAST, now_s)
            self._ask_soon(0.0)
            if self._server:
                self._server.ask()
        self._draw_soon()

    def _on_connected(self) -> None:
        self._room.connect()
        self._ask_soon(0.0)
        self._on_news()

    def _on_disconnected(self) -> None:
        self._room.disconnect()
        self._on_news()

    def _on_server_taps(self, taps: tuple[TapFacts, ...]) -> None:
        self._room.learn(taps)
        self._draw_soon()

    def _on_news(self) -> None:
        self._service.status(self.status)
        self._draw_soon()

    # Asking the core

    def _ask_soon(self, delay_s: float) -> None:
        """Ask how the tap room is, now or when it may be asked again; from then on every `update_s`."""
        if self._asking is not None:
            self._asking.cancel()
        delay_s = max(delay_s, self._asked_s + ASK_S - self._loop.now_s())
        self._asking = self._loop.call_later(delay_s, self._ask)

    def _ask(self) -> None:
        if self._client.connected:
            self._asked_s = self._loop.now_s()
            self._client.send(StatusRequest())
            self._ask_soon(self._manner.update_s)

    # Drawing

    def _draw_soon(self) -> None:
        self._draw_at(self._drawn_s + REFRESH_S)

    def _draw_at(self, due_s: float) -> None:
        """Draw then, or earlier if that is arranged already."""
        if self._wake is not None and not self._wake.cancelled:
            if self._wake.due_s <= due_s:
                return
            self._wake.cancel()
        self._wake = self._loop.call_later(max(0.0, due_s - self._loop.now_s()), self._draw)

    def _draw(self) -> None:
        now_s = self._loop.now_s()
        self._drawn_s = now_s
        due_s = [self._room.forget_silent(now_s)]
        style = Style(
            columns=self._display.columns,
            rows=self._display.rows,
            unit=self._manner.unit,
            fahrenheit=self._manner.fahrenheit,
            guest=self._room.guest,
        )
        if pours := self._room.pours:
            rows = screens.pouring(style, pours)
        else:
            turn = self._rotation.turn(self._pages(style), now_s)
            rows = turn.page.rows
            due_s.append(turn.until_s)
        if self._drawn != (drawn := (rows, style.columns, style.rows)):
            self._drawn = drawn
            self._display.show(rows)
        if self._lit != (lit := self._light.on(now_s)):
            self._lit = lit
            self._display.backlight(lit)
        due_s.append(self._light.off_at_s(now_s))
        if times := [time_s for time_s in due_s if time_s is not None]:
            self._draw_at(min(times))

    def _pages(self, style: Style) -> list[Page]:
        if not self._room.connected and (problem := self._client.refusal or self._client.problem):
            rows = screens.no_core(style, shown_address(*self._client.address), problem)
            return [Page(key="no core", rows=rows, seconds=self._manner.rotation_s)]
        taps = self._room.taps
        pages = [Page(key="splash", rows=screens.splash(style, len(taps)), seconds=SPLASH_S)]
        if drink := self._room.last_drink:
            self._add(pages, LAST, screens.last_pour(style, drink, _on_the_wall(drink.end_unix_s)))
        for facts in taps:
            self._add(pages, f"tap {facts.name}", screens.tap(style, facts))
        return pages

    def _add(self, pages: list[Page], key: str, shown: tuple[Rows, ...]) -> None:
        """A page for each of the screens that a subject needs on a small display; the first has its plain name."""
        for number, rows in enumerate(shown):
            name = f"{key} {number}" if number else key
            pages.append(Page(key=name, rows=rows, seconds=self._manner.rotation_s))


def _on_the_wall(unix_s: float) -> datetime:
    """The time as clocks here have it; what no calendar has, as the nearest that it has."""
    return datetime.fromtimestamp(min(max(unix_s, 0.0), MAX_UNIX_S))
