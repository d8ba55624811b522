"""The bridge at the core: the tap room to MQTT, and machines with boards to the core.

Knows kegnet, the link, the machines and the loop. Must not know flags.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, get_args

from kegapps.bridge.homeassistant import discovery
from kegapps.bridge.mqtt_claims import MAX_BOARDS
from kegapps.bridge.mqtt_drinks import DrinkFeed
from kegapps.bridge.mqtt_link import MqttLink, Will
from kegapps.bridge.mqtt_machines import Machines
from kegapps.bridge.mqtt_retained import Retained
from kegapps.bridge.mqtt_seal import Seals
from kegapps.bridge.mqtt_settings import Broker
from kegapps.bridge.mqtt_spool import Spool
from kegapps.bridge.mqtt_topics import Topics
from kegapps.bridge.mqtt_views import TapRoom
from kegapps.daemon import version
from kegapps.daemon.loop import Timer
from kegapps.daemon.service import Service
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import (
    BoardState,
    CoreStatus,
    DrinkCreatedEvent,
    Drinks,
    Event,
    FlowUpdate,
    SetRelayOutputEvent,
    StatusRequest,
)
from kegapps.kegnet.taproom import taproom

PUBLISH_EVERY_S: Final = 0.2
ASK_EVERY_S: Final = 60.0
ASK_SOON_S: Final = 1.0  # after a board came or went: others may follow
SETTLED_S: Final = 2.0  # by then a core has noticed that those connected before us are gone
_STATES: Final = frozenset(get_args(BoardState)) - {"refused"}  # that is another board, which wants the name


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
        secret: str = "",
    ) -> None:
        """`machines`: who may pass on events, empty for anybody; `homeassistant_prefix` is empty for no discovery.

        With a `secret` only those machines are heard whose bridges have the same.
        """
        self._service = service
        self._loop = service.loop
        self._topics = topics
        self._homeassistant_prefix = homeassistant_prefix
        self._spool = spool
        self._room = TapRoom(topics)
        self._knows_room = False
        self._met_s = 0.0
        self._publishing: Timer | None = None
        self._asking: Timer | None = None
        self._client = Client(
            self._loop,
            core,
            on_event=self._from_core,
            on_connected=self._met_core,
            on_disconnected=self._lost_core,
            on_failed=lambda _problem: self._show(),
            token=token,
        )
        self._machines = Machines(
            self._loop,
            topics,
            core,
            token=token,
            allowed=machines,
            seals=Seals(secret),
            publish=self._publish,
            send=self._client.send,
            on_online=self._show,
            on_board=self._ask_soon,
        )
        self._link = MqttLink(
            self._loop,
            broker,
            library,
            client_id=topics.client_id(),
            will=Will(topic=topics.core, payload=b"offline"),
            subscriptions=self._machines.subscriptions,
            on_up=self._on_up,
            on_down=self._on_down,
            on_message=self._machines.take,
            on_state=self._show,
        )
        self._retained = Retained(spool, self._link.publish)
        self._drinks = DrinkFeed(spool, topics.drinks, ask=self._client.send, publish=self._link.publish)

    @property
    def status(self) -> str:
        """For a person."""
        where = shown_address(*self._client.address)
        problem = f": {self._client.problem}" if self._client.problem else ""
        core = f"core at {where}" if self._client.connected else f"waiting for the core at {where}{problem}"
        parts = [core, self._link.state]
        if not self._link.is_up:
            parts.reverse()  # what is waited for comes first
        if online := self._machines.online:
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
        self._machines.close()
        self._client.close()
        self._spool.close()

    # The core

    def _met_core(self) -> None:
        self._met_s = self._loop.now_s()
        self._link.publish(self._topics.core, b"online", qos=1, retain=True)
        self._ask()
        self._loop.call_later(SETTLED_S, self._ask_soon)
        self._machines.met_core()
        self._drinks.meet_core()
        self._show()

    def _lost_core(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._link.publish(self._topics.core, b"offline", qos=1, retain=True)
        self._machines.lost_core()
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
                self._machines.tell(event)
            case SetRelayOutputEvent():
                self._room.order(event)
                self._machines.tell(event)
            case DrinkCreatedEvent():
                self._machines.tell(event)
                self._drinks.heard(event.drink_id)
                self._ask()
            case Drinks():
                for drink in self._drinks.take(event):
                    self._room.pour(drink)
            case CoreStatus():
                self._use(event.report)
        self._publish_soon()

    def _use(self, report: Mapping[str, Any]) -> None:
        rows = report.get("boards")
        boards = {
            row["board_name"]: row
            for row in (rows[:MAX_BOARDS] if type(rows) is list else ())
            if type(row) is dict and type(row.get("board_name")) is str and row.get("state") in _STATES
        }
        if self._loop.now_s() - self._met_s >= SETTLED_S:
            self._machines.compare({name: row for name, row in boards.items() if row["state"] == "online"})
        self._room.use(taproom(report), {name: row["state"] for name, row in boards.items()})
        self._knows_room = True

    # To MQTT

    def _on_up(self) -> None:
        self._retained.forget()
        self._link.publish(
            self._topics.core, b"online" if self._client.connected else b"offline", qos=1, retain=True
        )
        self._publish_soon()
        self._drinks.look()

    def _on_down(self) -> None:
        self._drinks.lose_broker()
        self._machines.lost_broker()

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
        self._retained.hold(wanted)

    def _publish(self, topic: str, payload: bytes, *, qos: int = 0) -> bool:
        return self._link.publish(topic, payload, qos=qos)

    def _show(self) -> None:
        self._service.status(self.status)
