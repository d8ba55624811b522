"""What a line needs of those it belongs to: whose it is, and who hears what is said on it.

Knows names of types only. Must not know how boards are named or the core is reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kegapps.kbsp.messages import Hello
from kegapps.kegboard.roster import Board, Refusal
from kegapps.kegnet.events import AppEvent

if TYPE_CHECKING:
    from kegapps.kegboard.line import Line


class Crew(Protocol):
    """What a line belongs to."""

    def claim(self, line: Line, hello: Hello) -> Board | Refusal:
        """Whose line it is from now on."""

    def released(self, line: Line) -> None:
        """The board of the line is on none now."""

    def vanished(self, line: Line) -> None:
        """There is nothing to open at the path of the line."""

    def tell(self, event: AppEvent) -> None:
        """Something for the core."""

    def complain(self, text: str) -> None:
        """Something for the log, not too often."""

    def changed(self, line: Line) -> None:
        """`state` or `text` of the line is another one."""
