"""The endpoint: who may tell, what becomes of each event, and what a board is answered.

Knows requests, the store, the link to the core and the taps. Must not know sockets, flags or SQL.
Source: shared/kegbot-server-api.md, section 6.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from kegapps.daemon.loop import Loop
from kegapps.daemon.service import Service
from kegapps.gateway.attendance import Attendance
from kegapps.gateway.batch import (
    Batch,
    CommandResult,
    Dropped,
    Event,
    GrantEnd,
    Invalid,
    Pour,
    Status,
    Temperature,
    TokenShown,
    Unknown,
    read_batch,
)
from kegapps.gateway.core_link import CoreLink
from kegapps.gateway.pairing import Pairing, typed
from kegapps.gateway.pours import Pours, Unbelievable
from kegapps.gateway.records import Device, GrantRow, Meter
from kegapps.gateway.request import Request
from kegapps.gateway.server import Answer, Reply
from kegapps.gateway.store import Store, StoreError
from kegapps.gateway.taps import Key, Taps
from kegapps.gateway.waiting import Waiting
from kegapps.kegnet.events import BoardStatus, ThermoEvent
from kegapps.kegnet.ratelimit import RateLimit

log = logging.getLogger("gateway")

PATHS: Final = frozenset({"/api/kegboard-event", "/kegboard-event"})
RETRY_AFTER: Final = {"Retry-After": "10"}
_BUSY: Final = Answer(status=503, body={"error": "busy"}, headers=RETRY_AFTER)
FRESH_S: Final = 10.0
"""A token that was shown longer ago, and told of only now, asks for nothing any more."""
NOTE_EVERY_S: Final = 5.0
"""That a board was heard is written to the disk at most so often."""


class Gateway:
    """All boards, one core."""

    def __init__(
        self,
        service: Service,
        store: Store,
        core: tuple[str, int],
        *,
        token: str = "",
        default_ml_per_tick: float,
        decision_s: float = 0.3,
        boot: str,
        on_change: Callable[[], None],
    ) -> None:
        """`boot` names the time for which the monotonic clock means something; `on_change`: `status` may be another.

        `decision_s`: so long a token's answer waits for the core; the person stands at the tap.
        """
        self._loop: Loop = service.loop
        self._store = store
        self._on_change = on_change
        self._talk = RateLimit(20, 60.0)
        self._trouble = ""
        self._taps = Taps(lambda: os.urandom(8).hex())
        for meter in store.meters().values():
            self._taps.of(meter)
        for grant in store.open_grants():
            # A board may still hold what an earlier gateway gave it; nobody watches over that any more.
            self._taps.close(_board_of(grant.meter), grant.grant_id, self._loop.now_s())
            store.close_grant(grant.grant_id)
        store.commit()
        self.core = CoreLink(
            self._loop,
            store,
            self._taps,
            core,
            boot=boot,
            token=token,
            on_change=self._core_changed,
            on_tap=lambda board: self._waiting.look(board),
        )
        self._waiting = Waiting(self._loop, self._taps, decision_s=decision_s, answer=self._answer_later)
        self._pours = Pours(
            store,
            default_ml_per_tick=default_ml_per_tick,
            boot=boot,
            say=self._say,
            on_meter=self._meter_is_new,
            on_over=self.core.finish,
        )
        self._attendance = Attendance(self._loop, tell=self._tell_core, on_change=on_change)
        self._pairing = Pairing(self._loop, store, say=self._say, on_knock=on_change)

    @property
    def status(self) -> str:
        """How many boards there are, for a person."""
        if self._trouble:
            return self._trouble
        online = self._attendance.online
        try:
            pending = [device.device for device in self._store.devices() if device.state == "pending"]
        except StoreError as error:
            return str(error)
        parts = [f"boards online: {', '.join(online[:8])}" if online else "waiting for boards"]
        if pending:
            parts.append(f"to be allowed: {', '.join(map(typed, pending[:4]))}")
        return "; ".join(parts)

    def is_known(self, host: str) -> bool:
        """A board that may tell is at this address."""
        return self._attendance.is_at(host)

    def close(self) -> None:
        """Disconnect from the core."""
        self.core.close()

    # Requests

    def handle(self, request: Request, host: str, reply: Reply) -> None:
        """Answer a request, at once or when the core has decided."""
        try:
            answer = self._refusal(request) or self._take_request(request, host, reply)
            self._recover()
        except StoreError as error:
            self._store.undo()
            self._fail(error)
            answer = Answer(status=503, body={"error": "store"}, headers=RETRY_AFTER)
        except Exception:
            # Anybody in the network may have sent it: what we did not think of must not end the program.
            self._store.undo()
            if self._talk.admit(self._loop.now_s()) is not None:
                log.exception("a request from %s was too much; it is told to come again", host)
            answer = Answer(status=503, body={"error": "internal"}, headers=RETRY_AFTER)
        if answer is not None:
            reply(answer)

    def _refusal(self, request: Request) -> Answer | None:
        if request.path.rstrip("/") not in PATHS:
            return Answer(status=404, body={"error": "not_found"})
        if request.method != "POST":
            return Answer(status=405, body={"error": "method_not_allowed"}, headers={"Allow": "POST"})
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        # Also what keeps a web page from talking to us through the browser of somebody in this network.
        if kind != "application/json":
            return Answer(status=415, body={"error": "unsupported_media_type"})
        return None

    def _take_request(self, request: Request, host: str, reply: Reply) -> Answer | None:
        try:
            batch = read_batch(request.body)
        except Invalid as invalid:
            if self._pairing.is_too_much_from(host):
                return _BUSY
            detail = {"detail": invalid.detail} if invalid.detail else {}
            return Answer(status=400, body={"error": invalid.error} | detail)
        device = self._pairing.known(batch.device, request.headers.get("authorization", ""))
        if device is not None:
            return _BUSY if self._pairing.is_too_much_of(device) else self._take(device, batch, host, reply)
        if self._pairing.is_too_much_from(host):
            return _BUSY
        return Answer(status=401, body={"pairing": self._pairing.knock(batch.device, host)})

    # Batches

    def _take(self, device: Device, batch: Batch, host: str, reply: Reply) -> Answer | None:
        now_s, now_unix_s = self._loop.now_s(), time.time()
        if self._attendance.hear(device, host):
            self._say(logging.INFO, f"board {device.board_name} is online at {host}")
        self._store.begin()
        last_id = self._store.last_id(device.device, batch.boot_id)
        after: list[Callable[[], None]] = []
        shown: list[Key] = []
        malformed = 0
        for event in batch.events:
            what = event.what
            # A pour is known by its own id for ever: better taken out of order than lost.
            if event.id <= last_id and not (isinstance(what, Pour) and what.final):
                continue
            match what:
                case Pour():
                    try:
                        then = self._pours.take(
                            device, what, mono_s=now_s - event.age_s, unix_s=now_unix_s - event.age_s
                        )
                        after.append(then or self._feed)
                    except Unbelievable as doubt:
                        malformed += 1
                        self._say_dropped(device, "pour", str(doubt))
                case Status():
                    after.append(self._take_status(device, event, what))
                case Temperature():
                    after.append(self._take_temperature(device, event, what))
                case TokenShown():
                    if what.attached and event.age_s < FRESH_S:
                        shown.append((what.auth_device, what.token))
                    after.append(partial(self._take_token, device, what, event.age_s))
                case CommandResult():
                    self._acknowledge(device, what)
                case GrantEnd():
                    after.append(partial(self._end_grant, device, what))
                case Dropped():
                    malformed += 1
                    self._say_dropped(device, what.type, what.reason)
                case Unknown():
                    log.debug("%s: an event of a kind not known here: %s", device.board_name, what.type)
        self._store.take_ids(device.device, batch.boot_id, batch.events[-1].id, now_unix_s)
        if malformed or now_unix_s - device.heard_unix_s > NOTE_EVERY_S or host != device.host:
            self._store.heard(device.device, host, now_unix_s, malformed=malformed)
        self._store.commit()
        if shown:
            # Which relay is a tap's has to be known by when the core opens it.
            self.core.look(max_age_s=0.0)
        for act in after:
            act()
        if shown and self.core.knows:
            self._waiting.add(device.board_name, tuple(shown), reply)
            return None
        for key in shown:
            self._taps.deny(device.board_name, key, "the core is away", now_s)
        return self._answer(device.board_name)

    def _answer(self, board: str) -> Answer:
        """200, with what the board is to do."""
        now_s = self._loop.now_s()
        changes = self._taps.settle(board, now_s)
        for grant in changes.opened:
            self._store.add_grant(
                GrantRow(
                    grant_id=grant.grant_id, device=self._attendance.device_of(board), meter=grant.meter,
                    auth_device=grant.key[0], token=grant.key[1], at_unix_s=time.time(), open=True,
                )
            )  # fmt: skip
        for grant_id in changes.closed:
            self._store.close_grant(grant_id)
        self._store.commit()
        return Answer(status=200, body={"commands": self._taps.commands(board, now_s)})

    def _answer_later(self, board: str) -> Answer:
        try:
            return self._answer(board)
        except StoreError as error:
            self._store.undo()
            self._fail(error)
            return Answer(status=503, body={"error": "store"}, headers=RETRY_AFTER)

    # Events

    def _meter_is_new(self, meter: Meter) -> None:
        self._taps.of(meter)

    def _feed(self) -> None:
        try:
            self.core.feed()
        except StoreError as error:  # it is on the disk, and will be told
            self._store.undo()
            self._fail(error)

    def _take_status(self, device: Device, event: Event, status: Status) -> Callable[[], None]:
        for number in status.meters:
            self._pours.calibrate(device, number, status.ml_per_tick.get(number))
        self._store.status(
            device.device,
            fw_version=status.fw_version,
            uptime_s=status.uptime_s,
            events_dropped=status.events_dropped,
        )
        if status.events_dropped > device.events_dropped:
            lost = status.events_dropped - device.events_dropped
            self._say(
                logging.WARNING,
                f"{device.board_name}: the board had no room for {lost} events; they are lost",
            )
        self._attendance.learn(device, status, event.age_s)
        return partial(self._tell_status, device)

    def _tell_status(self, device: Device) -> None:
        self._attendance.tell_of(device)
        self._feed()
        self.core.look()
        self._pours.compare_calibrations()

    def _take_temperature(self, device: Device, event: Event, reading: Temperature) -> Callable[[], None]:
        sensor = re.sub(r"[^A-Za-z0-9_.:-]", "-", reading.sensor)[-(63 - len(device.board_name)) :]
        name = f"{device.board_name}.{sensor}"
        told = ThermoEvent(sensor_name=name, sensor_value=reading.temp_c, age_s=round(event.age_s, 3))
        return partial(self.core.tell, told)

    def _take_token(self, device: Device, shown: TokenShown, age_s: float) -> None:
        key = shown.auth_device, shown.token
        if not self.core.knows:
            return
        for meter in self._store.meters().values():
            if meter.device == device.device and not shown.attached:
                self.core.take_away(meter, key)
            elif meter.device == device.device and age_s < FRESH_S:
                self.core.show(meter, key)

    def _acknowledge(self, device: Device, result: CommandResult) -> None:
        if result.result != "ok":
            text = f"{device.board_name}: a command was not carried out: {result.result} {result.message}"
            self._say(logging.WARNING, text)
        self._taps.acknowledged(device.board_name, result.command)

    def _end_grant(self, device: Device, end: GrantEnd) -> None:
        meters = self._store.meters()
        for name in self._taps.ended(device.board_name, end.grant_id, end.meter_numbers):
            if self.core.knows:
                self.core.end_flow(meters[name])
        if end.grant_id:
            self._store.close_grant(end.grant_id)
            self._store.commit()

    # The core

    def _core_changed(self) -> None:
        if self.core.knows:
            self._attendance.tell_all()
            self._pours.compare_calibrations()
        self._on_change()

    def _tell_core(self, status: BoardStatus) -> None:
        if self.core.connected:
            self.core.tell(status)

    # Trouble

    def _fail(self, error: StoreError) -> None:
        if not self._trouble:
            log.error("%s; boards are told to come again", error)
        self._trouble = str(error)
        self._on_change()

    def _recover(self) -> None:
        if self._trouble:
            self._trouble = ""
            log.info("storing again")
            self._on_change()

    def _say_dropped(self, device: Device, kind: str, reason: str) -> None:
        self._say(logging.WARNING, f"{device.board_name}: dropped a {kind} event: {reason}")

    def _say(self, level: int, text: str) -> None:
        unsaid = self._talk.admit(self._loop.now_s())
        if unsaid is not None:
            log.log(level, "%s%s", text, f" ({unsaid} lines before it were left out)" if unsaid else "")


def _board_of(meter: str) -> str:
    return meter.rpartition(".")[0]
