"""One app's life as a table: which event moves it where, and what must then be done.

Knows states, events and actions. Must not know clocks, processes, pidfiles or INI.

An end always leads through STOPPING: whatever brought it about, no process of the app may be left when it is
over, and only then (`CLEARED_*`) is it decided what comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from .lean import Final


class State(Enum):
    """Where an app stands; the value is what people read."""

    STOPPED = "stopped"
    WAITING = "waiting"  # wanted, but what it comes after is not ready, or its device is not there
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"  # it ended, and will be started again after a while
    FATAL = "fatal"  # given up, as _start_limit_burst demands
    EXITED = "exited"  # it ended as it should, and is not to be started again


class Event(Enum):
    """What can happen to an app."""

    START = auto()  # somebody wants it to run
    STOP = auto()  # somebody wants it to be gone
    UNBLOCKED = auto()  # nothing holds its start up any more
    READY = auto()  # it does its work
    DONE = auto()  # a oneshot has done its work
    UNHEALTHY = auto()  # it runs, but is unwell or too large, and must be replaced
    HUNG = auto()  # it runs, but gives no sign of life, and must be replaced
    ENDED = auto()  # its main process is gone, or could not be made
    TIMER = auto()  # the time that the state allows is over
    CLEARED = auto()  # no process of it is left: one of the following, as `restart.after_end` decides
    CLEARED_STOPPED = auto()  # no process of it is left, and none is wanted
    CLEARED_AGAIN = auto()  # none is left, a new one is wanted at once
    CLEARED_FAILED = auto()  # none is left, a new one is wanted after a while
    CLEARED_EXITED = auto()  # none is left, it ended well and needs no restart
    CLEARED_FATAL = auto()  # none is left, too many failures in a row


class Action(Enum):
    """What the watchdog must do."""

    CHECK = auto()  # see whether anything holds its start up; if not, UNBLOCKED
    SPAWN = auto()
    ALLOW_START_TIME = auto()
    TERMINATE = auto()  # send _kill_signal to its main process
    ABORT = auto()  # send SIGABRT to its main process, which may leave a core or a traceback
    ALLOW_STOP_TIME = auto()
    KILL = auto()  # send SIGKILL to all that is left
    CLEAR = auto()  # see to it that nothing is left; once so, CLEARED_*
    ALLOW_BACKOFF_TIME = auto()
    NO_TIMER = auto()


S, E, A = State, Event, Action

TRANSITIONS: Final[Mapping[tuple[State, Event], tuple[State, tuple[Action, ...]]]] = {
    (S.STOPPED,  E.START):           (S.WAITING,  (A.CHECK,)),
    (S.STOPPED,  E.STOP):            (S.STOPPED,  ()),
    (S.WAITING,  E.START):           (S.WAITING,  (A.CHECK,)),
    (S.WAITING,  E.UNBLOCKED):       (S.STARTING, (A.SPAWN, A.ALLOW_START_TIME)),
    (S.WAITING,  E.STOP):            (S.STOPPED,  (A.NO_TIMER,)),
    (S.WAITING,  E.TIMER):           (S.WAITING,  (A.CHECK,)),
    (S.STARTING, E.START):           (S.STARTING, ()),
    (S.STARTING, E.READY):           (S.RUNNING,  (A.NO_TIMER,)),
    (S.STARTING, E.DONE):            (S.STOPPING, (A.ALLOW_STOP_TIME, A.CLEAR)),
    (S.STARTING, E.ENDED):           (S.STOPPING, (A.NO_TIMER, A.KILL, A.CLEAR)),
    (S.STARTING, E.TIMER):           (S.STOPPING, (A.TERMINATE, A.ALLOW_STOP_TIME)),
    (S.STARTING, E.STOP):            (S.STOPPING, (A.TERMINATE, A.ALLOW_STOP_TIME)),
    (S.RUNNING,  E.START):           (S.RUNNING,  ()),
    (S.RUNNING,  E.ENDED):           (S.STOPPING, (A.NO_TIMER, A.KILL, A.CLEAR)),
    (S.RUNNING,  E.UNHEALTHY):       (S.STOPPING, (A.TERMINATE, A.ALLOW_STOP_TIME)),
    (S.RUNNING,  E.HUNG):            (S.STOPPING, (A.ABORT, A.ALLOW_STOP_TIME)),
    (S.RUNNING,  E.STOP):            (S.STOPPING, (A.TERMINATE, A.ALLOW_STOP_TIME)),
    (S.STOPPING, E.START):           (S.STOPPING, ()),
    (S.STOPPING, E.STOP):            (S.STOPPING, ()),
    (S.STOPPING, E.ENDED):           (S.STOPPING, (A.CLEAR,)),
    (S.STOPPING, E.TIMER):           (S.STOPPING, (A.KILL, A.CLEAR)),
    (S.STOPPING, E.CLEARED_STOPPED): (S.STOPPED,  (A.NO_TIMER,)),
    (S.STOPPING, E.CLEARED_AGAIN):   (S.WAITING,  (A.NO_TIMER, A.CHECK)),
    (S.STOPPING, E.CLEARED_FAILED):  (S.BACKOFF,  (A.ALLOW_BACKOFF_TIME,)),
    (S.STOPPING, E.CLEARED_EXITED):  (S.EXITED,   (A.NO_TIMER,)),
    (S.STOPPING, E.CLEARED_FATAL):   (S.FATAL,    (A.NO_TIMER,)),
    (S.BACKOFF,  E.START):           (S.WAITING,  (A.NO_TIMER, A.CHECK)),
    (S.BACKOFF,  E.TIMER):           (S.WAITING,  (A.CHECK,)),
    (S.BACKOFF,  E.STOP):            (S.STOPPED,  (A.NO_TIMER,)),
    (S.FATAL,    E.START):           (S.WAITING,  (A.CHECK,)),
    (S.FATAL,    E.STOP):            (S.STOPPED,  ()),
    (S.EXITED,   E.START):           (S.WAITING,  (A.CHECK,)),
    (S.EXITED,   E.STOP):            (S.STOPPED,  ()),
}  # fmt: skip

ALIVE: Final = frozenset({S.STARTING, S.RUNNING, S.STOPPING})
"""States in which processes of the app may exist."""


def step(state: State, event: Event) -> tuple[State, tuple[Action, ...]]:
    """Where `event` leads from `state`, and what to do. An event without a row comes too late and changes nothing."""
    return TRANSITIONS.get((state, event), (state, ()))
