"""Making the processes of apps: together, and each written down before it is let loose.

Knows launches and instances. Must not watch: what becomes of a process is the crew's business.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from . import spawn
from .instance import Instance
from .launching import prepare
from .lean import Protocol
from .life import Life
from .lifecycle import Event
from .output import Output
from .proc import Process
from .programs import ProgramError, Search
from .register import Register
from .restart import Exit

_BATCH = 64  # each process of a batch costs three descriptors until it is made


class Emit(Protocol):
    """Carries an app's life on."""

    def __call__(self, life: Life, event: Event, *, exit: Exit | None = None, reason: str = "") -> None:
        """Take one event."""


class Launches:
    """Makes the processes of one master's apps."""

    def __init__(
        self, *, search: Search, run: str, notify_address: str, output: Output, register: Register, emit: Emit,
        attend: Callable[[Life, Instance], None],
    ) -> None:  # fmt: skip
        """`run`: the run directory. `attend` is called with each one that has been let loose."""
        self._search = search
        self._run = run
        self._notify_address = notify_address
        self._output = output
        self._register = register
        self._emit = emit
        self._attend = attend

    def make(self, apps: Sequence[tuple[Life, Instance]]) -> None:
        """Make the process of each; one that cannot be made has ended."""
        launches: list[tuple[Life, Instance, spawn.Launch]] = []
        for life, instance in apps:
            try:
                launch = prepare(
                    instance.app, self._search, self._output, cookie=instance.cookie, run=self._run,
                    notify_socket=self._notify_address, leaf=instance.leaf,
                )  # fmt: skip
                launches.append((life, instance, launch))
            except ProgramError as error:
                self._emit(life, Event.ENDED, reason=f"{error}; {error.cure}")
            except (OSError, KeyError) as error:
                self._emit(life, Event.ENDED, reason=f"cannot be started: {error}")
        for start in range(0, len(launches), _BATCH):
            self._launch(launches[start : start + _BATCH])

    def _launch(self, launches: Sequence[tuple[Life, Instance, spawn.Launch]]) -> None:
        try:
            batch = spawn.hold([launch for _, _, launch in launches])
        except OSError as error:
            for life, _, launch in launches:
                os.close(launch.output)
                self._emit(life, Event.ENDED, reason=f"cannot be started: {error}")
            return
        failed = []
        for (life, instance, _), held in zip(launches, batch.held, strict=True):
            if isinstance(held, OSError):
                failed.append((life, held))
            else:
                self._take_on(life, instance, held)
        batch.release()
        # Whatever can wait until they are on their way.
        for life, instance, launch in launches:
            os.close(launch.output)
            if instance.report is not None:
                self._attend(life, instance)
        for life, refusal in failed:
            self._emit(life, Event.ENDED, reason=str(refusal))

    def _take_on(self, life: Life, instance: Instance, held: spawn.Held) -> None:
        """Write down which process it is, before it is let loose."""
        process = Process(held.pid)
        instance.session = held.pid
        instance.report = held.report
        if instance.app.detaches:
            instance.made = process
        else:
            instance.main, instance.main_pid = process, held.pid
        self._register.write(life, instance)
