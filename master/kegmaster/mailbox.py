"""What apps say of themselves by sd_notify: received, and laid to the app that it comes from.

Knows the notify socket and the running instances. Must not decide: what a report means for an app's life is the
crew's business.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Mapping

from .instance import Instance
from .notify import NotifySocket, Report
from .senders import sender

_MOST_BATCHES = 64  # of reports; more than the kernel keeps for us


class Mailbox:
    """The notify socket of one master."""

    def __init__(
        self, path: str, selector: selectors.BaseSelector, instances: Mapping[str, Instance], *, inherited: int,
        awaited: Callable[[Report], list[str]], on_report: Callable[[str, Report], None],
    ) -> None:  # fmt: skip
        """Receive at `path`. `awaited`: the apps that are to send such a report; `inherited`: a socket bound already.

        Raises OSError.
        """
        self.socket = NotifySocket(path, inherited)
        self._selector = selector
        self._instances = instances
        self._awaited = awaited
        self._on_report = on_report
        self._listen()

    def restore(self) -> None:
        """Make the socket anew if somebody removed it. Raises OSError."""
        if self.socket.missing:
            self._selector.unregister(self.socket)
            self.socket.restore()
            self._listen()

    def drain(self) -> None:
        """Take all that has come by now; bounded, should somebody send without end."""
        any(not self._take() for _ in range(_MOST_BATCHES))

    def _listen(self) -> None:
        self._selector.register(self.socket, selectors.EVENT_READ, lambda _: self._take())

    def _take(self) -> bool:
        """Take a batch; False if there was nothing."""
        reports = self.socket.receive()
        for report in reports:
            name = sender(report, self._instances, lambda report=report: self._awaited(report))  # type: ignore[misc]
            if name is not None:
                self._on_report(name, report)
        return bool(reports)
