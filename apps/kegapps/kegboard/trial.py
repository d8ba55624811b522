"""A trial of a board's outputs: each switched on and off again and again, each answer of the board judged.

Knows the board's commands and answers (protocol page, sections 5 to 7). Must not know ports or clocks: time is an
argument, monotonic seconds.

The board tells of an output only when it changes, within 5 to 7 ms. An output that is on goes off by itself 10 s after
the last command for it, so one that stays on is told so every second. A relay that pulls down the supply reboots the
board: its hello gives that away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from kegapps.kbsp.messages import Hello, Message, OutputStatus
from kegapps.kegboard.pacing import Pacer
from kegapps.kegboard.wording import describe

CLEARED_S: Final = 0.25
ANSWER_S: Final = 1.0  # a board that plays its tone for a tag is deaf for 0.4 s
FEED_S: Final = 1.0
PINGS_S: Final = (0.0, 3.0, 6.0)
"""Opening the port reboots many boards, and a bootloader swallows what it is told."""
HELLO_S: Final = 9.0
LAST_HELLO_S: Final = 2.0
MAX_SILENT: Final = 3
LOOK_AGAIN_S: Final = 0.05
MAX_FAULTS: Final = 100  # a trial without an end may find one every second
HEARTBEAT_FIRMWARE: Final = 18
RELAY_FIRMWARE: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that happened, `text` for a person; a fault if it should not have.

    `output` was switched (`enabled`), and the board said so after `answer_s`; None if this is about something else.
    """

    text: str
    is_fault: bool = False
    output: int | None = None
    enabled: bool | None = None
    answer_s: float | None = None


class _Phase(Enum):
    HELLO = auto()  # waiting for the board to introduce itself
    CLEARING = auto()  # everything off first: only a change is told
    ASKED = auto()  # waiting for an answer
    HOLDING = auto()  # until it is time for the next one
    LAST_HELLO = auto()
    DONE = auto()


class Trial:
    """One trial. Write what `take` gives, hand over what is heard, and `wake` it at `next_s`, until it `is_done`."""

    def __init__(self, outputs: Sequence[int], *, cycles: int, interval_s: float, now_s: float) -> None:
        """`cycles` 0: for ever."""
        self.faults: list[str] = []
        """The first hundred."""
        self.answered = 0
        self.asked = 0
        self.slowest_s = 0.0
        self.on: set[int] = set()
        """Outputs that may be on: those told so and not known to be off again."""
        self._outputs = tuple(outputs)
        self._cycles = cycles
        self._interval_s = interval_s
        self._plan = self._whole_plan()
        self._pacer = Pacer()
        self._phase = _Phase.HELLO
        self._output, self._enabled = self._outputs[0], False
        self._due_s: float | None = now_s
        self._asked_s: float | None = None  # None: the command is not out yet
        self._until_s = now_s
        self._begin_s = now_s
        self._pings = 0
        self._silent = 0
        self._hello: Hello | None = None

    @property
    def is_done(self) -> bool:
        """True when there is nothing more to try."""
        return self._phase is _Phase.DONE

    @property
    def next_s(self) -> float | None:
        """When to `wake` and `take` next; None: when something is heard."""
        times = [time_s for time_s in (self._due_s, self._pacer.next_s) if time_s is not None]
        return min(times, default=None)

    def take(self, now_s: float) -> bytes:
        """What to send now."""
        data = self._pacer.take(now_s)
        if self._phase is _Phase.ASKED and self._asked_s is None and self._pacer.next_s is None:
            self._asked_s = now_s
            self._due_s = now_s + ANSWER_S
        elif self._phase is _Phase.CLEARING and self._due_s is None and self._pacer.next_s is None:
            self._due_s = now_s + CLEARED_S
        return data

    def close(self) -> None:
        """The end, whatever the reason: have everything switched off, first what is on, without waiting long."""
        self._phase = _Phase.DONE
        self._due_s = None
        self._pacer.forget()
        self._pacer.hurry()
        for output in sorted(self._outputs, key=lambda output: output not in self.on):
            self._pacer.set_output(output, enabled=False)

    def heard(self, messages: Iterable[Message], now_s: float) -> Iterator[Step]:
        """The board said something."""
        for message in messages:
            if isinstance(message, Hello):
                yield from self._introduced(message)
            elif isinstance(message, OutputStatus):
                yield from self._told(message, now_s)

    def wake(self, now_s: float) -> Iterator[Step]:
        """It is `next_s`, or later."""
        if self._due_s is None or now_s < self._due_s:
            return
        match self._phase:
            case _Phase.HELLO:
                yield from self._ask_for_hello()
            case _Phase.CLEARING | _Phase.HOLDING:
                self._go_on(now_s)
            case _Phase.ASKED:
                yield from self._unanswered(now_s)
            case _Phase.LAST_HELLO:
                self._phase = _Phase.DONE
                yield self._fault("no hello when it was asked for one at the end: it hangs")
            case _Phase.DONE:
                self._due_s = None

    # -- hello ---------------------------------------------------------------------------------------------

    def _ask_for_hello(self) -> Iterator[Step]:
        if self._pings == len(PINGS_S):
            self._phase = _Phase.DONE
            yield self._fault("nothing on it says hello; is it a Kegboard?")
            return
        self._pacer.ping()
        self._pings += 1
        after_s = PINGS_S[self._pings] if self._pings < len(PINGS_S) else HELLO_S
        self._due_s = self._begin_s + after_s

    def _introduced(self, hello: Hello) -> Iterator[Step]:
        before, self._hello = self._hello, hello
        if hello.firmware_version < RELAY_FIRMWARE:
            self._phase = _Phase.DONE
            yield self._fault(
                f"firmware {hello.firmware_version} knows no relays, {RELAY_FIRMWARE} or later does"
            )
        elif self._phase is _Phase.HELLO:
            yield Step(text=f"hello: {describe(hello)}")
            for output in self._outputs:
                self._pacer.set_output(output, enabled=False)
            self._phase = _Phase.CLEARING
            self._due_s = None
        elif before is not None and self._has_rebooted(before, hello):
            self._phase = _Phase.DONE
            self.on.clear()
            yield self._fault("the board rebooted; does its supply hold when a relay switches?")
        elif self._phase is _Phase.LAST_HELLO:
            self._phase = _Phase.DONE
            yield Step(text=f"hello: {describe(hello)}")

    def _has_rebooted(self, before: Hello, hello: Hello) -> bool:
        if hello.uptime_s is not None and before.uptime_s is not None:
            return hello.uptime_s < before.uptime_s
        # Older firmware says hello when it boots and when it is asked. A second answer to the pings of the beginning
        # comes before the first command is out.
        asked = self._phase in (_Phase.CLEARING, _Phase.LAST_HELLO)
        return hello.firmware_version < HEARTBEAT_FIRMWARE and not asked

    # -- outputs -------------------------------------------------------------------------------------------

    def _whole_plan(self) -> Iterator[tuple[int, bool]]:
        done = 0
        while not self._cycles or done < self._cycles:
            for output in self._outputs:
                yield output, True
                yield output, False
            done += 1

    def _go_on(self, now_s: float) -> None:
        """Feed what is held, or ask for the next thing once it is time."""
        if self._pacer.next_s is not None:
            self._due_s = now_s + LOOK_AGAIN_S  # the board is still being told of earlier things
            return
        if self._phase is _Phase.HOLDING and now_s < self._until_s:
            if self._enabled:
                self._pacer.set_output(self._output, enabled=True)
            self._due_s = min(now_s + FEED_S, self._until_s)
            return
        following = next(self._plan, None)
        if following is None:
            self._phase = _Phase.LAST_HELLO
            self._pacer.ping()
            self._due_s = now_s + LAST_HELLO_S
            return
        self._output, self._enabled = following
        self._phase = _Phase.ASKED
        self._asked_s = self._due_s = None
        self.asked += 1
        if self._enabled:
            self.on.add(self._output)
        self._pacer.set_output(self._output, enabled=self._enabled)

    def _told(self, status: OutputStatus, now_s: float) -> Iterator[Step]:
        output = _number(status.output_name)
        if output is not None and not status.enabled:
            self.on.discard(output)
        if self._phase is _Phase.ASKED and (output, status.enabled) == (self._output, self._enabled):
            took_s = now_s - (now_s if self._asked_s is None else self._asked_s)
            self.answered += 1
            self._silent = 0
            self.slowest_s = max(self.slowest_s, took_s)
            self._hold(now_s)
            yield self._step(f"answered after {took_s:.3f} s", answer_s=took_s)
        elif self._phase is _Phase.HOLDING and (output, status.enabled) == (self._output, self._enabled):
            yield self._step("answered too late")
        elif self._phase is _Phase.CLEARING and not status.enabled:
            yield Step(text=f"{status.output_name} was on, and is off now")
        elif self._phase in (_Phase.ASKED, _Phase.HOLDING, _Phase.LAST_HELLO):
            state = "on" if status.enabled else "off"
            yield self._fault(f"{status.output_name} went {state}, though nobody asked for that")

    def _unanswered(self, now_s: float) -> Iterator[Step]:
        self._silent += 1
        text = f"no answer within {ANSWER_S:g} s"
        yield self._step(text, is_fault=True)
        if self._silent == MAX_SILENT:
            self._phase = _Phase.DONE
            yield self._fault(f"{MAX_SILENT} commands in a row were not answered")
        else:
            self._hold(now_s)

    def _hold(self, now_s: float) -> None:
        """Leave it as it is for a while."""
        self._phase = _Phase.HOLDING
        self._until_s = now_s + self._interval_s
        self._due_s = min(now_s + FEED_S, self._until_s)

    # -- telling -------------------------------------------------------------------------------------------

    def _step(self, text: str, *, is_fault: bool = False, answer_s: float | None = None) -> Step:
        said = f"relay{self._output} {'on' if self._enabled else 'off'}: {text}"
        if is_fault:
            self._note(said)
        return Step(
            text=said, is_fault=is_fault, output=self._output, enabled=self._enabled, answer_s=answer_s
        )

    def _fault(self, text: str) -> Step:
        self._note(text)
        return Step(text=text, is_fault=True)

    def _note(self, fault: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


def _number(output_name: str) -> int | None:
    digits = output_name.removeprefix("relay")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else None
