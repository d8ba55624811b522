"""A thread for what takes its time: a disk, a thermometer. The loop goes on meanwhile and is told when it is done.

Knows a thread and a queue. Must not know what the jobs are.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from kegapps.daemon.thread_calls import ThreadCalls


class Worker:
    """Does jobs one after another in a daemon thread: one that hangs does not keep the process from its end.

    Make it after the process became a daemon: a fork would leave the thread behind.
    """

    def __init__(self, calls: ThreadCalls, name: str) -> None:
        self._calls = calls
        self._jobs: queue.SimpleQueue[tuple[Callable[[], object], Callable[[], None]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def do(self, job: Callable[[], object], then: Callable[[], None]) -> None:
        """Call `job()` in the thread, then `then()` in the loop. `job` keeps its result itself and raises nothing."""
        self._jobs.put((job, then))

    def _work(self) -> None:
        while True:
            job, then = self._jobs.get()
            job()
            self._calls.call_soon(then)
