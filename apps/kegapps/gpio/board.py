"""The machine's own pins as a board: counts kept on the disk and told to the core, relays that obey it.

Knows the kegnet client, the loop, and who does what here. Must not know flags.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from kegapps.daemon.loop import Timer
from kegapps.daemon.service import Service
from kegapps.daemon.thread_calls import ThreadCalls
from kegapps.gpio.counts_file import CountsFile
from kegapps.gpio.header import Bell, Counter, Header, PinsError
from kegapps.gpio.live import LiveCounts
from kegapps.gpio.odometer import Odometers
from kegapps.gpio.outputs import Outputs
from kegapps.gpio.thermometers import Thermometers
from kegapps.gpio.wiring import Wiring
from kegapps.gpio.worker import Worker
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import BoardStatus, Event, SetRelayOutputEvent, ThermoEvent

UPDATE_S: Final = 0.1  # a Kegboard tells of a meter so often
DISK_RETRY_S: Final = 1.0
PINS_RETRY_S: Final = 5.0
TELL_EVERY_S: Final = 10.0
FAREWELL_S: Final = 0.4  # for the last ticks; a program has to end within a second

log = logging.getLogger("gpio")


class Board:
    """One header, one core, one loop."""

    def __init__(
        self,
        service: Service,
        *,
        name: str,
        wiring: Wiring,
        header: Header,
        counts: CountsFile,
        live: LiveCounts,
        core: tuple[str, int],
        token: str,
        w1_folder: str,
    ) -> None:
        self._service = service
        self._loop = service.loop
        self._name = name
        self._wiring = wiring
        self._header = header
        self._counts_file = counts
        self._calls = ThreadCalls(self._loop)
        self._bell = Bell(lambda: self._calls.call_soon(self._look))
        meters = [port.name for port in wiring.meters]
        self._odometers = Odometers(name, meters, counts.counts, now_s=self._loop.now_s())
        starts = self._odometers.starts
        live.begin(starts)
        self._counters = {
            meter: Counter(self._bell, partial(live.put, at, start))
            for at, (meter, start) in enumerate(zip(meters, starts.values(), strict=True))
        }
        self._outputs = Outputs(port.name for port in wiring.relays)
        self._disk = Worker(self._calls, "disk")
        self._writing = False
        self._disk_problem = ""
        self._pins_problem = "not tried yet"
        self._opened_s = 0.0
        self._ready = False
        self._watchdog: Timer | None = None
        self._telling: Timer | None = None
        self._core = Client(
            self._loop,
            core,
            on_event=self._from_core,
            on_connected=self._met_core,
            on_disconnected=self._lost_core,
            token=token,
        )
        if w1_folder:
            self._thermometers = Thermometers(
                self._loop,
                Worker(self._calls, "thermometers"),
                w1_folder,
                on_reading=self._measured,
                on_trouble=lambda sensor, why: log.warning("%s.%s: %s", name, sensor, why),
            )

    def start(self) -> None:
        """Try the pins once and say that the program serves; the rest is the loop's."""
        self._open()
        self._ready = True
        self._service.ready(self._status())

    # Pins

    def _open(self) -> None:
        try:
            self._header.open(self._counters)
        except PinsError as error:
            self._pins_problem = str(error)
            self._loop.call_later(PINS_RETRY_S, self._open)
        else:
            self._pins_problem = ""
            self._opened_s = self._loop.now_s()
            for event in self._odometers.begin(self._opened_s):
                self._core.send(event)
            self._look()
        self._tell()
        self._show()

    # Ticks

    def _look(self) -> None:
        """Take what was counted; the bell is silent until all of it is on the disk, and UPDATE_S are over."""
        if not self._writing and not self._save():
            self._bell.arm()
            if self._has_news():
                self._bell.tick()

    def _save(self) -> bool:
        """Begin to write what is not on the disk; False if all is."""
        for name, counter in self._counters.items():
            self._odometers.count(name, counter.pulses)
        begin_s = self._loop.now_s()
        counts = self._odometers.to_save(begin_s)
        if counts is None:
            return False
        self._writing = True
        self._disk.do(lambda: self._write(counts), lambda: self._written(counts, begin_s))
        return True

    def _has_news(self) -> bool:
        for name, counter in self._counters.items():
            self._odometers.count(name, counter.pulses)
        return self._odometers.to_save(self._loop.now_s()) is not None

    def _write(self, counts: Mapping[str, int]) -> None:
        """In the thread."""
        try:
            self._counts_file.write(counts)
            self._disk_problem = ""
        except (OSError, ValueError) as error:
            self._disk_problem = getattr(error, "strerror", None) or str(error)

    def _written(self, counts: Mapping[str, int], begin_s: float) -> None:
        self._writing = False
        self._show()
        if self._disk_problem:
            self._loop.call_later(DISK_RETRY_S, self._look)
            return
        now_s = self._loop.now_s()
        for event in self._odometers.saved(counts, now_s):
            self._core.send(event)
        self._loop.call_later(max(0.0, begin_s + UPDATE_S - now_s), self._look)

    # Relays

    def _from_core(self, event: Event) -> None:
        if isinstance(event, SetRelayOutputEvent):
            board, _, relay = event.output_name.rpartition(".")
            if board == self._name and not self._pins_problem:
                enabled = event.output_mode == "enabled"
                self._switch(self._outputs.command(relay, enabled=enabled, now_s=self._loop.now_s()))

    def _bite(self) -> None:
        off = self._outputs.bite(self._loop.now_s())
        if off:
            log.warning("nobody speaks of %s any more: off", ", ".join(off))
        self._switch(off)

    def _switch(self, changes: Mapping[str, bool]) -> None:
        for relay, on in changes.items():
            try:
                self._header.switch(relay, on=on)
                log.info("%s.%s is %s", self._name, relay, "on" if on else "off")
            except PinsError as error:
                log.error("%s.%s cannot be switched %s: %s", self._name, relay, "on" if on else "off", error)
                self._outputs.failed(relay, on=on, now_s=self._loop.now_s())
        if self._watchdog is not None:
            self._watchdog.cancel()
        bites_s = self._outputs.bites_s
        self._watchdog = (
            None if bites_s is None else self._loop.call_later(bites_s - self._loop.now_s(), self._bite)
        )

    # Temperatures

    def _measured(self, sensor: str, celsius: float) -> None:
        self._core.send(ThermoEvent(sensor_name=f"{self._name}.{sensor}", sensor_value=celsius))

    # The core

    def _met_core(self) -> None:
        self._tell_on()
        self._show()

    def _lost_core(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        self._switch(self._outputs.all_off())  # nobody keeps watch over an open valve any more
        self._show()

    def _tell_on(self) -> None:
        self._telling = self._loop.call_later(TELL_EVERY_S, self._tell_on)
        self._tell()

    def _tell(self) -> None:
        if not self._core.connected:
            return
        if self._pins_problem:
            status = BoardStatus(board_name=self._name, state="absent", detail=f"pins: {self._pins_problem}")
        else:
            up_s = round(self._loop.now_s() - self._opened_s, 3)
            status = BoardStatus(
                board_name=self._name,
                state="online",
                detail=self._wiring.text,
                uptime_s=up_s,
                listened_s=up_s,
            )
        self._core.send(status)

    def farewell(self) -> None:
        """The loop has stopped: relays off, the last ticks to the disk and the core within 0.4 s, close."""
        self._switch(self._outputs.all_off())
        until_s = self._loop.now_s() + FAREWELL_S
        while (left_s := until_s - self._loop.now_s()) > 0:
            is_kept = not self._writing and (self._disk_problem or not self._save())
            if is_kept and (self._core.drained or not self._core.connected):
                break
            self._loop.run_once(left_s)
        if not self._core.drained:
            log.warning(
                "%d readings could not be sent to the core; they are in the counts", self._core.waiting
            )
        self._core.close()

    # Telling people

    def _status(self) -> str:
        return "; ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        if self._pins_problem:
            yield f"waiting for the pins: {self._pins_problem}"
        else:
            yield f"board {self._name}: {self._wiring.text or 'no meters (--meters)'}"
        if self._disk_problem:
            yield f"nothing is told, for it cannot be kept in {self._counts_file.path}: {self._disk_problem}"
        if not self._core.connected:
            yield f"core not reached at {shown_address(*self._core.address)}"

    def _show(self) -> None:
        if self._ready:
            self._service.status(self._status())
