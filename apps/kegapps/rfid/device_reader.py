"""A reader that is a device of this machine: a serial one, or one that types.

Knows the device. What it sends is a decoder's business, what a tag means the listener's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from kegapps.daemon.held_device import HeldDevice, Opener
from kegapps.daemon.loop import Loop
from kegapps.rfid.reader import Listener


class TokenDecoder(Protocol):
    """Takes bytes as they arrive and gives the tokens they complete."""

    def feed(self, data: bytes) -> Iterator[str]:
        """The tokens completed by `data`."""

    @property
    def damage(self) -> str:
        """What came besides, for a person; empty if nothing did."""


class DeviceReader:
    """A `reader.Reader` at `path`. Each time that the device is opened a new decoder is made for it."""

    def __init__(
        self,
        loop: Loop,
        path: str,
        listener: Listener,
        *,
        opener: Opener,
        decoder: Callable[[], TokenDecoder],
    ) -> None:
        self._listener = listener
        self._new_decoder = decoder
        self._decoder = decoder()
        self._told = ""
        self._device = HeldDevice(
            loop, path, opener=opener, on_open=self._opened, on_bytes=self._read, on_gone=self._gone
        )

    @property
    def status(self) -> str:
        """`reading tags at /dev/ttyUSB0`, or what is waited for."""
        return f"reading tags at {self._device.path}" if self._device.is_open else self._device.status

    @property
    def is_there(self) -> bool:
        """True while the device is open."""
        return self._device.is_open

    def open(self) -> None:
        """Try the device now, and whenever something may be there."""
        self._device.open()

    def show(self, *, present: bool) -> None:
        """It beeps by itself."""

    def close(self) -> None:
        """Let go of the device."""
        self._device.close()

    def _opened(self) -> None:
        self._decoder = self._new_decoder()
        self._told = ""
        self._listener.changed()

    def _gone(self) -> None:
        self._listener.take_off()
        self._listener.changed()

    def _read(self, data: bytes) -> None:
        for token in self._decoder.feed(data):
            self._listener.seen(token)
        if self._decoder.damage != self._told:
            self._told = self._decoder.damage
            self._listener.complain(f"{self._device.path}: {self._told}")


def serial_reader(loop: Loop, path: str, listener: Listener, *, baud: int) -> DeviceReader:
    """An ID-12, ID-20 or RDM6300 on the port `path`."""
    from kegapps.daemon.port import Port
    from kegapps.rfid.tag_frames import TagDecoder

    def opener(on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]) -> Port:
        return Port(loop, path, baud=baud, on_bytes=on_bytes, on_lost=on_lost)

    return DeviceReader(loop, path, listener, opener=opener, decoder=TagDecoder)


def wedge_reader(loop: Loop, path: str, listener: Listener, *, form: str) -> DeviceReader:
    """A reader that is the event device `path` and types in `form`, one of FORMATS."""
    from kegapps.rfid.event_device import EventDevice
    from kegapps.rfid.wedge import WedgeDecoder

    def opener(on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]) -> EventDevice:
        return EventDevice(loop, path, on_bytes=on_bytes, on_lost=on_lost)

    def decoder() -> WedgeDecoder:
        return WedgeDecoder(form, opened_s=loop.now_s())

    return DeviceReader(loop, path, listener, opener=opener, decoder=decoder)
