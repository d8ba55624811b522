"""Whom the core lets pour on which tap, and what the board is told of it: a grant each tap, and commands about them.

Knows taps, tokens, the core's flows and relays, and time. Must not know requests, sockets or the store.
A grant stands as long as the core has a flow there that is somebody's, and keeps the tap's valve open if it has one.
Source: shared/kegbot-server-api.md, section 6, "Commands"; shared/kegnet-protocol.md, "Relays".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kegapps.gateway.records import Meter

RELAY_HELD_S: Final = 10.0
"""The core says every second that a valve is to stay open; a board closes it after so long without."""
SETTLE_S: Final = 0.5
"""A flow that ends and begins anew, as between two glasses, is not the end of a grant."""
COMMAND_S: Final = 300.0
"""No grant outlives this on a board; so long a command is worth repeating."""
MAX_IDLE_MS: Final = 30_000
MAX_DENIALS: Final = 8
MAX_RELAYS: Final = 1024

Key = tuple[str, str]
"""A reader's kind and the token on it."""
BY_OTHERS: Final[Key] = ("kegnet", "relay")
"""Stands for the token of somebody whom the core let in by a reader that is not the board's."""


@dataclass(slots=True, kw_only=True)
class Grant:
    """What a board was allowed."""

    grant_id: str
    key: Key
    meter: str
    number: int
    relay_numbers: tuple[int, ...]
    acknowledged: bool = False


@dataclass(slots=True, kw_only=True)
class Tap:
    """One meter of a board, as the core sees it."""

    board: str
    number: int
    owner: str | None = None
    """Whose flow is open there."""
    let_in: tuple[Key, str] | None = None
    """The token that the core has opened a flow for last, and its owner."""
    asked: Key | None = None
    """The token that was shown to the core, of whose owner it has said nothing yet."""
    owner_when_asked: str | None = None
    """Whose flow was open then: what is told of that one says nothing of the token."""
    flow_start_unix_s: float = 0.0
    is_ending: bool = False
    """The board has ended its grant; the core's word that the flow is over is on its way."""
    grant: Grant | None = None
    unwanted_since_s: float | None = None

    @property
    def holder(self) -> Key | None:
        """The token whose owner's flow is open; BY_OTHERS if somebody was let in by a token that we did not tell of."""
        if self.owner is None or self.is_ending:
            return None
        return self.let_in[0] if self.let_in is not None and self.let_in[1] == self.owner else BY_OTHERS

    @property
    def lying(self) -> Key | None:
        """The token that the core may take to be there still: the last one that was shown, unless it was denied."""
        return self.asked or (self.let_in[0] if self.let_in is not None else None)

    def show(self, key: Key) -> None:
        """The core is being told that this token is there now. Until it has answered, the flow is whose it was."""
        if self.is_ending:
            self.owner = None  # what is known of that flow is of the past
            self.is_ending = False
        self.asked = None if key == self.holder else key
        self.owner_when_asked = self.owner

    def deny(self, key: Key) -> None:
        """The core did not let this token in: who comes by another reader is not its owner."""
        if self.asked == key:
            self.asked = None

    def hear(self, owner: str | None, start_unix_s: float, *, is_over: bool) -> None:
        """The core told of the flow here."""
        self.flow_start_unix_s = start_unix_s
        if is_over:
            self.owner = None
            self.is_ending = False
            return
        self.owner = owner
        if self.asked is not None and owner is not None and owner != self.owner_when_asked:
            self.let_in, self.asked = (self.asked, owner), None

    def forget(self) -> None:
        """Nothing is known of whom the core lets pour here."""
        self.owner = self.let_in = self.asked = self.owner_when_asked = None
        self.is_ending = False


@dataclass(slots=True, kw_only=True)
class _Command:
    id: str
    type: str
    data: dict[str, Any]
    since_s: float = field(default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Grants that are new, and those (by id) that are over."""

    opened: tuple[Grant, ...] = ()
    closed: tuple[str, ...] = ()


class Taps:
    """All taps of all boards."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._taps: dict[str, Tap] = {}
        self._relay_of: Mapping[str, str] = {}
        self._relays: dict[str, float] = {}  # by name: when the core last said that it is to be open
        self._commands: dict[str, list[_Command]] = {}  # by board: to close grants, and to deny

    def tap(self, meter: str, board: str, number: int) -> Tap:
        """The tap of this meter, which is known from now on."""
        return self._taps.setdefault(meter, Tap(board=board, number=number))

    def of(self, meter: Meter) -> Tap:
        """The tap of this meter, as `tap`."""
        return self.tap(meter.meter, meter.meter.rpartition(".")[0], meter.number)

    def know(self, relay_names: Mapping[str, str]) -> None:
        """The core's taps and their relays; "" for none."""
        self._relay_of = relay_names

    def flow(self, meter: str, owner: str | None, start_unix_s: float, *, is_over: bool) -> str | None:
        """The core told of a flow; the board whose grants may be others now."""
        tap = self._taps.get(meter)
        if tap is None:
            return None
        tap.hear(owner, start_unix_s, is_over=is_over)
        return tap.board

    def relay(self, name: str, now_s: float, *, enabled: bool) -> str | None:
        """The core told a relay to open or close; the board whose grants may be others now."""
        if not enabled:
            self._relays.pop(name, None)
        elif name in self._relays or len(self._relays) < MAX_RELAYS:
            self._relays[name] = now_s
        return name.rpartition(".")[0]

    def core_lost(self) -> None:
        """Nobody keeps watch over the valves any more."""
        self._relays.clear()
        for tap in self._taps.values():
            tap.forget()

    def settle(self, board: str, now_s: float) -> Changes:
        """Make the grants of a board what the core wants them to be."""
        opened, closed = [], []
        for meter, tap in self._of(board):
            wanted = self._wanted(meter, tap, now_s)
            grant = tap.grant
            if grant is not None and wanted == grant.key:
                tap.unwanted_since_s = None
                continue
            if grant is not None:
                if tap.unwanted_since_s is None:
                    tap.unwanted_since_s = now_s
                if wanted is None and now_s - tap.unwanted_since_s < SETTLE_S:
                    continue
                closed.append(grant.grant_id)
                tap.grant = None
                self.close(board, grant.grant_id, now_s)
            tap.unwanted_since_s = None
            if wanted is not None:
                relay = self._relay_number(meter, tap)
                tap.grant = Grant(
                    grant_id=self._new_id(), key=wanted, meter=meter, number=tap.number,
                    relay_numbers=() if relay is None else (relay,),
                )  # fmt: skip
                opened.append(tap.grant)
        return Changes(opened=tuple(opened), closed=tuple(closed))

    def is_wanted(self, board: str, keys: Iterable[Key], now_s: float) -> bool:
        """The core has let one of these tokens in on this board."""
        wanted = set(keys)
        return any(self._wanted(meter, tap, now_s) in wanted for meter, tap in self._of(board))

    def ended(self, board: str, grant_id: str, numbers: Iterable[int]) -> list[str]:
        """The board has ended a grant by itself: the meters whose flows are over by that."""
        over = []
        for meter, tap in self._of(board):
            grant = tap.grant
            if grant is not None and (
                grant.grant_id == grant_id or (not grant_id and tap.number in set(numbers))
            ):
                tap.grant = None
                tap.unwanted_since_s = None
                tap.is_ending = True
                over.append(meter)
        self._drop(board, f"d-{grant_id}")
        return over

    def close(self, board: str, grant_id: str, now_s: float) -> None:
        """Tell the board that this grant is over."""
        self._say(board, f"d-{grant_id}", "deauthorize", {"grant_ids": [grant_id]}, now_s)

    def deny(self, board: str, key: Key, reason: str, now_s: float) -> None:
        """Tell the board that this token opens nothing."""
        for _, tap in self._of(board):
            tap.deny(key)
        denials = [command for command in self._commands.get(board, ()) if command.type == "deny"]
        for command in denials[: max(0, len(denials) - MAX_DENIALS + 1)]:
            self._drop(board, command.id)
        data = {"auth_device": key[0], "token": key[1], "reason": reason}
        self._say(board, f"n-{self._new_id()}", "deny", data, now_s)

    def acknowledged(self, board: str, command_id: str) -> None:
        """The board took this command."""
        self._drop(board, command_id)
        for _, tap in self._of(board):
            if tap.grant is not None and f"a-{tap.grant.grant_id}" == command_id:
                tap.grant.acknowledged = True

    def commands(self, board: str, now_s: float) -> list[dict[str, Any]]:
        """What the board is to be told now, as it stands in an answer."""
        kept = [command for command in self._commands.get(board, ()) if now_s - command.since_s < COMMAND_S]
        if kept:
            self._commands[board] = kept
        else:
            self._commands.pop(board, None)
        told = [{"id": command.id, "type": command.type, "data": command.data} for command in kept]
        for _, tap in self._of(board):
            grant = tap.grant
            if grant is not None and not grant.acknowledged:
                data = {
                    "grant_id": grant.grant_id,
                    "meter_numbers": [grant.number],
                    "relay_numbers": list(grant.relay_numbers),
                    "max_idle_ms": MAX_IDLE_MS,
                    "auth_device": grant.key[0],
                    "token": grant.key[1],
                }
                told.append({"id": f"a-{grant.grant_id}", "type": "authorize", "data": data})
        return told

    def _of(self, board: str) -> list[tuple[str, Tap]]:
        return [(meter, tap) for meter, tap in self._taps.items() if tap.board == board]

    def _wanted(self, meter: str, tap: Tap, now_s: float) -> Key | None:
        """Who may pour there now."""
        relay_name = self._relay_of.get(meter, "")
        if relay_name and now_s - self._relays.get(relay_name, float("-inf")) > RELAY_HELD_S:
            return None
        return tap.holder

    def _relay_number(self, meter: str, tap: Tap) -> int | None:
        board, _, relay = self._relay_of.get(meter, "").rpartition(".")
        number = relay.removeprefix("relay")
        if board != tap.board or number == relay or not number.isascii() or not number.isdecimal():
            return None
        return int(number[:3])

    def _say(self, board: str, command_id: str, kind: str, data: dict[str, Any], now_s: float) -> None:
        self._commands.setdefault(board, []).append(
            _Command(id=command_id, type=kind, data=data, since_s=now_s)
        )

    def _drop(self, board: str, command_id: str) -> None:
        kept = [command for command in self._commands.get(board, ()) if command.id != command_id]
        if kept:
            self._commands[board] = kept
        else:
            self._commands.pop(board, None)
