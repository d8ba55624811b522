"""The machines with boards, seen from the core: who is there, whose boards are whose, what they say and are told.

Knows letters, machines and claims. Must not know the broker, taps or drinks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, Protocol

from kegapps.bridge.mqtt_claims import Claims
from kegapps.bridge.mqtt_letters import (
    Beat,
    Down,
    LetterError,
    Took,
    Up,
    read_beat,
    read_status,
    read_up,
    write_down,
    write_took,
)
from kegapps.bridge.mqtt_link import Message
from kegapps.bridge.mqtt_machine import Machine
from kegapps.bridge.mqtt_seal import Seals
from kegapps.bridge.mqtt_statuses import TOLD_FOR_S, absent, aged
from kegapps.bridge.mqtt_topics import Topics
from kegapps.daemon.loop import Loop
from kegapps.kegnet.events import (
    AppEvent,
    BoardStatus,
    CoreEvent,
    Event,
    MeterUpdate,
    SetRelayOutputEvent,
    ThermoEvent,
)
from kegapps.kegnet.ratelimit import RateLimit

log = logging.getLogger("mqtt")

MAX_MACHINES: Final = 32
SILENT_S: Final = 60.0
"""Who wrote nothing for so long makes room for another: a daemon with a board tells of it every 10 s."""


class Publish(Protocol):
    """MqttLink.publish."""

    def __call__(self, topic: str, payload: bytes, *, qos: int = 0) -> bool:
        """False if there is no connection."""


class Machines:
    """All of them. `allowed` names those that may be one, empty for any.

    seals      those of the letters to and from them
    publish    tells one of them something
    send       tells the core how a board is
    on_online  another set of them is online
    on_board   a board is in another state
    """

    def __init__(
        self,
        loop: Loop,
        topics: Topics,
        core: tuple[str, int],
        *,
        token: str,
        allowed: Collection[str],
        seals: Seals,
        publish: Publish,
        send: Callable[[Event], None],
        on_online: Callable[[], None],
        on_board: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._topics = topics
        self._core = core
        self._token = token
        self._allowed = frozenset(allowed)
        self._seals = seals
        self._publish = publish
        self._send = send
        self._on_online = on_online
        self._on_board = on_board
        self._machines: dict[str, Machine] = {}
        self._heard_s: dict[str, float] = {}  # by machine: when its last letter came
        self._claims = Claims()
        self._nonsense = RateLimit(5, 60.0)

    @property
    def online(self) -> list[str]:
        """The names of those that are there."""
        return sorted(name for name, machine in self._machines.items() if machine.is_online)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topics on which they speak."""
        names = sorted(self._allowed) or ["+"]
        whats = ("up", "status", "beat", "availability")
        return tuple(self._topics.machine(name, what) for name in names for what in whats)

    def close(self) -> None:
        """Disconnect all from the core."""
        for machine in self._machines.values():
            machine.close()

    def met_core(self) -> None:
        """The core is there, and knows nothing of their boards."""
        for machine in self._machines.values():
            self._tell_boards(machine)

    def lost_core(self) -> None:
        """What it ordered is over."""
        for machine in self._machines.values():
            machine.stamps.forget()

    def lost_broker(self) -> None:
        """Nobody knows how they are."""
        for machine in self._machines.values():
            machine.is_online = False
            machine.stamps.forget()
            self._tell_boards(machine)

    def tell(self, event: CoreEvent) -> None:
        """The core says this: to all, but of an order to a valve only to the machine with its board."""
        for machine in self._machines.values():
            if isinstance(event, SetRelayOutputEvent):
                if self._claims.owner(event.output_name.rpartition(".")[0]) != machine.name:
                    continue
                machine.stamps.say(event, self._loop.now_s())
            self._tell(machine, event)

    def compare(self, boards: Mapping[str, Mapping[str, Any]]) -> None:
        """The core's report tells of these boards, which are online."""
        self._claims.use(boards)
        for name, row in boards.items():
            machine = self._machines.get(self._claims.owner(name))
            status, _ = (machine.boards.get(name) if machine else None) or (None, 0.0)
            if machine is None or status is None or status.state != "online":
                continue
            # Two boards of one name cannot be told apart, but they are different devices.
            if (row.get("serial_number"), row.get("device")) != (status.serial_number, status.device):
                self._complain(
                    f"board {name}",
                    f"machine {machine.name} has one at {status.device}, and there is another, whose ticks are counted "
                    "together with its; give one of them another --kegboard_name",
                )

    def take(self, message: Message) -> None:
        """Something was published on one of `subscriptions`."""
        who = self._topics.who(message.topic)
        if who is None:
            return
        name, what = who
        if what == "availability":
            self._on_availability(name, message.payload)
            return
        if message.retained:
            self._complain(message.topic, "it is retained, and so may be of any time")
            return
        try:
            payload = self._seals.check(message.topic, message.payload)
            match what:
                case "up":
                    self._on_letter(name, read_up(payload))
                case "status":
                    self._on_letter(name, read_status(payload))
                case "beat":
                    self._on_letter(name, read_beat(payload))
        except LetterError as error:
            self._complain(message.topic, str(error))

    def _on_letter(self, name: str, letter: Up | BoardStatus | Beat) -> None:
        machine = self._machine(name)
        if machine is None:
            return
        now_s = self._heard_s[name] = self._loop.now_s()
        self._set_online(machine, is_online=True)
        match letter:
            case Up():
                machine.take(letter)
            case BoardStatus():
                self._on_status(machine, letter)
            case Beat():
                for order in machine.stamps.beat(letter.stamp, again=letter.again, now_s=now_s):
                    self._tell(machine, order)

    def _machine(self, name: str) -> Machine | None:
        """The one that wrote a letter: nothing else makes one, and a seal says whose letter it is."""
        machine = self._machines.get(name)
        if machine is None and self._allowed and name not in self._allowed:
            self._complain(name, "it is not one of --mqtt_machines")
        elif machine is None and not self._has_room():
            self._complain(name, f"there are {MAX_MACHINES} machines already")
        elif machine is None:
            machine = self._machines[name] = Machine(
                self._loop,
                name,
                self._core,
                token=self._token,
                tell=partial(self._tell_took, name),
                check=partial(self._check, name),
            )
        return machine

    def _has_room(self) -> bool:
        """True if there may be one more machine, if need be in place of the one that is silent for longest."""
        if len(self._machines) < MAX_MACHINES:
            return True
        name = min(self._heard_s, key=self._heard_s.__getitem__)
        if self._loop.now_s() - self._heard_s[name] < SILENT_S:
            return False
        machine = self._machines[name]
        self._set_online(machine, is_online=False)
        machine.close()
        self._claims.release(name)
        del self._machines[name], self._heard_s[name]
        return True

    def _on_availability(self, name: str, payload: bytes) -> None:
        # Anybody may have said so: of a machine that wrote nothing yet it tells nothing.
        if (machine := self._machines.get(name)) is not None:
            self._set_online(machine, is_online=payload == b"online")

    def _set_online(self, machine: Machine, *, is_online: bool) -> None:
        if machine.is_online == is_online:
            return
        machine.is_online = is_online
        log.info("machine %s is %s", machine.name, "online" if is_online else "offline")
        if not is_online:
            machine.stamps.forget()
            self._tell_boards(machine)
        self._on_online()

    def _on_status(self, machine: Machine, status: BoardStatus) -> None:
        problem = self._claims.claim(machine.name, status.board_name)
        if problem:
            self._complain(f"{machine.name}'s board {status.board_name}", problem)
            return
        before = machine.boards.get(status.board_name)
        machine.boards[status.board_name] = (status, self._loop.now_s())
        self._send(status)
        if before is None or before[0].state != status.state:
            self._on_board()

    def _tell_boards(self, machine: Machine) -> None:
        """To the core: how its boards are, or that nobody knows."""
        now_s = self._loop.now_s()
        for status, told_s in machine.boards.values():
            if not machine.is_online or now_s - told_s > TOLD_FOR_S:
                self._send(absent(status, f"the machine {machine.name} is not reached"))
            else:
                self._send(aged(status, now_s - told_s))

    def _check(self, machine: str, event: AppEvent) -> str:
        """Why this event of that machine must not reach the core; "" if it may."""
        name = ""
        if isinstance(event, MeterUpdate):
            name = event.tap_name
        elif isinstance(event, ThermoEvent):
            name = event.sensor_name
        problem = self._claims.claim(machine, name.rpartition(".")[0]) if name else ""
        if problem:
            self._complain(f"{machine}'s {name}", problem)
        return problem

    def _tell(self, machine: Machine, event: CoreEvent) -> None:
        letter = Down(event=event, stamp=machine.stamps.last)
        self._write(machine.name, "down", write_down(letter))

    def _tell_took(self, name: str, letter: Took) -> None:
        self._write(name, "taken", write_took(letter), qos=1)

    def _write(self, name: str, what: str, letter: bytes, *, qos: int = 0) -> None:
        topic = self._topics.machine(name, what)
        self._publish(topic, self._seals.seal(topic, letter), qos=qos)

    def _complain(self, where: str, reason: str) -> None:
        unsaid = self._nonsense.admit(self._loop.now_s())
        if unsaid is not None:
            more = f" ({unsaid} more like it were not logged)" if unsaid else ""
            log.warning("skipped: %s: %s%s", ascii(where)[1:-1], reason, more)
