"""Hooks as decisions: which events call one, which call is next, and how many are too many.

Knows events and limits. Must not know processes or clocks: time is an argument, monotonic, in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from .events import Entry
from .lean import Final, Literal, dataclass, replace
from .lifecycle import State
from .problems import printable
from .spec import App

MAX_RUNNING: Final = 4
MAX_WAITING: Final = 4
"""So many calls of one hook of one app are kept waiting: the newest."""
RATE: Final = 10
RATE_PERIOD_S: Final = 60.0
"""At most RATE calls of one app's hooks begin within so long."""

Kind = Literal["failure", "change"]

_FAILED: Final = frozenset({State.BACKOFF, State.FATAL, State.EXITED})
_TOLD: Final = _FAILED | {State.RUNNING, State.STOPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One run of a hook: `_on_failure` or `_on_change` of `app`. `suppressed`: calls left out since the last one."""

    app: App
    kind: Kind
    entry: Entry
    suppressed: int = 0

    @property
    def argv(self) -> tuple[str, ...]:
        """Its command line."""
        return self.app.on_failure if self.kind == "failure" else self.app.on_change

    @property
    def variables(self) -> Mapping[str, str]:
        """What its environment tells; texts are fit for a terminal and bounded."""
        entry = self.entry
        return {
            "KEGMASTER_EVENT": self.kind,
            "KEGMASTER_APP_NAME": entry.app,
            "KEGMASTER_STATE": entry.after,
            "KEGMASTER_REASON": printable(entry.reason),
            "KEGMASTER_EXIT_STATUS": _number(entry.exit_status),
            "KEGMASTER_EXIT_SIGNAL": _number(entry.exit_signal),
            "KEGMASTER_PID": _number(entry.pid),
            "KEGMASTER_RESTARTS": str(entry.restarts),
            "KEGMASTER_SUPPRESSED": str(self.suppressed),
        }


def called_for(app: App, state: State, *, failed: bool) -> list[Kind]:
    """The hooks to call when `app` has come to `state`; `failed`: its last end was a failure."""
    kinds: list[Kind] = []
    if app.on_failure and failed and state in _FAILED:
        kinds.append("failure")
    if app.on_change and state in _TOLD:
        kinds.append("change")
    return kinds


class HookQueue:
    """Calls that wait, and how many run. One hook at a time for each app, MAX_RUNNING in all."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, Kind], deque[tuple[int, Call]]] = {}
        self._suppressed: dict[tuple[str, Kind], int] = {}
        self._begun_s: dict[str, deque[float]] = {}
        self._running: set[str] = set()
        self._arrivals = 0

    def put(self, call: Call) -> bool:
        """Let a call wait for its turn; False if an older one had to make room."""
        key = call.app.name, call.kind
        waiting = self._waiting.setdefault(key, deque())
        self._arrivals += 1
        waiting.append((self._arrivals, call))
        if len(waiting) <= MAX_WAITING:
            return True
        waiting.popleft()
        self._suppressed[key] = self._suppressed.get(key, 0) + 1
        return False

    def take(self, now_s: float) -> Call | None:
        """The call to begin now, the oldest that may; it counts as running until `done`."""
        if len(self._running) >= MAX_RUNNING:
            return None
        ready = [
            key for key in self._waiting if key[0] not in self._running and self._open_s(key[0]) <= now_s
        ]
        if not ready:
            return None
        key = min(ready, key=lambda key: self._waiting[key][0][0])
        _, call = self._waiting[key].popleft()
        if not self._waiting[key]:
            del self._waiting[key]
        self._running.add(key[0])
        self._begun_s.setdefault(key[0], deque(maxlen=RATE)).append(now_s)
        return replace(call, suppressed=self._suppressed.pop(key, 0))

    def done(self, name: str) -> None:
        """The hook of that app has ended."""
        self._running.discard(name)

    def due_s(self) -> float | None:
        """When `take` will have a call again, if only time must pass; None: never, or an end must come first."""
        if len(self._running) >= MAX_RUNNING:
            return None
        return min(
            (self._open_s(name) for name, _ in self._waiting if name not in self._running), default=None
        )

    def _open_s(self, name: str) -> float:
        """From when on the rate allows another call."""
        begun_s = self._begun_s.get(name)
        return begun_s[0] + RATE_PERIOD_S if begun_s and len(begun_s) == RATE else 0.0


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
