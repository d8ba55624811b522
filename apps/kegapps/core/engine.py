"""All that kegbot_core decides: kegnet events and the time go in, effects come out.

Knows taps, meters, flows, tokens and sensors. Must not know sockets, clocks, files or the store.
Source: shared/kegnet-protocol.md, sections 4 and 9.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Final

from kegapps.core.boards import Boards, board_of
from kegapps.core.effects import AskToken, Effect, EndFlow, Keep, Say
from kegapps.core.flows import Flows
from kegapps.core.model import Flow, Memory, Meter, Now, Presence, Setup, Tap, TokenAnswer
from kegapps.core.odometers import Odometers
from kegapps.core.report import HeardBoard
from kegapps.core.rules import Rules
from kegapps.core.thermo import Sensors
from kegapps.core.token_book import TokenBook
from kegapps.core.tokens import Question, Questions, Readers, idle_limit_s, is_captive, token_key
from kegapps.core.watch import Watch
from kegapps.kegnet.events import (
    ALL_TAPS,
    BoardStatus,
    Event,
    FlowRequest,
    MeterUpdate,
    ThermoEvent,
    TokenAuthEvent,
)
from kegapps.kegnet.ratelimit import RateLimit

NAME: Final = re.compile(r"(?!__)[A-Za-z0-9_.:-]{1,64}")
"""Names of meters and sensors that may be stored and shown; ALL_TAPS is none."""

MAX_NEW_METERS: Final = (24, 60.0)
"""Of one connection in so many seconds: four boards with all theirs. Who sends junk leaves room for others."""

MAX_AGE_S: Final = 30 * 86400.0
"""No event is older: who says so has a broken clock."""


class Engine:
    """The core's decisions. Every public method returns its effects in the order they have to happen."""

    def __init__(
        self,
        rules: Rules,
        setup: Setup,
        memory: Memory,
        *,
        now: Now,
        new_uuid: Callable[[], str],
        asks_server: bool = False,
    ) -> None:
        """`asks_server`: there is a Kegbot Server that can be asked about tokens."""
        self._rules = rules
        self._setup = setup
        self._odometers = Odometers(rules, memory.meters)
        self._refused: set[str] = set()
        self._new_meters: dict[str, RateLimit] = {}  # by connection
        self._flows = Flows(
            rules,
            flows=memory.flows,
            taps=setup.taps,
            first_flow_id=max(int(now.unix_s), memory.last_flow_id + 1),
            now=now,
            new_uuid=new_uuid,
        )
        # What lay on the reader of a tap without a flow may have been taken away while the core was away.
        self._readers = Readers(p for p in memory.presences if self._flows.on(p.tap_name))
        # By which token the owners of flows were let in, by tap.
        self._let_in_by = {p.tap_name: (p.device, p.token) for p in memory.presences if p.accepted}
        self._asks_server = asks_server
        self._book = TokenBook(memory.token_answers, keep_s=rules.token_cache_s)
        self._questions = Questions()
        self._sensors = Sensors(rules, memory.sensor_minutes)
        self._boards = Boards()
        self._boards.use(_boards_of(setup))
        self._lost_boards: frozenset[str] = frozenset()
        self._said_too_many_boards = False
        self._watch = Watch()
        self._held: frozenset[str] = frozenset()

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The taps known now."""
        return tuple(self._setup.taps.values())

    @property
    def meters(self) -> Mapping[str, Meter]:
        """The meters that were ever heard, by name."""
        return self._odometers.meters

    @property
    def open_flows(self) -> tuple[Flow, ...]:
        """The flows under way now."""
        return self._flows.open_flows()

    def boards(self, now: Now) -> tuple[HeardBoard, ...]:
        """What there is to say of each board that a daemon told of in this run."""
        return self._boards.heard(now)

    def use(self, setup: Setup, now: Now) -> list[Effect]:
        """Go by this setup from now on; who may not pour any more has their flow ended."""
        return list(self._account(self._use(setup, now)))

    def handle(self, event: Event, now: Now, *, peer: str) -> list[Effect]:
        """Take an event from the connection `peer` (any text, another one for each connection).

        Events that only a core may send, and events about unknown taps, have no effect.
        """
        return list(self._account(self._handle(event, now, peer)))

    def leave(self, peer: str, now: Now) -> list[Effect]:
        """The connection `peer` has ended."""
        self._new_meters.pop(peer, None)
        self._boards.leave(peer)
        return list(self._look_after_boards(now))

    def wake(self, now: Now) -> list[Effect]:
        """Do what is due; see `next_wake_mono_s`."""
        return list(self._account(self._wake(now)))

    def answer(self, device: str, token: str, answer: TokenAnswer | None, now: Now) -> list[Effect]:
        """Take what the Kegbot Server said of a token that `AskToken` asked for; None: there was no answer."""
        return list(self._account(self._answer(device, token, answer, now)))

    def next_wake_mono_s(self) -> float | None:
        """When to call `wake` even if no event comes; None: not at all."""
        due = [self._flows.next_wake_mono_s(), self._sensors.next_wake_mono_s()]
        return min((mono_s for mono_s in due if mono_s is not None), default=None)

    def close_valves(self) -> list[Effect]:
        """What to announce before the core ends: nobody would keep watch over an open valve."""
        return list(self._flows.close_valves())

    def _use(self, setup: Setup, now: Now) -> Iterator[Effect]:
        before, self._setup = self._setup, setup
        self._boards.use(_boards_of(setup))
        yield from self._flows.use(setup.taps, now)
        for flow in self._flows.open_flows():
            if flow.username is not None and self._is_shut_out(flow, before):
                tap_name = flow.tap_name
                yield Say(level=logging.INFO, text=f"{tap_name}: {flow.username} may not pour any more")
                present = self._readers.present(tap_name)
                if present is not None and (present.device, present.token) == self._let_in_by.get(tap_name):
                    yield from self._readers.take(present)
                yield from self._flows.end(tap_name)

    def _is_shut_out(self, flow: Flow, before: Setup) -> bool:
        """The token that let the owner of this flow in is not theirs any more, which it was `before`."""
        users, key = self._setup.users, self._let_in_by.get(flow.tap_name)
        if key is None:  # in an earlier run, and it does not lie on the reader any more
            return flow.username in before.users.values() and flow.username not in users.values()
        if key in before.users:
            return users.get(key) != before.users[key]
        return key in self._setup.refused

    def _handle(self, event: Event, now: Now, peer: str) -> Iterator[Effect]:
        match event:
            case MeterUpdate():
                yield from self._read(event, now, peer)
            case FlowRequest(request="start_flow") if event.tap_name in self._setup.taps:
                yield from self._flows.request(event.tap_name, self._at(event, event.tap_name, now), now)
            case FlowRequest(request="stop_flow") if event.tap_name in self._setup.taps:
                yield from self._flows.end(event.tap_name)
            case TokenAuthEvent():
                for tap_name in self._taps_meant(event.tap_name):
                    yield from self._token(tap_name, event, now)
                yield from self._look_after_owners(now)
            case ThermoEvent():
                if NAME.fullmatch(event.sensor_name):
                    age_s = now.unix_s - earlier(now, event.age_s).unix_s
                    yield from self._sensors.read(event.sensor_name, event.sensor_value, age_s=age_s, now=now)
            case BoardStatus():
                if not self._boards.tell(event, peer, now) and not self._said_too_many_boards:
                    self._said_too_many_boards = True
                    text = f"Board {event.board_name} is not remembered: apps tell of too many boards"
                    yield Say(level=logging.WARNING, text=text)
                self._watch.tell(event, peer, now)
                yield from self._look_after_owners(now)
                yield from self._look_after_boards(now)

    def _look_after_boards(self, now: Now) -> Iterator[Effect]:
        lost, before = self._boards.lost, self._lost_boards
        if lost == before:
            return
        self._lost_boards = lost
        for name in sorted(lost ^ before):
            if name in lost:
                yield Say(
                    level=logging.WARNING,
                    text=f"Board {name} is lost: its valves are closed until it is back",
                )
            else:
                yield Say(level=logging.INFO, text=f"Board {name} is back")
        yield from self._flows.lose_boards(lost, now)

    def _look_after_owners(self, now: Now) -> Iterator[Effect]:
        """Hold the valves of those whose token may have been taken away while nobody listened to its board."""
        held = frozenset(p.tap_name for p in self._readers.all() if self._may_have_gone(p))
        for tap_name in sorted(held - self._held):
            flow = self._flows.on(tap_name)
            owner = flow.username if flow is not None else None
            text = f"{tap_name}: nobody listened to the board for a while; {owner}'s token may be gone, show it again"
            yield Say(level=logging.WARNING, text=text)
        if held != self._held:
            self._held = held
            yield from self._flows.hold_valves(held, now)

    def _may_have_gone(self, presence: Presence) -> bool:
        flow = self._flows.on(presence.tap_name)
        if flow is None or flow.username is None or not is_captive(presence.device, self._rules):
            return False
        shown_mono_s = self._readers.shown_mono_s(presence.tap_name)
        if shown_mono_s is None:
            shown_mono_s = flow.last_mono_s - (flow.last_unix_s - flow.start_unix_s)
        return presence.accepted and self._watch.was_broken(board_of(presence.tap_name), shown_mono_s)

    def _wake(self, now: Now) -> Iterator[Effect]:
        yield from self._flows.wake(now)
        yield from self._sensors.wake(now)

    def _taps_meant(self, tap_name: str) -> tuple[str, ...]:
        if tap_name == ALL_TAPS:
            return tuple(self._setup.taps)
        return (tap_name,) if tap_name in self._setup.taps else ()

    def _read(self, event: MeterUpdate, now: Now, peer: str) -> Iterator[Effect]:
        name = event.tap_name
        if name not in self._setup.taps:
            yield from self._meet(name, now, peer)
        tap = self._setup.taps.get(name)
        if tap is None:
            return
        at = self._at(event, name, now)
        if at == now and self._boards.read(board_of(name)):
            yield from self._look_after_boards(now)
        before = self._odometers.counted_ticks(name)
        yield from self._odometers.read(
            tap,
            event.reading,
            gap_s=event.gap_s,
            board_uptime_s=event.board_uptime_s,
            at=at,
            now=now,
            peer=peer,
        )
        ticks = self._odometers.counted_ticks(name) - before
        if ticks:
            yield from self._flows.pour(name, ticks, at, now)

    def _at(self, event: MeterUpdate | FlowRequest | TokenAuthEvent, tap_name: str, now: Now) -> Now:
        """When it happened on this tap, a known one; if that was before now, more of that time may follow."""
        at = earlier(now, event.age_s)
        if at.mono_s < now.mono_s:
            self._flows.expect_more(tap_name, now)
        return at

    def _meet(self, name: str, now: Now, peer: str) -> Iterator[Effect]:
        """Make a tap of a meter that is heard for the first time, unless that would be silly."""
        reason = self._why_no_tap(name, now, peer)
        if reason:
            if name not in self._refused and len(self._refused) < self._rules.max_taps:
                self._refused.add(name)
                yield Say(level=logging.WARNING, text=f"Refused meter {name[:64]!r}: {reason}")
            return
        tap = Tap(name=name, ml_per_tick=self._rules.default_ml_per_tick)
        yield from self._use(replace(self._setup, taps={**self._setup.taps, name: tap}), now)
        yield Say(
            level=logging.INFO, text=f"New tap: {name}, {tap.ml_per_tick:.4g} mL per tick until it is set"
        )
        yield Keep(record=tap)

    def _why_no_tap(self, name: str, now: Now, peer: str) -> str:
        if not NAME.fullmatch(name):
            return "not a meter's name"
        if len(self._setup.taps) >= self._rules.max_taps:
            return "there are enough taps already (--max_taps)"
        if self._new_meters.setdefault(peer, RateLimit(*MAX_NEW_METERS)).admit(now.mono_s) is None:
            return "one app tells of too many new ones at once; it is taken in a minute, if it is heard then"
        return ""

    def _token(self, tap_name: str, event: TokenAuthEvent, now: Now) -> Iterator[Effect]:
        device, token = token_key(event.auth_device_name, event.token_value)
        present = self._readers.present(tap_name)
        same = present is not None and (present.device, present.token) == (device, token)
        if event.status == "removed":
            self._questions.removed(tap_name, device, token, captive=is_captive(device, self._rules))
            if present is not None and same:
                yield from self._removed(present)
        elif event.status == "added" and same:
            self._readers.shown(tap_name, earlier(now, event.age_s))
        elif event.status == "added":
            at = self._at(event, tap_name, now)
            username = self._setup.users.get((device, token))
            if username is None:
                username = yield from self._ask_server(tap_name, device, token, at, now)
            if present is not None and present.accepted and username is None:
                return
            if present is not None:
                yield from self._removed(present)
            yield from self._readers.put(
                Presence(tap_name=tap_name, device=device, token=token, accepted=username is not None), at
            )
            if username is not None:
                yield from self._let_in(tap_name, username, (device, token), at, now)

    def _let_in(
        self, tap_name: str, username: str, key: tuple[str, str], at: Now, now: Now
    ) -> Iterator[Effect]:
        self._questions.drop(tap_name)  # whoever was let in last has the tap
        self._let_in_by[tap_name] = key
        yield from self._flows.arrive(tap_name, username, idle_limit_s(key[0], self._rules), at, now)

    def _ask_server(
        self, tap_name: str, device: str, token: str, at: Now, now: Now
    ) -> Generator[Effect, None, str | None]:
        """Whose token it is by an earlier answer of the server, which is asked again if that is old."""
        key = device, token
        username = None
        if self._asks_server and key not in self._setup.refused:
            username = self._book.username(key, now)
            if self._book.wants_to_ask(key, now):
                yield AskToken(device=device, token=token)
            if username is None and self._book.is_asked(key):
                self._questions.put(tap_name, Question(device=device, token=token, at=at))
                return None
        if username is None:
            yield Say(level=logging.INFO, text=f"{tap_name}: {device} token {token[:64]!r} is nobody's")
        return username

    def _answer(self, device: str, token: str, answer: TokenAnswer | None, now: Now) -> Iterator[Effect]:
        if answer is None:
            self._book.no_answer((device, token))
        else:
            yield from self._book.learn(answer, now)
        username = self._book.username((device, token), now)
        captive = is_captive(device, self._rules)
        for tap_name, question in self._questions.take(device, token):
            if username is None:
                why = (
                    "is nobody's" if answer else "is not known here, and the Kegbot Server could not be asked"
                )
                yield Say(level=logging.INFO, text=f"{tap_name}: {device} token {token[:64]!r} {why}")
            elif captive:
                yield from self._accept(tap_name, question, username, now, now)
            elif now.mono_s - question.at.mono_s <= idle_limit_s(device, self._rules):
                yield from self._accept(tap_name, question, username, question.at, now)
            else:
                text = f"{tap_name}: the Kegbot Server let {username} in too late; show the token again"
                yield Say(level=logging.WARNING, text=text)
        yield from self._look_after_owners(now)

    def _accept(
        self, tap_name: str, question: Question, username: str, at: Now, now: Now
    ) -> Iterator[Effect]:
        """The token turned out to be that of somebody who may pour."""
        if tap_name not in self._setup.taps:
            return
        device, token = question.device, question.token
        present = self._readers.present(tap_name)
        if present is not None and (present.device, present.token) != (device, token):
            yield from self._removed(present)
        if not question.gone:
            yield from self._readers.put(
                Presence(tap_name=tap_name, device=device, token=token, accepted=True), question.at
            )
        yield from self._let_in(tap_name, username, (device, token), at, now)

    def _removed(self, presence: Presence) -> Iterator[Effect]:
        yield from self._readers.take(presence)
        flow = self._flows.on(presence.tap_name)
        if flow is None or not is_captive(presence.device, self._rules):
            return
        # Waving an unknown token about must not end the pour of somebody who was let in.
        if presence.accepted or flow.username is None:
            yield from self._flows.end(presence.tap_name)

    def _account(self, effects: Iterator[Effect]) -> Iterator[Effect]:
        """Write the ticks of flows that became no drink to their meter's account."""
        for effect in effects:
            yield effect
            if isinstance(effect, EndFlow) and effect.drink is None and effect.flow.ticks:
                yield from self._odometers.too_few(effect.flow.tap_name, effect.flow.ticks)


def _boards_of(setup: Setup) -> set[str]:
    """The names of the boards that have a meter or a relay of a tap."""
    return {board_of(name) for tap in setup.taps.values() for name in (tap.name, tap.relay_name) if name}


def earlier(now: Now, age_s: float) -> Now:
    """The instant `age_s` seconds before `now`; an age that no queue has (negative, not a number) is 0."""
    age_s = min(age_s, MAX_AGE_S) if age_s > 0 else 0.0
    return Now(mono_s=now.mono_s - age_s, unix_s=now.unix_s - age_s)
