"""The one thread that talks HTTP: performs calls one after another and hands each answer back to the loop.

Knows a thread, two queues and a descriptor that wakes the loop. Must not know what a call is for, or what its
answer means.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections import deque
from collections.abc import Callable

from kegapps.daemon.loop import READ, Loop
from kegapps.server.calls import Answer, Call
from kegapps.server.exchange import exchange
from kegapps.server.url import ApiUrl


class Courier:
    """Performs calls on the Kegbot Server at `url`, one at a time, in a thread that begins with the first one.

    `api_key`: None sends none. Neither it nor a header of a call is ever logged or shown.
    Make it after the process became a daemon: a fork would leave the thread behind.
    """

    def __init__(self, loop: Loop, url: ApiUrl, api_key: str | None) -> None:
        self.url = url
        self._api_key = api_key
        self._loop = loop
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._callbacks: deque[Callable[[Answer], None]] = deque()
        self._woken, self._wakes = socket.socketpair()
        for end in (self._woken, self._wakes):
            end.setblocking(False)
        self._thread: threading.Thread | None = None
        self._closed = False
        loop.watch(self._woken, READ, self._hand_back)

    @property
    def waiting(self) -> int:
        """Calls whose answers were not handed back yet."""
        return len(self._callbacks)

    def perform(self, call: Call, on_answer: Callable[[Answer], None]) -> None:
        """Perform `call` after those given before; `on_answer` is called in the loop, exactly once. Never blocks.

        After `close` nothing happens.
        """
        if self._closed:
            return
        self._callbacks.append(on_answer)
        self._calls.put(call)
        if self._thread is None:
            # A daemon thread: whatever the server does to it, the process ends when it is told to.
            self._thread = threading.Thread(target=self._talk, name="courier", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Hand back no more answers. The thread ends after the call under way; nobody waits for it."""
        if self._closed:
            return
        self._closed = True
        self._callbacks.clear()
        self._loop.unwatch(self._woken)
        self._woken.close()
        self._calls.put(None)
        if self._thread is None:
            self._wakes.close()

    def _hand_back(self, _ready: int) -> None:
        try:
            self._woken.recv(4096)
        except BlockingIOError:
            return
        while not self._closed:
            try:
                answer = self._answers.get_nowait()
            except queue.Empty:
                return
            self._callbacks.popleft()(answer)

    def _answer(self, call: Call) -> Answer:
        try:
            return exchange(self.url, self._api_key, call)
        except Exception as error:  # noqa: BLE001 - a thread that died would hold up all drinks without a word
            return Answer(error=f"this call failed here: {type(error).__name__}", sent=True)

    def _talk(self) -> None:
        # In the thread; it alone writes to and closes its end, so that a descriptor is never written to after
        # its number went to another file.
        with self._wakes:
            while (call := self._calls.get()) is not None and not self._closed:
                self._answers.put(self._answer(call))
                try:
                    self._wakes.send(b"\0")
                except BlockingIOError:
                    continue  # full: the loop is about to be woken already
                except OSError:
                    return  # closed
