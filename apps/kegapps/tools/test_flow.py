"""Pretends to be a board on which somebody pours, and tells whether the core noticed.

The exit status is 0 if the core told of a flow with all the ticks (with --wait_for_drink: and of its drink),
and 1, with the reason, otherwise.

Example: test_flow.py --tap_name=kegboard.flow0 --ticks=1000 --auth_token=core.rfid:deadbeef00
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from typing import Any, Final

from absl import flags

from kegapps.daemon import flags as common_flags
from kegapps.daemon import runner
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.loop import Timer
from kegapps.daemon.service import Service
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.codec import Rejected, decode, encode
from kegapps.kegnet.events import MAX_READING, Event
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.tools.pour import SETTLE_S, Line, Pour, Witness, plan

FLAGS = flags.FLAGS
METER_NAME: Final = re.compile(r"(?!__)[A-Za-z0-9_.:-]{1,64}")  # what the core takes for one

flags.DEFINE_string("tap_name", "kegboard.flow0", "The meter to pour through: BOARD.PORT.")
flags.DEFINE_alias("meter_name", "tap_name")
flags.DEFINE_integer("ticks", 1000, "How many ticks to pour.", lower_bound=1, upper_bound=MAX_READING)
flags.DEFINE_integer("steps", 10, "In how many about equal steps.", lower_bound=1, upper_bound=100_000)
flags.DEFINE_float(
    "step_wait", 0.1, "Seconds from one step to the next.", lower_bound=0.0, upper_bound=3600.0
)
flags.DEFINE_alias("delay", "step_wait")
flags.DEFINE_string(
    "auth_token",
    "",
    "Whose pour it is: DEVICE:TOKEN, such as core.rfid:deadbeef00. DEVICE|TOKEN is the same.",
)
flags.DEFINE_boolean(
    "explicit_start_stop", False, "Ask for the flow to start before, and to stop after the pour."
)
flags.DEFINE_boolean("wait_for_drink", False, "Wait until the flow has become a drink.")
flags.DEFINE_float("timeout", 5.0, "Give up after this many seconds without news.", lower_bound=0.1)
flags.DEFINE_float(
    "drink_timeout",
    30.0,
    "Seconds to wait for the flow to end (--wait_for_drink); a core ends it 10 to 120 s after the last tick.",
    lower_bound=0.1,
)
flags.DEFINE_boolean("json", False, "Print one JSON object a line.")


def pour_from_flags() -> Pour:
    """What the flags ask for. Raises UsageError."""
    token = None
    if FLAGS.auth_token:
        device, separator, value = FLAGS.auth_token.partition("|" if "|" in FLAGS.auth_token else ":")
        if not (device and separator and value):
            raise UsageError(
                f"--auth_token={FLAGS.auth_token}: expected DEVICE:TOKEN, such as core.rfid:deadbeef00"
            )
        token = (device, value.lower())
    if not METER_NAME.fullmatch(FLAGS.tap_name):
        raise UsageError(f"--tap_name={FLAGS.tap_name}: no meter's name; expected such as kegboard.flow0")
    pour = Pour(
        tap_name=FLAGS.tap_name,
        ticks=FLAGS.ticks,
        steps=min(FLAGS.steps, FLAGS.ticks),
        step_wait_s=FLAGS.step_wait,
        token=token,
        explicit_start_stop=FLAGS.explicit_start_stop,
    )
    for line in plan(pour)[:6]:  # one of each kind at least
        checked = decode(encode(line.event)[:-2])
        if isinstance(checked, Rejected):
            raise UsageError(f"this cannot be sent: {checked.reason}")
    return pour


class _Rehearsal:
    """One pour, from connecting to the verdict."""

    def __init__(self, service: Service, pour: Pour) -> None:
        self._loop = service.loop
        self._witness = Witness(pour)
        self._token_given = pour.token is not None
        self._lines: list[Line] = plan(pour)
        self._begin_s = self._loop.now_s()
        self._patience: Timer | None = None
        self._next: Timer | None = None
        self._poured = False
        self._ending = False
        self.problem = "interrupted"
        self._client = Client(
            self._loop,
            core_address(),
            on_event=self._hear,
            on_connected=self._go_on,
            on_disconnected=lambda: self._end(f"lost the core: {self._client.problem}"),
            on_failed=lambda why: self._end(f"cannot connect: {why}; is kegbot_core running?"),
            token=kegnet_token(service.path),
        )
        self._wait(FLAGS.timeout)

    def run(self) -> None:
        """Returns when it is decided or interrupted; then `problem` is empty for a success."""
        self._loop.run()
        self._client.close()
        if FLAGS.json:
            drink = self._witness.drink
            self._print(
                result="failed" if self.problem else "ok",
                reason=self.problem,
                ticks=self._witness.ticks,
                volume_ml=self._witness.volume_ml,
                username=self._witness.username,
                drink_id=drink.drink_id if drink else None,
            )
        elif not self.problem:
            self._print_summary()

    def _go_on(self) -> None:
        """Arrange for what is to be said next, or for the verdict."""
        if self._patience is not None:
            self._patience.cancel()
        while self._lines and self._lines[0].if_silent and self._witness.flow_open:
            self._lines.pop(0)
        if not self._lines:
            self._judge()
        elif self._lines[0].needs_flow and not self._poured and not self._witness.flow_open:
            self._next = None
            self._wait(FLAGS.timeout)
        else:
            self._next = self._loop.call_later(self._lines[0].wait_s, self._speak)

    def _speak(self) -> None:
        line = self._lines.pop(0)
        self._poured = self._poured or line.needs_flow
        self._witness.said(line.event)
        self._client.send(line.event)
        self._show("sent", line.event)
        self._go_on()

    def _hear(self, event: Event) -> None:
        self._show("heard", event)
        if not self._witness.heard(event):
            return
        if not self._lines:
            self._judge()
        elif self._witness.flow_open and (self._next is None or self._lines[0].if_silent):
            if self._next is not None:
                self._next.cancel()
            self._go_on()

    def _judge(self) -> None:
        missing = self._witness.missing(drink=FLAGS.wait_for_drink)
        if missing:
            for_drink = FLAGS.wait_for_drink and self._witness.seen and not self._witness.completed
            self._wait(FLAGS.drink_timeout if for_drink else FLAGS.timeout)
        elif self._client.drained:
            # Leave the core a moment to take what it does not answer, such as a token taken away.
            self._loop.call_later(SETTLE_S, lambda: self._end(""))
        else:
            if self._patience is None or self._patience.cancelled:
                self._wait(FLAGS.timeout)
            self._loop.call_later(SETTLE_S, self._judge)

    def _wait(self, seconds: float) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if not self._client.connected:
            self._end(f"no answer within {FLAGS.timeout:g} s")
        elif not self._client.drained:
            self._end("the core does not read what it is sent")
        else:
            self._end(self._witness.missing(drink=FLAGS.wait_for_drink))

    def _end(self, problem: str) -> None:
        if not self._ending:
            self._ending = True
            self.problem = problem
            self._loop.stop()

    def _show(self, direction: str, event: Event) -> None:
        if FLAGS.json:
            self._print(direction=direction, **json.loads(encode(event)))
            return
        fields = json.loads(encode(event))["data"]
        text = " ".join(f"{name}={'-' if value is None else value}" for name, value in fields.items())
        print(
            f"{self._at_s():8.3f} {'>' if direction == 'sent' else '<'} {type(event).__name__} {text}",
            flush=True,
        )

    def _print(self, **fields: Any) -> None:
        print(json.dumps({"at_s": round(self._at_s(), 3), **fields}), flush=True)

    def _print_summary(self) -> None:
        seen = self._witness
        owner = seen.username or "nobody in particular"
        drink = f"; drink {seen.drink.drink_id} for {seen.drink.username}" if seen.drink else ""
        print(
            f"ok: the core counted {seen.ticks} ticks, {seen.volume_ml:.1f} mL, for {owner}{drink}",
            flush=True,
        )
        if self._token_given and not seen.username:
            print("note: the token's owner did not get the flow; does the core know this token?", flush=True)

    def _at_s(self) -> float:
        return self._loop.now_s() - self._begin_s


def serve(service: Service) -> int:
    """Pour, listen, judge. Raises StartError with the reason if the pour was not seen."""
    rehearsal = _Rehearsal(service, pour_from_flags())
    logging.getLogger("kegnet").addHandler(logging.NullHandler())  # what is said here is the verdict
    rehearsal.run()
    if rehearsal.problem:
        raise StartError(f"{shown_address(*core_address())}: {rehearsal.problem}")
    return 0


def main(argv: Sequence[str]) -> int:
    """The program."""
    common_flags.define()
    FLAGS.set_default("log_to_stdout", False)  # what it prints is its result
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, job=True, max_positional=0)
