"""Between one board and the core: the line, the messages, the relays, and what people are told about it.

Knows the port, the kegnet client, and when to look after either. What messages mean is `conversation`'s
business, how fast commands may follow each other `pacing`'s. Must not know flags.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from kegapps.daemon import runner
from kegapps.daemon.loop import Timer
from kegapps.kbsp.codec import Decoder
from kegapps.kbsp.messages import Message, OutputStatus
from kegapps.kegboard.conversation import Conversation, Remark
from kegapps.kegboard.pacing import Pacer
from kegapps.kegboard.port import Port, PortError
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import Event, SetRelayOutputEvent
from kegapps.kegnet.ratelimit import RateLimit

RETRY_S: Final = 0.5
RETRY_OLD_FIRMWARE_S: Final = 5.0
SETTLE_S: Final = 0.2  # a frame takes 11 ms on the wire; one that is unfinished after this was cut short
FAREWELL_S: Final = 0.4  # for relays and last readings; a program has to end within a second
UNPLUGGED: Final = "unplugged"

log = logging.getLogger("kegboard")


class Bridge:
    """One board, one core, one loop."""

    def __init__(
        self,
        service: runner.Service,
        *,
        device: str,
        name: str,
        core: tuple[str, int],
        required_firmware: int,
        token: str = "",
    ) -> None:
        self._service = service
        self._loop = service.loop
        self._device = device
        self._required_firmware = required_firmware
        self._conversation = Conversation(name=name, required_firmware=required_firmware)
        self._pacer = Pacer()
        self._decoder = Decoder()
        self._port: Port | None = None
        self._timer: Timer | None = None
        self._settle_s: float | None = None
        self._relays_on: set[int] = set()
        self._state = ""
        self._trouble = RateLimit(5, 60.0)
        self._told_damage = 0
        # The line is tried again and again, and the status goes on to say why until there is something better.
        self._hopeless = False
        self._core = Client(
            self._loop,
            core,
            on_event=self._from_core,
            on_connected=self._show,
            on_disconnected=self._show,
            token=token,
        )
        self._ready = False

    def start(self) -> None:
        """Try the device once and say that the program serves; the rest is the loop's."""
        self._open()
        self._ready = True
        self._service.ready(self._status())

    # -- the line ------------------------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._port = Port(self._loop, self._device, on_bytes=self._read, on_lost=self._lost)
        except PortError as error:
            still_unplugged = self._state.startswith(UNPLUGGED) and str(error) == "no such device"
            if not still_unplugged:
                self._set_state(f"waiting for {self._device}: {error}")
            self._loop.call_later(RETRY_S, self._open)
            return
        log.log(logging.DEBUG if self._hopeless else logging.INFO, "opened %s", self._device)
        self._decoder = Decoder()
        self._told_damage = 0
        self._settle_s = None
        self._pacer.forget()
        self._conversation.opened(self._loop.now_s())
        if not self._hopeless:
            self._set_state(f"board {self._conversation.name}: no hello yet from {self._device}")
        self._tend()

    def _lost(self, reason: str) -> None:
        self._port = None
        self._hopeless = False
        self._set_state(f"{reason}, waiting for {self._device}")
        self._loop.call_later(RETRY_S, self._open)

    def _close_and_retry(self, delay_s: float) -> None:
        if self._port is not None:
            # Opening it again then does what can be done for a board that hangs: it reboots.
            self._port.close(reboot=True)
            self._port = None
        self._loop.call_later(delay_s, self._open)

    def _read(self, data: bytes) -> None:
        self._take_in(self._decoder.feed(data))
        now_s = self._loop.now_s()
        self._settle_s = now_s + SETTLE_S if self._decoder.pending_bytes else None
        self._report_damage(now_s)
        self._tend()

    def _take_in(self, messages: Iterable[Message]) -> None:
        now_s = self._loop.now_s()
        for message in messages:
            before = self._conversation.hello
            for event in self._conversation.heard(message, now_s):
                if isinstance(event, Remark):
                    self._complain(event.text)
                else:
                    log.debug("%s", event)
                    self._core.send(event)
            if isinstance(message, OutputStatus):
                log.info("%s is %s", message.output_name, "on" if message.enabled else "off")
            if self._conversation.hello is not before:
                self._greet()

    def _greet(self) -> None:
        """Show what the board said about itself; give up on it if that is too old."""
        hello = self._conversation.hello
        assert hello is not None
        name, version = self._conversation.name, hello.firmware_version
        if self._conversation.too_old:
            self._hopeless = True
            self._set_state(
                f"board {name}: firmware {version} is too old, {self._required_firmware} or later is needed; "
                f"trying again every {RETRY_OLD_FIRMWARE_S:g} s"
            )
            self._close_and_retry(RETRY_OLD_FIRMWARE_S)
            return
        self._hopeless = False
        parts = [f"firmware {version}"]
        if hello.serial_number is not None:
            parts.append(f"serial {hello.serial_number or 'not set'}")
        if hello.uptime_s is not None:
            parts.append(self._since(hello.uptime_s))
        self._set_state(f"board {name}: {', '.join(parts)}")

    def _since(self, uptime_s: float) -> str:
        """When the board booted; the same text for every heartbeat, or each of them would be a line in the log."""
        booted = datetime.now() - timedelta(seconds=uptime_s)
        text = f"up since {booted:%Y-%m-%d %H:%M}"
        near = [f"up since {booted + timedelta(minutes=step):%Y-%m-%d %H:%M}" for step in (-1, 1)]
        return next((old for old in near if self._state.endswith(old)), text)

    # -- time ----------------------------------------------------------------------------------------------

    def _tend(self) -> None:
        """Do what is due on an open line, and come back when the next thing is."""
        if self._port is None:
            return
        now_s = self._loop.now_s()
        if self._settle_s is not None and self._settle_s <= now_s:
            self._settle_s = None
            self._take_in(self._decoder.settle())
        silent_s = self._conversation.silent_s
        if self._port is not None and silent_s is not None and silent_s <= now_s:
            known = self._conversation.hello is not None
            self._hopeless = True
            self._set_state(
                f"board {self._conversation.name}: no word from it on {self._device}"
                + ("" if known else "; is it a Kegboard?")
            )
            self._close_and_retry(0.0)
        if self._port is None:
            return
        if self._conversation.take_ping(now_s):
            self._pacer.ping()
        self._port.write(self._pacer.take(now_s))
        due_s = [
            self._settle_s,
            self._conversation.silent_s,
            self._conversation.next_ping_s,
            self._pacer.next_s,
        ]
        self._come_back(min((due for due in due_s if due is not None), default=None))

    def _come_back(self, due_s: float | None) -> None:
        if due_s is None:
            return
        if self._timer is not None and not self._timer.cancelled:
            if self._timer.due_s <= due_s:
                return  # it comes early, looks, and sets out again: cheaper than a new timer for each message
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, due_s - self._loop.now_s()), self._tend)

    # -- the core ------------------------------------------------------------------------------------------

    def _from_core(self, event: Event) -> None:
        if not isinstance(event, SetRelayOutputEvent):
            return
        command = self._conversation.output(event)
        if command is None or self._conversation.too_old:
            return
        output, enabled = command
        if enabled:
            self._relays_on.add(output)
        else:
            self._relays_on.discard(output)
        if self._port is None:
            self._complain(f"{event.output_name} stays as it is: the board is not there")
            return
        # The core repeats "enabled" every second, which feeds the board's watchdog: without a core, valves close.
        self._pacer.set_output(output, enabled=enabled)
        self._tend()

    def farewell(self) -> None:
        """The loop has stopped: relays off, send what can still be sent within 0.4 s, close."""
        until_s = self._loop.now_s() + FAREWELL_S
        self._pacer.hurry()
        for output in sorted(self._relays_on):
            self._pacer.set_output(output, enabled=False)
        while (now_s := self._loop.now_s()) < until_s:
            waits = [until_s]
            if self._port is not None:
                self._port.write(self._pacer.take(now_s))
            if self._port is not None and (next_s := self._pacer.next_s) is not None:
                waits.append(next_s)
            elif (self._port is None or not self._port.unsent_bytes) and (
                self._core.drained or not self._core.connected
            ):
                break
            self._loop.run_once(max(0.0, min(waits) - now_s))
        if not self._core.drained:
            log.warning("%d readings could not be sent to the core", self._core.waiting)
        if self._port is not None:
            self._port.close()
        self._core.close()

    # -- telling people --------------------------------------------------------------------------------------

    def _set_state(self, state: str) -> None:
        self._state = state
        self._show()

    def _status(self) -> str:
        if self._core.connected:
            return self._state
        return f"{self._state}; core not reached at {shown_address(*self._core.address)}"

    def _show(self) -> None:
        if self._ready:
            self._service.status(self._status())

    def _complain(self, text: str) -> None:
        unsaid = self._trouble.admit(self._loop.now_s())
        if unsaid is not None:
            log.warning("%s%s", text, f" ({unsaid} lines like this left out)" if unsaid else "")

    def _report_damage(self, now_s: float) -> None:
        del now_s
        decoder = self._decoder
        damage = decoder.crc_errors + decoder.bad_lengths + decoder.bad_trailers + decoder.malformed
        if damage != self._told_damage:
            self._told_damage = damage
            self._complain(
                f"noise on the line: {decoder.crc_errors} wrong checksums, {decoder.bad_lengths} wrong lengths, "
                f"{decoder.bad_trailers} wrong trailers, {decoder.malformed} senseless messages so far"
            )
