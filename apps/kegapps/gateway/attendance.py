"""Which boards are there: who came lately is online, and who has not is absent; the core is told of both.

Knows boards, kegnet's words for them, and time. Must not know requests, the store or sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kegapps.daemon.loop import Loop
from kegapps.gateway.batch import Status
from kegapps.gateway.records import Device
from kegapps.kegnet.events import BoardStatus

SILENCE_S: Final = 150.0
"""A board that has not come for so long, two heartbeats and a half, is taken for absent."""
TELL_EVERY_S: Final = 10.0


@dataclass(slots=True, kw_only=True)
class _Heard:
    """What is known of a board in this run."""

    board_name: str
    host: str
    heard_s: float
    fw_version: str
    booted_s: float | None = None


class Attendance:
    """Boards that came in this run. `tell` says a word to the core; `on_change` is called when one came or went."""

    def __init__(
        self, loop: Loop, *, tell: Callable[[BoardStatus], None], on_change: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._on_change = on_change
        self._heard: dict[str, _Heard] = {}

    @property
    def online(self) -> list[str]:
        """The names in the core of those that are there."""
        return sorted(heard.board_name for heard in self._heard.values() if self._is_online(heard))

    def is_at(self, host: str) -> bool:
        """A board that is there came from this address last."""
        return any(heard.host == host and self._is_online(heard) for heard in self._heard.values())

    def device_of(self, board_name: str) -> str:
        """The device that bears this name in the core."""
        found = (name for name, heard in self._heard.items() if heard.board_name == board_name)
        return next(found, board_name)

    def hear(self, device: Device, host: str) -> bool:
        """The board came; True if it was not there before."""
        now_s = self._loop.now_s()
        heard = self._heard.get(device.device)
        is_back = heard is None or not self._is_online(heard)
        if heard is None:
            if not self._heard:
                self._loop.call_later(TELL_EVERY_S, self._tell_on)
            heard = _Heard(
                board_name=device.board_name, host=host, heard_s=now_s, fw_version=device.fw_version
            )
            self._heard[device.device] = heard
        heard.heard_s, heard.host, heard.board_name = now_s, host, device.board_name
        if is_back:
            self._tell_of(heard)
            self._on_change()
        return is_back

    def learn(self, device: Device, status: Status, age_s: float) -> None:
        """The board, which came, said so long ago how it was."""
        heard = self._heard[device.device]
        heard.fw_version = status.fw_version
        heard.booted_s = None if status.uptime_s is None else self._loop.now_s() - age_s - status.uptime_s

    def tell_of(self, device: Device) -> None:
        """Tell the core of this board."""
        self._tell_of(self._heard[device.device])

    def tell_all(self) -> None:
        """Tell the core of all boards."""
        for heard in self._heard.values():
            self._tell_of(heard)

    def _tell_on(self) -> None:
        self._loop.call_later(TELL_EVERY_S, self._tell_on)
        self.tell_all()
        self._on_change()

    def _is_online(self, heard: _Heard) -> bool:
        return self._loop.now_s() - heard.heard_s <= SILENCE_S

    def _tell_of(self, heard: _Heard) -> None:
        now_s, online = self._loop.now_s(), self._is_online(heard)
        detail = f"firmware {heard.fw_version}" if heard.fw_version else ""
        if not online:
            detail = f"not heard for {now_s - heard.heard_s:.0f} s"
        has_uptime = online and heard.booted_s is not None
        self._tell(
            BoardStatus(
                board_name=heard.board_name,
                state="online" if online else "absent",
                detail=detail,
                device=f"http {heard.host}",
                uptime_s=max(0.0, now_s - (heard.booted_s or 0.0)) if has_uptime else None,
            )
        )
