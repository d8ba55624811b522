"""Who is let in: tokens on readers, whose they are, and whose flow ends because they may not pour any more.

Knows tokens, users and the Kegbot Server's answers, and asks flows to begin and end. Must not know meters, the store
or how the server is asked. Source: shared/kegnet-protocol.md, "Tokens".
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator

from kegapps.core.effects import AskToken, Effect, Say
from kegapps.core.flows import Flows, earlier
from kegapps.core.model import Flow, Memory, Now, Presence, Setup, TokenAnswer, board_of
from kegapps.core.rules import Rules
from kegapps.core.token_book import TokenBook
from kegapps.core.tokens import Question, Questions, Readers, idle_limit_s, is_captive, token_key
from kegapps.core.watch import Watch
from kegapps.kegnet.events import BoardStatus, TokenAuthEvent


class Admission:
    """Tokens and owners of all taps. Every method returns effects in the order they have to happen."""

    def __init__(
        self, rules: Rules, setup: Setup, memory: Memory, *, flows: Flows, asks_server: bool
    ) -> None:
        """`asks_server`: there is a Kegbot Server that can be asked about tokens."""
        self._rules = rules
        self._setup = setup
        self._flows = flows
        # What lay on the reader of a tap without a flow may have been taken away while the core was away.
        self._readers = Readers(p for p in memory.presences if flows.on(p.tap_name))
        # By which token the owners of flows were let in, by tap.
        self._let_in_by = {p.tap_name: (p.device, p.token) for p in memory.presences if p.accepted}
        self._asks_server = asks_server
        self._book = TokenBook(memory.token_answers, keep_s=rules.token_cache_s)
        self._questions = Questions()
        self._watch = Watch()
        self._held: frozenset[str] = frozenset()

    def use(self, setup: Setup) -> Iterator[Effect]:
        """Go by this setup from now on; who may not pour any more has their flow ended."""
        before, self._setup = self._setup, setup
        for flow in self._flows.open_flows():
            if flow.username is not None and self._is_shut_out(flow, before):
                tap_name = flow.tap_name
                yield Say(level=logging.INFO, text=f"{tap_name}: {flow.username} may not pour any more")
                present = self._readers.present(tap_name)
                if present is not None and (present.device, present.token) == self._let_in_by.get(tap_name):
                    yield from self._readers.take(present)
                yield from self._flows.end(tap_name)

    def shown(self, tap_names: Iterable[str], event: TokenAuthEvent, now: Now) -> Iterator[Effect]:
        """A token was put on the readers of these taps, which are known, or taken from them."""
        for tap_name in tap_names:
            yield from self._shown(tap_name, event, now)
        yield from self._look_after_owners(now)

    def listened(self, event: BoardStatus, peer: str, now: Now) -> Iterator[Effect]:
        """The connection `peer` told how a board is, and since when it has been heard."""
        self._watch.tell(event, peer, now)
        yield from self._look_after_owners(now)

    def answer(self, device: str, token: str, answer: TokenAnswer | None, now: Now) -> Iterator[Effect]:
        """Take what the Kegbot Server said of a token that `AskToken` asked for; None: there was no answer."""
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

    def _is_shut_out(self, flow: Flow, before: Setup) -> bool:
        """The token that let the owner of this flow in is not theirs any more, which it was `before`."""
        users, key = self._setup.users, self._let_in_by.get(flow.tap_name)
        if key is None:  # in an earlier run, and it does not lie on the reader any more
            return flow.username in before.users.values() and flow.username not in users.values()
        if key in before.users:
            return users.get(key) != before.users[key]
        return key in self._setup.refused

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

    def _shown(self, tap_name: str, event: TokenAuthEvent, now: Now) -> Iterator[Effect]:
        device, token = token_key(event.auth_device_name, event.token_value)
        present = self._readers.present(tap_name)
        same = present is not None and (present.device, present.token) == (device, token)
        # Readers that never say that a contactless token went, or were killed before they could, may not cost its
        # owner the second beer.
        again = same and not is_captive(device, self._rules) and self._flows.on(tap_name) is None
        if event.status == "removed":
            self._questions.removed(tap_name, device, token, captive=is_captive(device, self._rules))
            if present is not None and same:
                yield from self._removed(present)
        elif event.status == "added" and same and not again:
            self._readers.shown(tap_name, earlier(now, event.age_s))
        elif event.status == "added":
            at = self._flows.when(tap_name, event.age_s, now)
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
