"""The bridge at the core: the tap room to MQTT, and machines with boards to the core.

Knows kegnet, the link, the machines and the loop. Must not know flags.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, get_args

from kegapps.bridge.homeassistant import discovery
from kegapps.bridge.mqtt_drinks import DrinkFeed
from kegapps.bridge.mqtt_letters import (
    Down,
    LetterError,
    Took,
    read_beat,
    read_status,
    read_up,
    write_down,
    write_took,
)
from kegapps.bridge.mqtt_link import Message, MqttLink, Will
from kegapps.bridge.mqtt_machine import Machine
from kegapps.bridge.mqtt_settings import Broker
from kegapps.bridge.mqtt_spool import Spool, SpoolError
from kegapps.bridge.mqtt_topics import Topics
from kegapps.bridge.mqtt_views import TapRoom
from kegapps.daemon import version
from kegapps.daemon.loop import Timer
from kegapps.daemon.service import Service
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import (
    AppEvent,
    BoardState,
    BoardStatus,
    CoreStatus,
    DrinkCreatedEvent,
    Drinks,
    Event,
    FlowUpdate,
    MeterUpdate,
    SetRelayOutputEvent,
    StatusRequest,
    ThermoEvent,
)
from kegapps.kegnet.ratelimit import RateLimit
from kegapps.kegnet.taproom import taproom

log = logging.getLogger("mqtt")

MAX_MACHINES: Final = 32
MAX_BOARDS: Final = 64  # of all machines: so many a core remembers of one connection
MAX_BOARDS_OF_ONE: Final = 16
PUBLISH_EVERY_S: Final = 0.2
ASK_EVERY_S: Final = 60.0
ASK_SOON_S: Final = 1.0  # after a board came or went: others may follow
SETTLED_S: Final = 2.0  # by then a core has noticed that those connected before us are gone
_STATES: Final = frozenset(get_args(BoardState)) - {"refused"}  # that is another board, which wants the name
_TOLD_FOR_S: Final = 25.0  # a daemon tells every 10 s how its boards are


class CoreBridge:
    """One core, one broker, and the machines behind it."""

    def __init__(
        self,
        service: Service,
        *,
        broker: Broker,
        library: Any,
        topics: Topics,
        machines: Collection[str],
        homeassistant_prefix: str,
        spool: Spool,
        core: tuple[str, int],
        token: str = "",
    ) -> None:
        """`machines`: who may pass on events, empty for anybody; `homeassistant_prefix` is empty for no discovery."""
        self._service = service
        self._loop = service.loop
        self._topics = topics
        self._allowed = frozenset(machines)
        self._homeassistant_prefix = homeassistant_prefix
        self._spool = spool
        self._core_address = core
        self._token = token
        self._machines: dict[str, Machine] = {}
        self._owners: dict[str, str] = {}  # which machine's a board is
        self._local_boards: frozenset[str] = frozenset()
        self._room = TapRoom(topics)
        self._held: dict[str, bytes] = {}  # what was published, retained, over this connection
        self._retained = spool.retained()
        self._knows_room = False
        self._met_s = 0.0
        self._publishing: Timer | None = None
        self._asking: Timer | None = None
        self._nonsense = RateLimit(5, 60.0)
        self._client = Client(
            self._loop,
            core,
            on_event=self._from_core,
            on_connected=self._met_core,
            on_disconnected=self._lost_core,
            on_failed=lambda _problem: self._show(),
            token=token,
        )
        self._link = MqttLink(
            self._loop,
            broker,
            library,
            client_id=f"{topics.prefix.replace('/', '-')}-core",
            will=Will(topic=topics.core, payload=b"offline"),
            subscriptions=tuple(
                topics.machine(name, what)
                for name in (sorted(self._allowed) or ["+"])
                for what in ("up", "status", "beat", "availability")
            ),
            on_up=self._on_up,
            on_down=self._on_down,
            on_message=self._on_message,
            on_state=self._show,
        )
        self._drinks = DrinkFeed(spool, topics.drinks, ask=self._client.send, publish=self._link.publish)

    @property
    def status(self) -> str:
        """For a person."""
        where = shown_address(*self._client.address)
        core = f"core at {where}" if self._client.connected else f"core not reached at {where}"
        parts = [core, self._link.state]
        online = sorted(name for name, machine in self._machines.items() if machine.is_online)
        if online:
            parts.append(f"machines: {', '.join(online)}")
        return "; ".join(parts)

    def start(self) -> None:
        """Look for the broker; the core is looked for already."""
        self._link.start()

    def close(self) -> None:
        """Say good-bye to both."""
        self._room.lose()
        self._publish_now()
        self._link.publish(self._topics.core, b"offline", qos=1, retain=True)
        self._link.close()
        for machine in self._machines.values():
            machine.close()
        self._client.close()
        self._spool.close()

    # The core

    def _met_core(self) -> None:
        self._met_s = self._loop.now_s()
        self._link.publish(self._topics.core, b"online", qos=1, retain=True)
        self._ask()
        self._loop.call_later(SETTLED_S, self._ask_soon)
        for machine in self._machines.values():
            self._tell_boards(machine)
        self._drinks.look()
        self._show()

    def _lost_core(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._link.publish(self._topics.core, b"offline", qos=1, retain=True)
        for machine in self._machines.values():
            machine.stamps.forget()
        self._drinks.lose()
        self._room.lose()
        self._publish_soon()
        self._show()

    def _ask(self) -> None:
        """What is on tap changes with drinks, or when a person changes it: nobody tells of that."""
        if self._asking is not None:
            self._asking.cancel()
        self._asking = self._loop.call_later(ASK_EVERY_S, self._ask)
        self._client.send(StatusRequest())

    def _ask_soon(self) -> None:
        now_s = self._loop.now_s()
        if self._asking is None or self._asking.due_s - now_s > ASK_SOON_S:
            if self._asking is not None:
                self._asking.cancel()
            self._asking = self._loop.call_later(ASK_SOON_S, self._ask)

    def _from_core(self, event: Event) -> None:
        match event:
            case FlowUpdate():
                self._room.flow(event)
                self._tell_machines(event)
            case SetRelayOutputEvent():
                self._room.order(event)
                self._tell_machines(event)
            case DrinkCreatedEvent():
                self._tell_machines(event)
                self._drinks.look()
                self._ask()
            case Drinks():
                for drink in self._drinks.take(event):
                    self._room.pour(drink)
            case CoreStatus():
                self._use(event.report)
        self._publish_soon()

    def _use(self, report: Mapping[str, Any]) -> None:
        boards: dict[str, BoardState] = {}
        is_settled = self._loop.now_s() - self._met_s >= SETTLED_S
        rows = report.get("boards")
        for row in rows[:MAX_BOARDS] if type(rows) is list else ():
            if type(row) is dict and type(row.get("board_name")) is str and row.get("state") in _STATES:
                boards[row["board_name"]] = row["state"]
                if is_settled and row["state"] == "online":
                    self._compare(row)
        if is_settled:
            self._local_boards = frozenset(
                name for name, state in boards.items() if state == "online" and name not in self._owners
            )
        self._room.use(taproom(report), boards)
        self._knows_room = True

    def _compare(self, row: Mapping[str, Any]) -> None:
        """Two boards of one name cannot be told apart, but seen: theirs are other devices."""
        name = row["board_name"]
        machine = self._machines.get(self._owners.get(name, ""))
        status, _ = (machine.boards.get(name) if machine else None) or (None, 0.0)
        if machine is not None and status is not None and status.state == "online":
            told = (row.get("serial_number"), row.get("device"))
            if told != (status.serial_number, status.device):
                self._complain(
                    f"board {name}",
                    f"machine {machine.name} has one at {status.device}, and there is another, whose ticks are counted "
                    "together with its; give one of them another --kegboard_name",
                )

    # To MQTT

    def _on_up(self) -> None:
        self._held.clear()  # it may be another broker, or have forgotten
        self._link.publish(
            self._topics.core, b"online" if self._client.connected else b"offline", qos=1, retain=True
        )
        self._publish_soon()
        self._drinks.look()

    def _on_down(self) -> None:
        self._drinks.lose()
        for machine in self._machines.values():
            machine.is_online = False
            machine.stamps.forget()
            self._tell_boards(machine)

    def _publish_soon(self) -> None:
        """A pour is told of several times a second; five are enough, and the last is always told."""
        if self._publishing is None or self._publishing.cancelled:
            self._publishing = self._loop.call_later(PUBLISH_EVERY_S, self._publish_now)

    def _publish_now(self) -> None:
        if not (self._link.is_up and self._knows_room):
            return
        wanted = self._room.payloads()
        if self._homeassistant_prefix:
            wanted |= discovery(
                self._topics,
                prefix=self._homeassistant_prefix,
                version=version.number(),
                taps=self._room.taps,
                relays=self._room.relays,
                boards=self._room.boards,
            )
        # Noted before it is told: what is told and not noted would stay with the broker for ever.
        if not wanted.keys() <= self._retained and not self._note_retained(self._retained | wanted.keys()):
            return
        gone = self._retained - wanted.keys()
        for topic, payload in (*wanted.items(), *((topic, b"") for topic in gone)):
            if self._held.get(topic) != payload:
                self._link.publish(topic, payload, qos=1, retain=True)
                self._held[topic] = payload
        if gone:
            self._note_retained(set(wanted))

    def _note_retained(self, topics: set[str]) -> bool:
        try:
            self._spool.set_retained(topics)
        except SpoolError as error:
            self._complain("what the broker is to hold", str(error))
            return False
        self._retained = topics
        return True

    # Machines

    def _on_message(self, message: Message) -> None:
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
        machine = self._machine(name)
        if machine is None:
            return
        try:
            if what == "up":
                machine.take(read_up(message.payload))
            elif what == "status":
                self._on_status(machine, read_status(message.payload))
            elif what == "beat":
                beat = read_beat(message.payload)
                for order in machine.stamps.beat(beat.stamp, again=beat.again, now_s=self._loop.now_s()):
                    self._tell_machine(machine, order)
        except LetterError as error:
            self._complain(message.topic, str(error))

    def _machine(self, name: str) -> Machine | None:
        machine = self._machines.get(name)
        if machine is None and self._allowed and name not in self._allowed:
            self._complain(name, "it is not one of --mqtt_machines")
        elif machine is None and len(self._machines) >= MAX_MACHINES:
            self._complain(name, f"there are {MAX_MACHINES} machines already")
        elif machine is None:
            machine = self._machines[name] = Machine(
                self._loop,
                name,
                self._core_address,
                token=self._token,
                tell=partial(self._tell_took, name),
                check=partial(self._check, name),
            )
        return machine

    def _on_availability(self, name: str, payload: bytes) -> None:
        is_online = payload == b"online"
        machine = self._machine(name) if is_online else self._machines.get(name)
        if machine is not None and machine.is_online != is_online:
            machine.is_online = is_online
            log.info("machine %s is %s", name, "online" if is_online else "offline")
            if not is_online:
                machine.stamps.forget()
                self._tell_boards(machine)
            self._show()

    def _on_status(self, machine: Machine, status: BoardStatus) -> None:
        problem = self._claim(machine.name, status.board_name)
        if problem:
            self._complain(f"{machine.name}'s board {status.board_name}", problem)
            return
        before = machine.boards.get(status.board_name)
        machine.boards[status.board_name] = (status, self._loop.now_s())
        machine.is_online = True
        self._client.send(status)
        if before is None or before[0].state != status.state:
            self._ask_soon()

    def _tell_boards(self, machine: Machine) -> None:
        """To the core: how its boards are, or that nobody knows."""
        now_s = self._loop.now_s()
        for status, told_s in machine.boards.values():
            if not machine.is_online or now_s - told_s > _TOLD_FOR_S:
                detail = f"the machine {machine.name} is not reached"
                self._client.send(
                    replace(status, state="absent", detail=detail, uptime_s=None, listened_s=None)
                )
            else:
                ago_s = now_s - told_s
                self._client.send(
                    replace(
                        status,
                        uptime_s=None if status.uptime_s is None else round(status.uptime_s + ago_s, 3),
                        listened_s=None if status.listened_s is None else round(status.listened_s + ago_s, 3),
                    )
                )

    def _check(self, machine: str, event: AppEvent) -> str:
        """Why this event of that machine must not reach the core; "" if it may."""
        name = ""
        if isinstance(event, MeterUpdate):
            name = event.tap_name
        elif isinstance(event, ThermoEvent):
            name = event.sensor_name
        problem = self._claim(machine, name.rpartition(".")[0]) if name else ""
        if problem:
            self._complain(f"{machine}'s {name}", problem)
        return problem

    def _claim(self, machine: str, board: str) -> str:
        """A board is one machine's: two odometers of one name would be counted as one that runs to and fro."""
        owner = self._owners.get(board)
        if owner == machine:
            return ""
        if owner is not None:
            return f"machine {owner} has a board of that name; give one of them another --kegboard_name"
        if board in self._local_boards:
            return "the core's own machine has a board of that name; give one of them another --kegboard_name"
        if len(self._owners) >= MAX_BOARDS or [*self._owners.values()].count(machine) >= MAX_BOARDS_OF_ONE:
            return f"there are {len(self._owners)} boards already"
        self._owners[board] = machine
        return ""

    def _tell_machines(self, event: FlowUpdate | DrinkCreatedEvent | SetRelayOutputEvent) -> None:
        for machine in self._machines.values():
            if isinstance(event, SetRelayOutputEvent):
                if self._owners.get(event.output_name.rpartition(".")[0]) != machine.name:
                    continue
                machine.stamps.say(event, self._loop.now_s())
            self._tell_machine(machine, event)

    def _tell_machine(
        self, machine: Machine, event: FlowUpdate | DrinkCreatedEvent | SetRelayOutputEvent
    ) -> None:
        letter = Down(event=event, stamp=machine.stamps.last)
        self._link.publish(self._topics.machine(machine.name, "down"), write_down(letter))

    def _tell_took(self, name: str, letter: Took) -> None:
        self._link.publish(self._topics.machine(name, "taken"), write_took(letter), qos=1)

    # Telling people

    def _complain(self, where: str, reason: str) -> None:
        unsaid = self._nonsense.admit(self._loop.now_s())
        if unsaid is not None:
            more = f" ({unsaid} more like it were not logged)" if unsaid else ""
            log.warning("skipped: %s: %s%s", ascii(where)[1:-1], reason, more)

    def _show(self) -> None:
        self._service.status(self.status)
