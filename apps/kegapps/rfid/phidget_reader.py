"""A PhidgetRFID (1023, 1024) by the library of its maker.

Knows Phidget22. Its callbacks come from threads of its own: they only hand over to the loop, which does the rest.
Every call to a channel may find that it has just been unplugged; that news is under way then, so such errors are not.

A channel is opened once, unattached, and the library tells when a reader comes and goes, whenever that is.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kegapps.daemon.errors import StartError
from kegapps.daemon.extras import extra
from kegapps.daemon.loop import Loop, Timer
from kegapps.daemon.thread_calls import ThreadCalls
from kegapps.rfid.reader import Listener

EXTRA: Final = "rfid"
WANTED_BY: Final = "--rfid_device_type=phidget"
OUTPUTS: Final = (0, 1, 2)  # +5V, the LED driver, the LED on the board
PHIDGETTAG: Final = 3  # the protocol whose tags bear up to 24 characters of text
_DIGITS: Final = re.compile(r"[0-9A-Fa-f]{1,64}")
_NAME: Final = "a PhidgetRFID reader"


def token_of(tag: str, protocol: int) -> str | None:
    """The token of what the library calls a tag; None if that is empty.

    An EM4100's ten hexadecimal digits and a FDX-B's fifteen decimal ones as they are; of text, its bytes.
    """
    if protocol != PHIDGETTAG and _DIGITS.fullmatch(tag):
        return tag.lower()
    return tag.encode("utf-8", "replace")[:32].hex() or None


class PhidgetReader:
    """A `reader.Reader`: whichever reader is plugged in first."""

    def __init__(self, loop: Loop, listener: Listener, *, toggle_output: bool, wait_s: float) -> None:
        """`wait_s` > 0: it is an error if no reader came by then. Raises StartError without the library."""
        self._loop = loop
        self._listener = listener
        self._toggle_output = toggle_output
        self._wait_s = wait_s
        self._error: type[Exception] = _import("PhidgetException", "PhidgetException")
        self._new_rfid = _import("Devices.RFID", "RFID")
        self._new_output = _import("Devices.DigitalOutput", "DigitalOutput") if toggle_output else None
        self._calls = ThreadCalls(loop)
        self._rfid: Any = None
        self._outputs: list[Any] = []
        self._serial: int | None = None  # of the reader that is there
        self._present = False
        # To the library a reader that this user may not open is none at all.
        self._problem = "no such device, or no rule of udev lets this user open it"
        self._timer: Timer | None = None

    @property
    def status(self) -> str:
        """`reading tags at PhidgetRFID 123456`, or what is waited for."""
        if self._serial is None:
            return f"waiting for {_NAME}: {self._problem}"
        return f"reading tags at PhidgetRFID {self._serial}"

    @property
    def is_there(self) -> bool:
        """True while a reader is attached."""
        return self._serial is not None

    def open(self) -> None:
        """Let the library look for a reader for ever. Raises StartError if it cannot."""
        try:
            rfid = self._rfid = self._new_rfid()
            rfid.setOnAttachHandler(self._handler(self._attached))
            rfid.setOnDetachHandler(self._handler(self._detached))
            rfid.setOnErrorHandler(self._handler(self._troubled))
            rfid.setOnTagHandler(self._handler(self._tag))
            rfid.setOnTagLostHandler(self._handler(self._tag_lost))
            rfid.open()
        except self._error as error:
            raise StartError(f"{WANTED_BY}: {_in_words(error)}") from None
        if self._wait_s:
            self._timer = self._loop.call_later(self._wait_s, self._waited)

    def show(self, *, present: bool) -> None:
        """Switch its outputs, if that is wanted."""
        self._present = present
        for output in self._outputs:
            self._switch(output)

    def close(self) -> None:
        """Switch its outputs off and let go of it."""
        if self._timer is not None:
            self._timer.cancel()
        self.show(present=False)
        self._close_outputs()
        if self._rfid is not None:
            with contextlib.suppress(self._error):
                self._rfid.close()
        self._calls.close()

    # -- from the library's threads ------------------------------------------------------------------------

    def _handler(self, callback: Callable[..., None]) -> Callable[..., None]:
        """What the library is given: `callback` with the same arguments, without the channel, by the loop."""

        def handle(_channel: Any, *arguments: Any) -> None:
            self._calls.call_soon(partial(callback, *arguments))

        return handle

    # -- from the loop -------------------------------------------------------------------------------------

    def _attached(self) -> None:
        try:
            self._rfid.setAntennaEnabled(True)
            self._serial = int(self._rfid.getDeviceSerialNumber())
        except self._error:
            return  # it has gone again
        if self._timer is not None:
            self._timer.cancel()
        if self._new_output is not None:
            self._open_outputs(self._new_output, self._serial)
        self._listener.changed()

    def _detached(self) -> None:
        self._close_outputs()
        self._serial = None
        self._problem = "unplugged"
        self._listener.take_off()
        self._listener.changed()

    def _troubled(self, code: int, description: str) -> None:
        self._listener.complain(f"{_NAME}: {' '.join(str(description).split())} (code {int(code):#x})")

    def _tag(self, tag: str, protocol: int) -> None:
        if (token := token_of(tag, int(protocol))) is not None:
            self._listener.seen(token, stays=True)

    def _tag_lost(self, tag: str, protocol: int) -> None:
        if (token := token_of(tag, int(protocol))) is not None:
            self._listener.lost(token)

    def _waited(self) -> None:
        raise StartError(
            f"no PhidgetRFID reader within --phidget_wait_seconds={self._wait_s:g}: is it plugged in, and may this "
            "user open it? (0 waits for ever)"
        )

    # -- outputs -------------------------------------------------------------------------------------------

    def _open_outputs(self, new_output: Callable[[], Any], serial: int) -> None:
        self._close_outputs()
        for channel in OUTPUTS:
            output = new_output()
            try:
                # Without the number it would be the first output of any Phidget: perhaps a relay with a pump on it.
                output.setDeviceSerialNumber(serial)
                output.setChannel(channel)
                output.setOnAttachHandler(self._handler(partial(self._switch, output)))
                output.open()
            except self._error as error:
                self._listener.complain(f"output {channel} of {_NAME}: {_in_words(error)}")
                continue
            self._outputs.append(output)

    def _switch(self, output: Any) -> None:
        with contextlib.suppress(self._error):  # not attached yet, or not any more
            output.setState(self._present)

    def _close_outputs(self) -> None:
        outputs, self._outputs = self._outputs, []
        for output in outputs:
            with contextlib.suppress(self._error):
                output.close()


def _import(module: str, name: str) -> Any:
    return getattr(extra(f"Phidget22.{module}", extra=EXTRA, wanted_by=WANTED_BY), name)


def _in_words(error: Exception) -> str:
    description = getattr(error, "description", "") or str(error)
    return f"{' '.join(str(description).split())} (code {int(getattr(error, 'code', 0)):#x})"
