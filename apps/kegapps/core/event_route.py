"""Today's `kegboard-event` as one of the ways of a drink: pairing with the server, and what its answers mean here.

Knows boards, their tokens on the server, and time. Must not know the store, sockets, or the other ways.
Source: shared/kegbot-server-api.md, section 6. To the server each board is a device, which somebody has to allow.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kegapps.core.delivery import MAX_FAILURES
from kegapps.core.effects import Say
from kegapps.core.model import Now
from kegapps.core.outbox import Entry
from kegapps.server import event_api
from kegapps.server.calls import Answer, Call, Pour
from kegapps.server.event_api import MAX_EVENTS, DeviceEvent, Pairing, Reception, device_of
from kegapps.server.form_api import ServerTap
from kegapps.server.route import MAX_TAPS_AGE_S, Way, route
from kegapps.server.url import ApiUrl
from kegapps.server.verdicts import Kind

MAX_DEVICES: Final = 16
PAIRING_TIMEOUT_S: Final = 5.0
"""Drinks that go the other way wait as long when the endpoint hangs."""
MAX_TEMPERATURES: Final = 1440
"""Kept in memory while the server is away, a day of one sensor; the oldest give way."""


@dataclass(slots=True, kw_only=True)
class _Device:
    token: str | None = None
    is_out: bool = False
    """The server does not want it, or not what it says: not this way until the next probe."""
    polls: int = 0
    poll_mono_s: float = 0.0
    last_id: int = 0
    said_pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What an answer of the endpoint means."""

    reception: Reception
    says: tuple[Say, ...] = ()
    tokens: Mapping[str, str | None]
    """What is to be kept of devices: their token, or that they have none any more."""


class EventRoute:
    """The endpoint of one server."""

    def __init__(
        self, url: ApiUrl, *, boot_id: str, now: Now, tokens: Mapping[str, str], version: str = ""
    ) -> None:
        """`boot_id`: 1 to 32 characters, another one at every start. `tokens` by device, as kept."""
        self._url = url
        self._boot_id = boot_id
        self._version = version
        self._start_mono_s = now.mono_s
        self._devices = {device: _Device(token=token) for device, token in tokens.items()}
        self._temperatures: deque[tuple[str, str, float, float]] = deque(maxlen=MAX_TEMPERATURES)
        self.is_there = False
        self.can_look = True
        """The server can be asked what became of a drink that it took; while not, no new one goes this way."""
        self.failures = 0
        """In a row, of the endpoint itself. It is left alone for a while after each; the other ways are not."""
        self._rest_mono_s = float("-inf")

    def begin(self, *, is_there: bool) -> None:
        """A probe found the endpoint, or that there is none."""
        self.is_there = is_there
        for device in self._devices.values():
            device.is_out = False
            device.poll_mono_s = 0.0

    def is_paired(self, device_name: str) -> bool:
        """The server takes this device's events."""
        device = self._devices.get(device_name)
        return device is not None and device.token is not None and not device.is_out

    def pairing(self, taps: Iterable[ServerTap], now: Now) -> tuple[str, Call] | None:
        """The device that has to ask whether it is allowed now, and how; None: none has to."""
        if not self.is_there or now.mono_s < self._rest_mono_s:
            return None
        for tap in taps:
            found = device_of(tap.meter_name) if tap.has_meter else None
            if found is None:
                continue
            device = self._device(found[0])
            if device is None or device.token is not None or device.is_out or now.mono_s < device.poll_mono_s:
                continue
            event = event_api.status_event(
                self._next_id(device),
                now.unix_s,
                boot=True,
                version=self._version,
                uptime_s=now.mono_s - self._start_mono_s,
            )
            return found[0], replace(self._post(found[0], [event], now), timeout_s=PAIRING_TIMEOUT_S)
        return None

    def next_poll_mono_s(self) -> float | None:
        """When `pairing` has something to ask again."""
        if not self.is_there:
            return None
        polls = [d.poll_mono_s for d in self._devices.values() if d.token is None and not d.is_out]
        return max(min(polls), self._rest_mono_s) if polls else None

    def takes(self, entry: Entry, taps: Sequence[ServerTap], now: Now) -> bool:
        """The drink may go this way, if the taps are still as they were read."""
        if entry.sent_unix_s is not None:
            # It may be there already by this way: told again, it is one.
            is_able = self.failures < MAX_FAILURES
        else:
            is_able = self.can_look and now.mono_s >= self._rest_mono_s
        return is_able and self._way(entry, taps, 0.0) is Way.EVENT

    def needs_taps(self, taps_age_s: float) -> bool:
        """The taps are to be read again first: on one without a keg the server would drop the drink in silence."""
        return taps_age_s > MAX_TAPS_AGE_S

    def post(self, entry: Entry, now: Now) -> tuple[str, Call]:
        """The device that tells of this drink, and how. It may be repeated: the server knows it by its uuid."""
        found = device_of(entry.pour.meter_name)
        assert found is not None
        device = self._devices[found[0]]
        event = event_api.pour_event(self._next_id(device), entry.pour)
        return found[0], self._post(found[0], [event], now)

    def keep_temperature(self, sensor_name: str, celsius: float, at_unix_s: float) -> bool:
        """Tell of it when that is possible, with its time; False: not this way."""
        board, _, sensor = sensor_name.rpartition(".")
        if not self.is_paired(board):
            return False
        self._temperatures.append((board, sensor, celsius, at_unix_s))
        return True

    def temperatures(self, now: Now) -> tuple[str, Call] | None:
        """The board whose temperatures are to be told, and how; None: there are none."""
        if not self._temperatures or not self.is_there or now.mono_s < self._rest_mono_s:
            return None
        board, device = self._temperatures[0][0], self._devices[self._temperatures[0][0]]
        if not self.is_paired(board):
            self._temperatures.clear()
            return None
        return board, self._post(board, self._batch(board, device), now)

    def told_temperatures(self) -> None:
        """The server has answered to `temperatures`."""
        board = self._temperatures[0][0]
        for _ in range(MAX_EVENTS):
            if self._temperatures and self._temperatures[0][0] == board:
                self._temperatures.popleft()

    def received(self, device_name: str, answer: Answer, now: Now, *, jitter: float) -> Received:
        """Take the answer to `pairing`, `post` or `temperatures`. `jitter` is a random number from 0 to 1."""
        reception = event_api.receive(answer)
        device = self._devices[device_name]
        had_token = device.token is not None
        says = self._took(reception, now, jitter) if answer.sent else []
        if reception.pairing is Pairing.ALLOWED:
            device.token, device.polls, device.poll_mono_s = reception.token, 0, 0.0
            text = f"Kegbot Server: {device_name} is allowed there; what it can take by kegboard-event goes that way"
            says.append(Say(level=logging.INFO, text=text))
            return Received(reception=reception, says=tuple(says), tokens={device_name: reception.token})
        if reception.pairing is not None:
            device.token = None
            device.polls += 1
            device.poll_mono_s = now.mono_s + event_api.pairing_delay_s(device.polls)
            if not device.said_pending:
                device.said_pending = True
                text = f"Kegbot Server: {device_name}: {reception.verdict.reason}; until then the older API is used"
                says.append(Say(level=logging.INFO, text=text))
        elif device.token is None:
            device.poll_mono_s = now.mono_s + 60.0
        if reception.verdict.kind in (Kind.STOP, Kind.DEAD):
            device.is_out = True
            if reception.pairing is None:
                text = (
                    f"Kegbot Server: not by kegboard-event: {reception.verdict.reason}; the older API is used"
                )
                says.append(Say(level=logging.WARNING, text=text))
        tokens = {device_name: None} if had_token and device.token is None else {}
        return Received(reception=reception, says=tuple(says), tokens=tokens)

    def _took(self, reception: Reception, now: Now, jitter: float) -> list[Say]:
        """The endpoint does what it should, or is left alone for a while."""
        if reception.pairing is not None or reception.verdict.kind is not Kind.RETRY:
            self.failures, self._rest_mono_s = 0, float("-inf")
            return []
        self.failures += 1
        wait_s = event_api.retry_delay_s(self.failures, jitter)
        self._rest_mono_s = now.mono_s + max(wait_s, reception.verdict.retry_after_s or 0.0)
        if self.failures > 1:
            return []
        text = f"Kegbot Server: kegboard-event fails, the older API is used meanwhile: {reception.verdict.reason}"
        return [Say(level=logging.WARNING, text=text)]

    def _way(self, entry: Entry, taps: Sequence[ServerTap], taps_age_s: float) -> Way:
        pour = _as_sent(entry)
        found = device_of(pour.meter_name)
        return route(
            pour,
            kegboard_event=self.is_there,
            paired=found is not None and self.is_paired(found[0]),
            taps=taps,
            taps_age_s=taps_age_s,
            posted_by_form=entry.sent_by is Way.FORM,
        ).way

    def _batch(self, board: str, device: _Device) -> list[DeviceEvent]:
        first = itertools.islice(self._temperatures, MAX_EVENTS)
        return [
            event_api.temperature_event(self._next_id(device), sensor, celsius, at_unix_s)
            for _, sensor, celsius, at_unix_s in itertools.takewhile(lambda one: one[0] == board, first)
        ]

    def _device(self, name: str) -> _Device | None:
        if name not in self._devices and len(self._devices) < MAX_DEVICES:
            self._devices[name] = _Device()
        return self._devices.get(name)

    def _next_id(self, device: _Device) -> int:
        device.last_id += 1
        return device.last_id

    def _post(self, device_name: str, events: Sequence[DeviceEvent], now: Now) -> Call:
        return event_api.post_events(
            self._url,
            device=device_name,
            boot_id=self._boot_id,
            events=events,
            now_unix_s=now.unix_s,
            uptime_s=now.mono_s - self._start_mono_s,
            token=self._devices[device_name].token,
        )


def _as_sent(entry: Entry) -> Pour:
    return replace(entry.pour, username=None) if entry.without_user else entry.pour
