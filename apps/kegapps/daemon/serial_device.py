"""One serial device, kept open for ever.

Knows the port. Must not know what travels on the line.
"""

from __future__ import annotations

from collections.abc import Callable

from kegapps.daemon.held_device import HeldDevice
from kegapps.daemon.loop import Loop
from kegapps.daemon.port import Port


class SerialDevice(HeldDevice):
    """A HeldDevice that is the serial port `path` at `baud`."""

    def __init__(
        self,
        loop: Loop,
        path: str,
        *,
        baud: int,
        on_open: Callable[[], None],
        on_bytes: Callable[[bytes], None],
        on_gone: Callable[[], None],
    ) -> None:
        def port(on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]) -> Port:
            return Port(loop, path, baud=baud, on_bytes=on_bytes, on_lost=on_lost)

        super().__init__(loop, path, opener=port, on_open=on_open, on_bytes=on_bytes, on_gone=on_gone)
