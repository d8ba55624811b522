"""Who is asked how it is: the way to the Vigil, which is loaded and made once an app needs it.

Knows Vigil by name only. Most configurations have none of its keys: then all this does nothing and costs nothing.
"""

from __future__ import annotations

from .instance import Instance
from .lean import TYPE_CHECKING, Any
from .life import Life
from .notify import Report

if TYPE_CHECKING:
    from .vigil import Vigil


class Attendance:
    """All apps that are asked, if there are any. `means`: what Vigil is made with."""

    def __init__(self, **means: Any) -> None:
        self._means = means
        self._vigil: Vigil | None = None

    def attend(self, life: Life, instance: Instance) -> None:
        """Ask the app how it is from now on, if it has such keys."""
        self.forget(life)
        if not (instance.app.ready or instance.app.watched):
            return
        if self._vigil is None:
            from .vigil import Vigil

            self._vigil = Vigil(**self._means)
        self._vigil.attend(life, instance)

    def forget(self, life: Life) -> None:
        """The app is on its way down: ask it no more."""
        if self._vigil is not None:
            self._vigil.forget(life.app.name)

    def take(self, name: str, report: Report, now_s: float) -> None:
        """The app sent this."""
        if self._vigil is not None:
            self._vigil.take(name, report, now_s)

    def awaiting_beat(self) -> list[str]:
        """Names of the apps that are to send WATCHDOG=1."""
        return [] if self._vigil is None else self._vigil.awaiting_beat()

    def on_child(self, pid: int) -> bool:
        """A child of ours has ended; False if it is none of a check's, and still to be reaped."""
        return self._vigil is not None and self._vigil.on_child(pid)

    def why_not_ready(self, life: Life) -> str:
        """What the check said last of an app that did not get ready in time; empty if there is none."""
        return "" if self._vigil is None else self._vigil.why_not_ready(life.app.name)

    def next_s(self) -> float | None:
        """When `on_time` is to be called next at the latest."""
        return None if self._vigil is None else self._vigil.next_s()

    def on_time(self, now_s: float) -> None:
        """Do what is due."""
        if self._vigil is not None:
            self._vigil.on_time(now_s)

    def shift(self, lost_s: float) -> None:
        """So much time went by while we did not look."""
        if self._vigil is not None:
            self._vigil.shift(lost_s)

    def interrupt(self) -> None:
        """End what is under way: perhaps nobody will be there to take the answer."""
        if self._vigil is not None:
            self._vigil.interrupt()

    def close(self) -> None:
        """Ask nobody any more."""
        if self._vigil is not None:
            self._vigil.close()
