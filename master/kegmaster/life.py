"""One app's whole story so far, and the pure step that carries it on.

Knows the lifecycle table and the restart policy. Must not know clocks, processes or files: time is an argument
(monotonic seconds), what happened comes in as an event, what is to be done goes out as actions.
"""

from __future__ import annotations

from . import restart
from .lean import Final, dataclass
from .lifecycle import Action, Event, State, step
from .restart import Exit
from .spec import App

KILL_WAIT_S: Final = 5.0
"""SIGKILL acts at once unless the kernel itself is stuck; after this long the process is reported by name."""
RECHECK_S: Final = 10.0
"""How often a WAITING app looks for its device where the file system does not tell that it came (inotify does)."""


@dataclass(slots=True)
class Life:
    """Mutable on purpose: the watchdog holds one for each app, and `on` is the only place that changes it."""

    app: App
    state: State = State.STOPPED
    wanted: bool = False
    again: bool = False
    """A person asked for a fresh start: the end that is under way counts as no failure."""
    started_s: float = 0.0
    ended_s: float = 0.0
    deadline_s: float | None = None
    """When Event.TIMER is due."""
    failures: int = 0
    delay_s: float = 0.0
    deaths: int = 0
    """Ends that nobody asked for, ever; a command looks whether it grew."""
    restarts: int = 0
    """Times the watchdog brought it back since a person started it."""
    kills: int = 0
    last_exit: Exit | None = None
    reason: str = ""
    """Why it last ended, in words."""
    blocked: str = ""
    """What holds its start up, while it is WAITING."""
    crashed: bool = False
    """The end just past was one that nobody asked for, and is no success after which it stays ended."""
    printed: bytes = b""
    """What it printed before that, as far as the crash log keeps it."""
    last_output: tuple[str, ...] = ()
    """The last lines it printed before it last ended."""
    note: str = ""
    """What the app says of itself (sd_notify's STATUS=)."""
    ailment: str = ""
    """What its checks find wrong, while that is no reason yet to replace it."""
    _fault: str = ""
    """Why this run of it counts as a failure, whatever its exit status will be."""
    _unwatched: bool = False
    _done: bool = False
    _ended: bool = False

    @property
    def stuck(self) -> bool:
        """SIGKILL was sent long ago, and something of it still lives."""
        return self.kills > 1

    @property
    def succeeded(self) -> bool:
        """Its last end was no failure."""
        return self.last_exit is not None and self.last_exit.succeeded(self.app.policy)

    @property
    def failed(self) -> bool:
        """Its last end was a failure, or it never became ready."""
        return bool(self._fault) or not self.succeeded

    def on(
        self, event: Event, now_s: float, *, exit: Exit | None = None, reason: str = ""
    ) -> tuple[Action, ...]:
        """Take one event; return what the watchdog must do, timers aside, which are kept in `deadline_s`."""
        before = self.state
        self._note(event, before, now_s, exit, reason)
        self.state, actions = step(before, event)
        if self.state is State.STARTING and before is State.WAITING:
            self._begin(now_s)
        for action in actions:
            self._set_timer(action, now_s)
        return tuple(action for action in actions if action not in _TIMERS)

    def cleared(self, now_s: float, jitter: float) -> tuple[Action, ...]:
        """No process of it is left: go where policy leads. `jitter` is a random number from 0 to 1."""
        policy = self.app.policy
        unasked = self.wanted and not self.again and not self._done
        self.crashed = unasked and (self.failed or policy.restart == "always")
        if not unasked or self._unwatched:
            self.failures, self.delay_s = 0, 0.0
        else:
            self.deaths += 1
            self.failures = restart.failures_in_row(
                self.failures, self.ended_s - self.started_s, self.delay_s
            )
            self.delay_s = restart.delay_s(self.failures, policy, jitter)
        event = self._where_to(again=self.again)
        if self._unwatched and event is Event.CLEARED_FAILED:
            event = Event.CLEARED_AGAIN
        if self.again:
            self.restarts = 0
        elif self._unwatched and event is Event.CLEARED_AGAIN:
            self.restarts += 1
        if event is Event.CLEARED_FATAL:
            self.reason += f"; given up after {self.failures} failures in a row, start it to try again"
        self.again = self._unwatched = False
        self.kills = 0
        return self.on(event, now_s)

    def _where_to(self, *, again: bool) -> Event:
        """Where its end leads by its policy: one of the CLEARED events."""
        return restart.after_end(
            self.app.policy, wanted=self.wanted, again=again, done=self._done, failed=self.failed,
            failures=self.failures,
        )  # fmt: skip

    def adopted(self, now_s: float, uptime_s: float, *, ready: bool) -> None:
        """It lives already: another watchdog started it `uptime_s` seconds ago; `ready`: and it was ready."""
        self.state, self.wanted = State.RUNNING if ready else State.STARTING, True
        self.started_s = now_s - uptime_s
        if not ready:
            self._set_timer(Action.ALLOW_START_TIME, now_s)

    def died_unwatched(self, now_s: float, lived_s: float, jitter: float) -> None:
        """It ended `lived_s` seconds after its start at most: a failure like any other, and waited for likewise."""
        self._done = self.app.type == "oneshot" and self.succeeded
        self.failures = restart.failures_in_row(self.failures, lived_s, self.delay_s)
        self.delay_s = restart.delay_s(self.failures, self.app.policy, jitter)
        event = self._where_to(again=False)
        if event is Event.CLEARED_FATAL:
            self.state = State.FATAL
        elif event is Event.CLEARED_EXITED:
            self.state = State.EXITED
        elif self.delay_s:
            self.state, self.deadline_s = State.BACKOFF, now_s + self.delay_s

    def left_behind(self, now_s: float) -> None:
        """It ended while nobody watched, and something of it still lives: that is to be killed at once."""
        self.state, self._unwatched = State.STOPPING, True
        self._done = self.app.type == "oneshot" and self.succeeded
        self.started_s = self.ended_s = self.deadline_s = now_s

    def _note(self, event: Event, state: State, now_s: float, ended: Exit | None, reason: str) -> None:
        if event is Event.START:
            if not self.wanted and state is not State.STOPPING:
                self.restarts = self.failures = 0
                self.reason = ""
                self.delay_s = 0.0
            self.again = self.again or (state is State.STOPPING and not self.wanted)
            self.wanted = True
        elif event is Event.STOP:
            self.wanted = self.again = False
            self.reason = reason
        elif event is Event.DONE:
            self._done, self._ended, self.last_exit, self.reason = True, True, ended, reason or "done"
            self.ended_s = now_s
        elif event is Event.TIMER and state is State.STARTING:
            self._fault = self.reason = reason or f"not ready within {self.app.timeout_start_sec:g} s"
        elif event in (Event.UNHEALTHY, Event.HUNG) and state is State.RUNNING:
            self._fault = self.reason = reason
        elif event is Event.TIMER and state is State.STOPPING:
            self.kills += 1
        elif event is Event.ENDED and not self._ended:
            self._take_end(state, now_s, ended, reason)

    def _take_end(self, state: State, now_s: float, ended: Exit | None, reason: str) -> None:
        self._ended = True
        self.ended_s, self.last_exit = now_s, ended
        if state is State.STARTING and not self._fault and not (ended and ended.status == 0):
            self._fault = reason or str(ended)
        if state is not State.STOPPING:
            self.reason = reason or f"{ended} after {now_s - self.started_s:.1f} s"
        elif not self._fault and not self.wanted and self.kills:
            self.reason = f"did not end within {self.app.timeout_stop_sec:g} s, killed"

    def _begin(self, now_s: float) -> None:
        if self.failures:
            self.restarts += 1
        self.started_s = now_s
        self.kills = 0
        self.note = self.blocked = self._fault = ""
        self._done = self._ended = False

    def _set_timer(self, action: Action, now_s: float) -> None:
        if action is Action.ALLOW_START_TIME:
            self.deadline_s = now_s + self.app.timeout_start_sec
        elif action is Action.ALLOW_STOP_TIME:
            self.deadline_s = now_s + self.app.timeout_stop_sec
        elif action is Action.ALLOW_BACKOFF_TIME:
            self.deadline_s = now_s + self.delay_s
        elif action is Action.KILL:
            self.deadline_s = now_s + KILL_WAIT_S
        elif action is Action.CHECK:
            self.deadline_s = now_s + RECHECK_S if self.app.wait_for else None
        elif action is Action.NO_TIMER:
            self.deadline_s = None


_TIMERS = frozenset(
    {Action.ALLOW_START_TIME, Action.ALLOW_STOP_TIME, Action.ALLOW_BACKOFF_TIME, Action.NO_TIMER}
)
