"""What carries out the engine's decisions: events in from kegnet, one commit a turn, then announcements.

Knows the loop, the hub, the store and both clocks. Must not decide anything about taps, flows or tokens.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from kegapps.core.database import StoreError
from kegapps.core.drink_pages import DrinkPages
from kegapps.core.effects import AskToken, Effect, Keep, Say
from kegapps.core.engine import Engine
from kegapps.core.model import Flow, Now, OnTap, Tap, Temperature, TokenAnswer
from kegapps.core.pending import Pending
from kegapps.core.report import StoreState, core_report
from kegapps.core.rules import Rules
from kegapps.core.schema import SCHEMA_VERSION
from kegapps.core.server_link import Listener, ServerLink
from kegapps.core.store import Store
from kegapps.daemon import version
from kegapps.daemon.loop import Loop, Timer
from kegapps.kegnet.events import CoreStatus, DrinkFacts, Drinks, DrinksRequest, Event, StatusRequest
from kegapps.kegnet.hub import Hub
from kegapps.kegnet.ratelimit import RateLimit

log = logging.getLogger("core")

LOCKED_RETRY_S: Final = (0.05, 0.4)
RETRY_S: Final = (0.5, 5.0)
"""The first and the longest wait before a failed commit is tried again."""
PATIENCE_S: Final = 1.0
"""A store that is locked for no longer than this is nothing to tell a person: an edit takes milliseconds."""
LINGER_S: Final = 0.15
"""So long the orders to close the valves may travel before the connections end."""


class Core:
    """One engine between its store and kegnet. Raises StoreError if the store cannot be read at the start."""

    def __init__(
        self,
        loop: Loop,
        store: Store,
        rules: Rules,
        *,
        on_trouble: Callable[[str], None],
        server: ServerLink | None = None,
    ) -> None:
        """`on_trouble` is told in one line why nothing can be stored, and "" when that is over.

        `server`: the Kegbot Server, if there is one; the core owns it from now on.
        """
        self._loop = loop
        self._store = store
        self._rules = rules
        self._on_trouble = on_trouble
        self._trouble = ""
        self._hub: Hub | None = None
        self._talk = RateLimit(100, 10.0)  # a client must not be able to fill the disk with log lines
        self._inbox: list[tuple[Event | None, str]] = []  # None: the connection has ended
        self._turn_due = False
        self._alarm: Timer | None = None
        self._retry: Timer | None = None
        self._retry_s = 0.0
        self._stalled_s: float | None = None
        self._said_stalled = False
        self._setup_is_old = False
        now = self._now()
        memory = store.load_memory(now)
        self._server = server
        self._tap_room = store.tap_room()
        self._shown: tuple[Mapping[str, OnTap], DrinkFacts | None] = ({}, None)
        self._pages = DrinkPages(loop, self._tap_room, send=self._send)
        self._engine = Engine(
            rules,
            store.load_setup(),
            memory,
            now=now,
            new_uuid=lambda: str(uuid.uuid4()),
            asks_server=server is not None,
        )
        self._pending = Pending(memory.flows)
        self._resumed_sessions = memory.sessions

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The taps known now."""
        return self._engine.taps

    @property
    def open_flows(self) -> tuple[Flow, ...]:
        """The flows under way now."""
        return self._engine.open_flows

    def serve(self, hub: Hub) -> None:
        """Take events from `hub`, which the core owns from now on, and announce there."""
        self._hub = hub
        hub.resume(self._resumed_sessions)
        self._resumed_sessions = {}  # the hub's from now on
        if self._server is not None:
            self._server.begin(Listener(on_token=self._take_token_answer, on_taps=self._take_server_taps))
        self._turn_soon()

    def close(self) -> None:
        """Store what came last, close the valves of the flows under way, and let go of everything."""
        self._pages.close()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._look_last()
        self._turn()
        orders = self._engine.close_valves()
        self._pending.add(orders)
        self._announce(list(self._pending.take_relay_orders()))
        if orders and self._hub is not None and self._hub.clients:
            # Closing at once, with something unread from a client, would make its kernel throw our last words away.
            end_s = self._loop.now_s() + LINGER_S
            while (left_s := end_s - self._loop.now_s()) > 0:
                self._loop.run_once(left_s)
            self._turn()
        if self._pending.changes:
            log.error("ending with %d drinks that the store would not take", self._pending.drinks)
        if self._hub is not None:
            self._hub.close()
        if self._server is not None:
            self._server.close()
        self._store.close()

    # Turns

    def take(self, event: Event, peer: str) -> None:
        """Take an event from the connection `peer`."""
        self._inbox.append((event, peer))
        self._turn_soon()

    def leave(self, peer: str) -> None:
        """The connection `peer` has ended."""
        self._inbox.append((None, peer))
        self._turn_soon()

    def _turn_soon(self) -> None:
        # At the end of the loop's round: all that arrived in it goes into one commit.
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_later(0.0, self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        inbox, self._inbox = self._inbox, []
        if (inbox or self._setup_is_old) and self._stalled_s is None:
            self._notice_edits()
        now = self._now()
        asking: dict[str, None] = {}
        for event, peer in inbox:
            if isinstance(event, StatusRequest):
                asking[peer] = None
            elif isinstance(event, DrinksRequest):
                self._pages.ask(peer, event)
            elif event is None:
                self._pages.forget(peer)
                self._take(self._engine.leave(peer, now))
            else:
                self._take(self._engine.handle(event, now, peer=peer))
        self._take(self._engine.wake(now))
        if self._retry is None:
            self._flush()
        self._set_alarm()
        if asking:
            self._report(asking, now)

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Say():
                    self._say(effect)
                case AskToken() if self._server is not None:
                    self._server.ask_token(effect.device, effect.token)
                case Keep(record=Temperature() as temperature) if self._server is not None:
                    self._server.tell_temperature(temperature)
        self._pending.add(effects)
        if self._stalled_s is not None:
            self._close_valves_while_stalled()

    def _say(self, line: Say) -> None:
        unsaid = self._talk.admit(self._loop.now_s())
        if unsaid is not None:
            more = f" ({unsaid} lines before it were left out)" if unsaid else ""
            log.log(line.level, "%s%s", line.text, more)

    def _set_alarm(self) -> None:
        """Wake when the engine wants it. An alarm that is too early is left alone: ticks move it all the time."""
        due_s = self._engine.next_wake_mono_s()
        if self._alarm is not None:
            if due_s is not None and self._alarm.due_s <= due_s and not self._alarm.cancelled:
                return
            self._alarm.cancel()
            self._alarm = None
        if due_s is not None:
            self._alarm = self._loop.call_later(max(0.0, due_s - self._loop.now_s()), self._turn_soon)

    def _now(self) -> Now:
        return Now(mono_s=self._loop.now_s(), unix_s=time.time())

    # The store

    def _notice_edits(self) -> None:
        try:
            edited = self._store.changed_elsewhere()
            if edited or self._setup_is_old:
                setup = self._store.load_setup()
                setup = replace(setup, taps={**self._pending.changes.taps, **setup.taps})
                self._take(self._engine.use(setup, self._now()))
                self._setup_is_old = False
            if edited:
                log.info("taps and tokens read again: the store was edited")
                if self._server is not None:
                    self._server.outbox_edited()
        except StoreError as error:
            self._stall(error)

    def _flush(self) -> None:
        """Store what is pending, then announce it; if that fails, try again later."""
        changes = self._pending.changes
        if self._hub is not None:
            changes.sessions = self._hub.session_changes()
        try:
            drink_ids = self._store.commit(changes) if changes else {}
        except StoreError as error:
            self._stall(error)
            return
        if self._stalled_s is not None:
            self._recover()
        self._announce(self._pending.stored(drink_ids))
        if self._hub is not None:
            self._hub.stored()
        if drink_ids and self._server is not None:
            self._server.drinks_stored()

    def _stall(self, error: StoreError) -> None:
        if self._stalled_s is None:
            self._stalled_s = self._loop.now_s()
            self._retry_s = 0.0
        if not error.locked or self._loop.now_s() - self._stalled_s > PATIENCE_S:
            self._said_stalled = True
            waiting = f"; {self._pending.drinks} drinks wait in memory" if self._pending.drinks else ""
            self._tell(f"nothing can be stored: {error}{waiting}")
        self._close_valves_while_stalled()
        if self._retry is None:
            first_s, longest_s = LOCKED_RETRY_S if error.locked else RETRY_S
            self._retry_s = min(max(2 * self._retry_s, first_s), longest_s)
            self._retry = self._loop.call_later(self._retry_s, lambda: self._try_again(error))

    def _try_again(self, error: StoreError) -> None:
        self._retry = None
        if not error.locked:
            try:
                self._reopen()
            except StoreError as again:
                self._stall(again)
                return
        self._turn()

    def _reopen(self) -> None:
        if mended := self._store.reopen():
            log.warning("%s", mended)

    def _look_last(self) -> None:
        """What somebody took away can be saved only as long as we live."""
        try:
            self._store.check()
        except StoreError:
            try:
                self._reopen()
            except StoreError as error:
                log.error("%s", error)

    def _recover(self) -> None:
        self._stalled_s = None
        self._setup_is_old = True  # what was edited meanwhile was not noticed
        if self._said_stalled:
            self._said_stalled = False
            log.info("storing again; announcements left out meanwhile: %d", self._pending.left_out)
            self._tell("")

    def _tell(self, trouble: str) -> None:
        self._trouble = trouble
        self._on_trouble(trouble)

    # The Kegbot Server

    def _take_token_answer(self, device: str, token: str, answer: TokenAnswer | None) -> None:
        self._take(self._engine.answer(device, token, answer, self._now()))
        self._turn_soon()

    def _take_server_taps(self) -> None:
        self._setup_is_old = True
        self._turn_soon()

    # Announcing

    def _report(self, asking: Iterable[str], now: Now) -> None:
        """Tell those who asked how we are; what is told of is on the disk, as far as it takes anything."""
        if self._hub is None:
            return
        with contextlib.suppress(StoreError):  # then what it said last
            self._shown = self._tap_room.on_taps(), self._tap_room.last_drink()
        on_taps, last_drink = self._shown
        server, outbox = self._server.report() if self._server is not None else (None, None)
        report = core_report(
            version=version.number(),
            pid=os.getpid(),
            rules=self._rules,
            taps=self._engine.taps,
            meters=self._engine.meters,
            open_flows=self._engine.open_flows,
            boards=self._engine.boards(now),
            store=StoreState(
                path=self._store.path,
                trouble=self._trouble,
                schema_version=SCHEMA_VERSION,
                waiting_drinks=self._pending.drinks,
            ),
            clients=self._hub.clients,
            now=now,
            on_taps=on_taps,
            sensors=self._engine.sensors(now),
            last_drink=last_drink,
            server=server,
            outbox=outbox,
        )
        for peer in asking:
            self._send(peer, CoreStatus(report=report))

    def _send(self, peer: str, answer: CoreStatus | Drinks) -> None:
        try:
            if self._hub is not None:
                self._hub.send_to(peer, answer)
        except ValueError as error:  # somebody wrote novels into the store by hand
            log.warning("a question of %s was left without answer: %s", peer, error)

    def _announce(self, events: list[Event]) -> None:
        if events and self._hub is not None:
            self._hub.broadcast(*events)

    def _close_valves_while_stalled(self) -> None:
        """Closing a valve must not wait for the disk. Opening one does: its repeat comes every second anyway."""
        orders = self._pending.take_relay_orders()
        self._announce([order for order in orders if order.output_mode == "disabled"])
