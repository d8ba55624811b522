"""One device: opened, asked who is there, listened to, given up and opened again; and commanded.

Knows the port, the loop, and when to look after either. What messages mean is `conversation`'s business, how fast
commands may follow each other `pacing`'s, who is who `roster`'s. Must not know the core or flags.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from kegapps.daemon.loop import Loop, Timer
from kegapps.daemon.port import Port, PortError
from kegapps.kbsp.codec import BAUD, Decoder
from kegapps.kbsp.messages import Hello, Message, OutputStatus
from kegapps.kegboard.conversation import Conversation, Remark
from kegapps.kegboard.crew import Crew
from kegapps.kegboard.pacing import Pacer
from kegapps.kegboard.roster import Board, Refusal
from kegapps.kegboard.wording import introduce
from kegapps.kegnet.events import BoardState

RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 5.0  # for a device that is there and cannot be opened: nobody tells when it can be
RETRY_OLD_FIRMWARE_S: Final = 5.0
RETRY_STRANGER_S: Final = 600.0
SETTLE_S: Final = 0.2  # a frame takes 11 ms on the wire; one that is unfinished after this was cut short
LATE_S: Final = 3.0  # a loop that comes so late to an appointment was stopped, and the board with it perhaps
MAX_UNCLAIMED: Final = 256  # messages of a board that has not said yet which it is: some seconds of them
NO_DEVICE: Final = "no such device"

log = logging.getLogger("kegboard")


class Line:
    """The line to what is on the device `path`.

    board   who is there; None before it has said so. With `owner` that is known from the path alone.
    state   how it is, in a word, None while that is to be seen; `text` the same for a person, `detail` without
            what the state says already; `refusal` says more if the state is `refused`
    """

    def __init__(
        self,
        loop: Loop,
        path: str,
        crew: Crew,
        *,
        owner: Board | None,
        required_firmware: int,
        stranger: bool,
    ) -> None:
        """`stranger`: nobody said that this is a board. If nothing on it says hello it is left alone."""
        self.path = path
        self.target = ""
        self.names: Sequence[str] = (path,)
        self.board = owner
        self.state: BoardState | None = None
        self.text = self.detail = ""
        self.refusal: Refusal | None = None
        self.left_alone = False
        self._loop = loop
        self._crew = crew
        self._owner = owner
        self._required_firmware = required_firmware
        self._stranger = stranger
        self._talk = owner.conversation if owner else self._new_talk()
        self._unclaimed: list[tuple[float, Message]] = []
        self._pacer = Pacer()
        self._decoder = Decoder()
        self._port: Port | None = None
        self._timer: Timer | None = None
        self._retry: Timer | None = None
        self._retry_s = RETRY_S
        self._opened_s = 0.0
        self._settle_s: float | None = None
        self._told_damage = 0
        self._unplugged = False
        # It is tried again and again, and the status goes on to say why until there is something better.
        self._hopeless = False
        self._was_silent = False

    @property
    def is_open(self) -> bool:
        """True while we hold the device."""
        return self._port is not None

    @property
    def waits_for_device(self) -> bool:
        """True while there is no device to open."""
        return self._port is None and self._retry is None and self.state == "absent"

    def poke(self) -> None:
        """The device is there, or something about it has changed: try it, unless that is settled."""
        if self._port is None and not self.left_alone and self.state not in ("refused", "too_old"):
            self._open()

    def gone(self) -> None:
        """The device is not there any more: whatever was settled about it is not."""
        if self._port is None and not self.waits_for_device:
            if self._retry is not None:
                self._retry.cancel()
                self._retry = None
            self.left_alone = self._hopeless = False
            self._could_not_open(NO_DEVICE)

    def retry(self) -> None:
        """What was refused may be welcome now."""
        if self._port is None and self.state == "refused":
            self._open()

    def close(self) -> None:
        """Let go of the device for good."""
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self._let_go(reboot=False)

    # -- opening and giving up -----------------------------------------------------------------------------

    def _open(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        try:
            self._port = Port(self._loop, self.path, baud=BAUD, on_bytes=self._read, on_lost=self._lost)
        except PortError as error:
            self._could_not_open(str(error))
            return
        log.log(logging.DEBUG if self._hopeless else logging.INFO, "opened %s", self.path)
        self.left_alone = self._unplugged = False
        self._retry_s = RETRY_S
        self._decoder = Decoder()
        self._told_damage = 0
        self._settle_s = None
        self._pacer.forget()
        self._opened_s = self._loop.now_s()
        self._unclaimed.clear()
        self._talk = self._owner.conversation if self._owner else self._new_talk()
        self._talk.opened(self._opened_s)
        if not self._hopeless:
            self._set(None, f"{self._who()}: no hello yet from {self.path}", "")
        self._tend()

    def _could_not_open(self, reason: str) -> None:
        if reason == NO_DEVICE:
            if not self._unplugged:
                self._set("absent", f"waiting for {self.path}: {reason}", reason)
            self._crew.vanished(self)  # which tells us when it comes
            return
        self._set("absent", f"waiting for {self.path}: {reason}", reason)
        self._try_again(self._retry_s)
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)

    def _lost(self, reason: str) -> None:
        self._port = None
        self._hopeless = self._was_silent = False
        self._unplugged = True
        self._set("absent", f"{reason}, waiting for {self.path}", reason)
        self._forget_board()
        self._try_again(RETRY_S)

    def _give_up(
        self, state: BoardState, text: str, detail: str, *, retry_s: float | None, reboot: bool = False
    ) -> None:
        """Close the device, and open it again after a while; None: not before somebody says so."""
        self._hopeless = True
        self._let_go(reboot=reboot)
        self._set(state, text, detail)
        self._forget_board()
        if retry_s is not None:
            self._try_again(retry_s)

    def _let_go(self, *, reboot: bool) -> None:
        if self._port is not None:
            self._port.close(reboot=reboot)
            self._port = None

    def _forget_board(self) -> None:
        board = self.board
        if board is None:
            return
        # It may have power of its own; the core has been told that the board is lost, and means them to be off.
        board.to_switch_off |= board.switched_on
        board.switched_on.clear()
        if self._owner is None:
            board.line = self.board = None
            self._crew.released(self)

    def _try_again(self, delay_s: float) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self._loop.call_later(delay_s, self._open)

    def _new_talk(self) -> Conversation:
        return Conversation(name="", required_firmware=self._required_firmware)

    # -- listening -----------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        self._feed(data)
        self._tend()

    def _feed(self, data: bytes) -> None:
        self._take_in(self._decoder.feed(data))
        now_s = self._loop.now_s()
        self._settle_s = now_s + SETTLE_S if self._decoder.pending_bytes else None
        self._report_damage()

    def _take_in(self, messages: Iterable[Message]) -> None:
        now_s = self._loop.now_s()
        for message in messages:
            if self._port is None:
                return  # what was just said made us give it up
            if self.board is None and not self._claimed(message, now_s):
                continue
            self._hear(message, now_s)

    def _claimed(self, message: Message, now_s: float) -> bool:
        """Find out whose line it is. Until that is known what it says is kept, with its time."""
        if not isinstance(message, Hello):
            for _ in self._talk.heard(message, now_s):
                pass  # only that it lives counts
            if len(self._unclaimed) < MAX_UNCLAIMED:
                self._unclaimed.append((now_s, message))
            return False
        board = self._crew.claim(self, message)
        if isinstance(board, Refusal):
            self.refusal = board
            self._give_up("refused", f"{self.path} refused: {board.reason}", board.reason, retry_s=None)
            return False
        self.board = board
        self._talk = board.conversation
        self._talk.opened(self._opened_s)
        unclaimed, self._unclaimed = self._unclaimed, []
        if message.firmware_version >= self._required_firmware:
            for then_s, earlier in unclaimed:
                self._hear(earlier, then_s)
        return True

    def _hear(self, message: Message, then_s: float) -> None:
        before = self._talk.hello
        age_s = self._loop.now_s() - then_s
        for event in self._talk.heard(message, then_s):
            if isinstance(event, Remark):
                self._crew.complain(event.text)
            else:
                log.debug("%s", event)
                self._crew.tell(replace(event, age_s=round(event.age_s + age_s, 3)) if age_s > 0 else event)
        if isinstance(message, OutputStatus):
            log.info("%s: %s is %s", self._who(), message.output_name, "on" if message.enabled else "off")
        if self._talk.hello is not before and isinstance(message, Hello):
            self._greet(message, then_s)

    def _greet(self, hello: Hello, now_s: float) -> None:
        """Show what the board said about itself; give up on it if that is too old."""
        board = self.board
        assert board is not None
        board.device = self.path
        board.firmware_version = hello.firmware_version
        board.serial_number = hello.serial_number or ""
        board.booted_s = None if hello.uptime_s is None else now_s - hello.uptime_s
        if self._talk.too_old:
            self._too_old(hello)
            return
        self._hopeless = self._was_silent = False
        detail = introduce(hello, now=datetime.now(), before=self.detail)
        for output in sorted(board.to_switch_off):
            self._pacer.set_output(output, enabled=False)
        board.to_switch_off.clear()
        anew = board.listened_since_s != self._talk.listened_since_s
        board.listened_since_s = self._talk.listened_since_s
        self._set("online", f"{self._who()}: {detail}", detail, anew=anew)

    def _too_old(self, hello: Hello) -> None:
        version = hello.firmware_version
        why = f"firmware {version} is too old, {self._required_firmware} or later is needed"
        retry = f"trying again every {RETRY_OLD_FIRMWARE_S:g} s"
        self._give_up("too_old", f"{self._who()}: {why}; {retry}", why, retry_s=RETRY_OLD_FIRMWARE_S)

    # -- time ----------------------------------------------------------------------------------------------

    def _tend(self) -> None:
        """Do what is due on an open line, and come back when the next thing is."""
        if self._port is None:
            return
        now_s = self._loop.now_s()
        if self._settle_s is not None and self._settle_s <= now_s:
            self._settle_s = None
            self._take_in(self._decoder.settle())
        if self._port is not None and self._is_silent(self._port, now_s):
            self._fell_silent()
        if self._port is None:
            return
        if self._talk.take_ping(now_s):
            self._pacer.ping()
        self._port.write(self._pacer.take(now_s))
        due_s = [self._settle_s, self._talk.silent_s, self._talk.next_ping_s, self._pacer.next_s]
        self._come_back(min((due for due in due_s if due is not None), default=None))

    def _is_silent(self, port: Port, now_s: float) -> bool:
        """True if the board should have said something, and it was not we who did not listen."""
        silent_s = self._talk.silent_s
        if silent_s is None or now_s < silent_s:
            return False
        # A process that goes on after it was stopped gets its timers first and what was said meanwhile later.
        if data := port.waiting():
            self._feed(data)
        if now_s - silent_s > LATE_S:
            self._talk.listen_anew(now_s)
        silent_s = self._talk.silent_s
        return self._port is not None and silent_s is not None and silent_s <= now_s

    def _fell_silent(self) -> None:
        known = self._talk.hello is not None
        if self._stranger and not known:
            self.left_alone = True
            text = f"{self.path} left alone: nothing on it says hello; tried again when it is plugged in anew"
            # For what it is, DTR falls when it is closed, as the kernel has it.
            self._give_up("silent", text, "it never said hello", retry_s=RETRY_STRANGER_S, reboot=True)
            return
        text = f"{self._who()}: no word from it on {self.path}" + ("" if known else "; is it a Kegboard?")
        # At first it is only asked again: it may count all the same. If that is in vain it hangs, and it reboots.
        reboot, self._was_silent = self._was_silent, True
        self._give_up("silent", text, "no word from it; opened again", retry_s=0.0, reboot=reboot)

    def _come_back(self, due_s: float | None) -> None:
        if due_s is None:
            return
        if self._timer is not None and not self._timer.cancelled:
            if self._timer.due_s <= due_s:
                return  # it comes early, looks, and sets out again: cheaper than a new timer for each message
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, due_s - self._loop.now_s()), self._tend)

    # -- commanding ----------------------------------------------------------------------------------------

    def set_output(self, output: int, *, enabled: bool) -> bool:
        """Switch an output 0..5 of the board; False if it cannot be told now."""
        board = self.board
        if board is None:
            return False
        board.to_switch_off.discard(output)
        if enabled:
            board.switched_on.add(output)
        else:
            board.switched_on.discard(output)
        if self._port is None or self.state in ("too_old", "refused"):
            if not enabled:
                board.to_switch_off.add(output)
            return False
        self._pacer.set_output(output, enabled=enabled)
        self._tend()
        return True

    def switch_off(self, *, hurry: bool = False) -> None:
        """Switch off what the core had switched on."""
        if hurry:
            self._pacer.hurry()
        for output in sorted(self.board.switched_on) if self.board else ():
            self.set_output(output, enabled=False)

    def send_now(self) -> tuple[bool, float | None]:
        """Send what may be sent: whether all has left us, and when more may be sent (None: nothing waits)."""
        if self._port is None:
            return True, None
        self._port.write(self._pacer.take(self._loop.now_s()))
        next_s = self._pacer.next_s if self._port is not None else None
        return next_s is None and not self._port.unsent_bytes, next_s

    # -- telling people ------------------------------------------------------------------------------------

    def _who(self) -> str:
        return f"board {self.board.name}" if self.board else f"board on {self.path}"

    def _set(self, state: BoardState | None, text: str, detail: str, *, anew: bool = False) -> None:
        if anew or (state, text, detail) != (self.state, self.text, self.detail):
            self.state, self.text, self.detail = state, text, detail
            self._crew.changed(self)

    def _report_damage(self) -> None:
        decoder = self._decoder
        damage = decoder.crc_errors + decoder.bad_lengths + decoder.bad_trailers + decoder.malformed
        if damage == self._told_damage:
            return
        self._told_damage = damage
        if self._stranger and self._talk.hello is None:
            return  # whatever it is, it speaks another language
        self._crew.complain(
            f"{self.path}: noise on the line: {decoder.crc_errors} wrong checksums, {decoder.bad_lengths} wrong "
            f"lengths, {decoder.bad_trailers} wrong trailers, {decoder.malformed} senseless messages so far"
        )
