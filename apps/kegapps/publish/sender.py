"""A helper process (see `helper`) as its publisher sees it: orders go in, answers come out, and it ends some time.

Knows processes and pipes. Must not know the queue, rates or flags.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
from collections.abc import Callable
from typing import Any, Final

from kegapps.daemon.loop import READ, Loop
from kegapps.publish.helper import COMMAND, START_S

log = logging.getLogger("publish")

_GRACE_S: Final = 30.0  # beyond its own alarm; to be needed only if the disk or the kernel hangs

Answer = dict[str, Any]


class Sender:
    """Starts a helper with `order`. `on_answer` gets each answer; `on_end`, once it is gone, its exit status.

    Raises OSError if it cannot be started. It inherits the descriptors `keeps`.
    """

    def __init__(
        self,
        loop: Loop,
        order: dict[str, object],
        *,
        on_answer: Callable[[Answer], None],
        on_end: Callable[[int], None],
        keeps: tuple[int, ...] = (),
    ) -> None:
        self._loop = loop
        self._on_answer = on_answer
        self._on_end = on_end
        self.is_leaving = False
        """It was told to `finish`."""
        self._rest = b""
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=keeps,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:
            self._process.kill()
            self._close_pipes()
            self._process.wait()
            raise
        loop.watch(self._stdout, READ, lambda _ready: self._read())
        loop.watch(self._pidfd, READ, lambda _ready: self._end())
        self._deadline = loop.call_later(START_S + _GRACE_S, self._process.kill)
        self._tell(order)

    def send(self, task: dict[str, object], *, within_s: float) -> None:
        """Give it a message to send, `within_s` seconds by its own alarm."""
        self._deadline.cancel()
        self._deadline = self._loop.call_later(START_S + within_s + _GRACE_S, self._process.kill)
        self._tell(task)

    def finish(self) -> None:
        """Let it end when what it does is done."""
        self.is_leaving = True
        with contextlib.suppress(OSError):
            self._stdin.close()

    def abandon(self) -> None:
        """Let it end soon, and hear nothing more of it: for who ends itself."""
        self._deadline.cancel()
        with contextlib.suppress(OSError):
            self._process.terminate()  # it finishes what it does, see `helper`
        self._loop.unwatch(self._stdout)
        self._loop.unwatch(self._pidfd)
        os.close(self._pidfd)
        self._close_pipes()
        self._process.returncode = 0  # it is init's from now on; no complaint about a child left behind

    def _tell(self, line: dict[str, object]) -> None:
        # If it is gone already, `on_end` tells.
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(json.dumps(line).encode() + b"\n")
            self._stdin.flush()

    def _read(self) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = os.read(self._stdout.fileno(), 65536)
        if not data:
            self._loop.unwatch(self._stdout)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                self._on_answer(json.loads(line))

    def _end(self) -> None:
        self._read()
        self._deadline.cancel()
        self._loop.unwatch(self._stdout)
        self._loop.unwatch(self._pidfd)
        os.close(self._pidfd)
        self._close_pipes()
        self._on_end(self._process.wait())

    def _close_pipes(self) -> None:
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()
