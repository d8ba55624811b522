"""What holds an app's start or stop up: other apps, or a device that is not there.

Knows lives and their dependencies. Changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from .life import Life
from .lifecycle import State
from .spec import App


def of_start(app: App, lives: Mapping[str, Life], stopping: Collection[str]) -> str:
    """What keeps the app from starting, in words; empty if nothing does."""
    for name in (*app.requires, *app.after):
        required = name in app.requires
        other = lives.get(name)
        if other is None or (not other.wanted and other.state is State.STOPPED):
            if required:
                return f"requires {name}, which is stopped"
            continue
        done = other.state is State.EXITED and other.succeeded
        ready = other.state is State.RUNNING and name not in stopping
        given_up = other.state in (State.FATAL, State.EXITED) and not required
        if not (done or ready or given_up):
            return f"waiting for {name}, which is {_shown(other.state)}"
    if app.wait_for:
        # Looked at, not opened: opening a serial port resets many a board.
        try:
            os.stat(app.wait_for)
        except OSError as error:
            return f"waiting for {app.wait_for}: {error.strerror}"
        if not os.access(app.wait_for, os.R_OK):
            return f"waiting for {app.wait_for}: Permission denied"
    return ""


def of_stop(name: str, lives: Mapping[str, Life], stopping: Collection[str]) -> bool:
    """An app that comes after `name` is still on its way down."""
    return any(
        name in (*life.app.after, *life.app.requires) and (other in stopping or life.state is State.STOPPING)
        for other, life in lives.items()
        if other != name
    )


def _shown(state: State) -> str:
    """As it stands behind "is"."""
    return "in backoff" if state is State.BACKOFF else state.value
