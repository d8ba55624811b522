"""Hooks as processes: made, given their event, timed, and ended with all they leave behind.

Knows pipes, processes and the selector. Must not decide which hook is next: the queue does. Imported only where a
section has a hook.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
from collections.abc import Callable, Collection, Iterable, Iterator

from . import events, proc, spawn
from .channel import last_line
from .environment import credentials, environment
from .hooks import Call, HookQueue
from .journal import Journal
from .lean import Final, dataclass, field
from .proc import Process
from .programs import ProgramError, Search
from .restart import from_wait_status
from .spec import App

TIMEOUT_S: Final = 30.0
LEAVE_S: Final = 2.0
"""A master that leaves waits so long for its hooks."""
MAX_OUTPUT_BYTES: Final = 1 << 20
MARK: Final = "KEGMASTER_HOOK"
"""The variable that tells a hook's processes from all others; those of apps must be none of these."""
_LAST_BYTES: Final = 4096
_AGAIN_S: Final = 1.0
_KILL_WAIT_S: Final = 0.5


@dataclass(slots=True)
class _Run:
    """One hook that runs. `output` is the end of the pipe that we read, -1 once it is closed."""

    call: Call
    mark: str
    process: Process
    report: int
    output: int
    begun_s: float
    until_s: float
    text: bytearray = field(default_factory=bytearray)
    taken: int = 0
    overdue: bool = False

    @property
    def title(self) -> str:
        return f"{self.call.app.name}: _on_{self.call.kind}"


class Hooks:
    """All hooks of one master."""

    def __init__(
        self, *, search: Search, run: str, journal: Journal, selector: selectors.BaseSelector,
        apps: Collection[App], known: Callable[[], Collection[int]],
    ) -> None:  # fmt: skip
        """`run`: the run directory. `known`: the pids of apps, which are no hooks' leftovers.

        Hooks that a killed watchdog of this directory left are ended: nobody else would do it.
        """
        self._search = search
        self._run = run
        self._journal = journal
        self._selector = selector
        self._known = known
        self._queue = HookQueue()
        self._runs: dict[int, _Run] = {}
        self._clearing: dict[int, str] = {}
        """Session and mark of hooks that have ended, but left processes behind."""
        self._leave_s: float | None = None
        _kill_trees(_left_behind(run, apps))

    def put(self, call: Call) -> None:
        """Have a hook called as soon as it may."""
        self._queue.put(call)

    def turn(self, now_s: float) -> float | None:
        """End hooks that take too long, begin those that may; returns when to come again."""
        for run in self._runs.values():
            if run.until_s <= now_s:
                run.overdue, run.until_s = True, now_s + _AGAIN_S
                self._end(run)
        calls = []
        while (call := self._queue.take(now_s)) is not None:
            calls.append(call)
        if calls:
            self._begin(calls, now_s)
        times = [self._leave_s, self._queue.due_s(), *(run.until_s for run in self._runs.values())]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def over(self, now_s: float, *, leaving: bool) -> bool:
        """The master may leave: no hook is under way, or it has waited LEAVE_S, and they have been ended."""
        if not leaving:
            self._leave_s = None
            return False
        due_s = self._queue.due_s()
        if self._runs or (due_s is not None and due_s <= now_s):
            self._leave_s = self._leave_s or now_s + LEAVE_S
            if now_s < self._leave_s:
                return False
        for run in self._runs.values():
            self._journal.warning(f"{run.title}: not done when the master left, killed")
            self._end(run)
            select.select([run.process], [], [], _KILL_WAIT_S)
        return True

    def ended(self, pid: int, status: int) -> None:
        """A child that is no app's has ended and is reaped: a hook, what one left, or a stranger."""
        run = self._runs.pop(pid, None)
        if run is not None:
            self._conclude(run, status)
            self._clearing[pid] = run.mark
        for session, mark in list(self._clearing.items()):
            # The end of one orphan makes its children ours: looked for until none is left.
            if not _kill_trees(self._orphans(session, mark)):
                del self._clearing[session]

    def _begin(self, calls: Iterable[Call], now_s: float) -> None:
        made: list[tuple[Call, str, int, spawn.Launch]] = []
        for call in calls:
            try:
                made.append((call, *self._prepare(call)))
            except (ProgramError, OSError, KeyError) as error:
                self._fail(call, error)
        if not made:
            return
        try:
            batch = spawn.hold([launch for _, _, _, launch in made])
        except OSError as error:
            for call, _, output, launch in made:
                os.close(output)
                _close(launch)
                self._fail(call, error)
            return
        for (call, mark, output, launch), held in zip(made, batch.held, strict=True):
            _close(launch)
            if isinstance(held, OSError):
                os.close(output)
                self._fail(call, held)
                continue
            try:
                process = Process(held.pid)
            except OSError as error:  # no descriptor left: it is our child and not let loose yet
                os.kill(held.pid, signal.SIGKILL)
                os.close(output)
                os.close(held.report)
                self._fail(call, error)
                continue
            run = _Run(call, mark, process, held.report, output, now_s, now_s + TIMEOUT_S)
            self._runs[held.pid] = run
            if call.suppressed:
                self._journal.warning(f"{run.title}: {call.suppressed} calls left out, there were too many")
            self._selector.register(output, selectors.EVENT_READ, lambda _, run=run: self._read(run))
        batch.release()

    def _prepare(self, call: Call) -> tuple[str, int, spawn.Launch]:
        """Its mark, the pipe it writes to, and what to make. Raises ProgramError, OSError, KeyError."""
        context = call.app.context
        mark = f"{os.urandom(8).hex()} {self._run}"
        variables = {**environment(call.app, self._search, os.environ), **call.variables, MARK: mark}
        path = self._search.find(call.argv[0], dict(context.environment).get("PATH", ""))
        uid, gid, groups = credentials(context)
        given = os.memfd_create("event")
        try:
            os.write(given, events.encode(call.entry))
            os.lseek(given, 0, os.SEEK_SET)
            output, output_w = os.pipe2(os.O_CLOEXEC)
        except OSError:
            os.close(given)
            raise
        os.set_blocking(output, False)
        return mark, output, spawn.Launch(
            path=path, argv=call.argv, environment=variables, given=given, output=output_w, umask=context.umask,
            nice=context.nice, limit_nofile=context.limit_nofile, working_directory=context.working_directory,
            uid=uid, gid=gid, groups=groups,
        )  # fmt: skip

    def _fail(self, call: Call, error: Exception) -> None:
        self._queue.done(call.app.name)
        self._journal.warning(f"{call.app.name}: _on_{call.kind}: cannot be run: {error}")

    def _read(self, run: _Run) -> None:
        """Take in what it wrote; only the end of that is kept."""
        try:
            text = os.read(run.output, 65536)
        except BlockingIOError:
            return
        run.taken += len(text)
        run.text = (run.text + text)[-_LAST_BYTES:]
        if not text or run.taken > MAX_OUTPUT_BYTES:
            # Whoever writes without end would keep us busy without end: now it writes to nobody.
            self._shut(run)

    def _shut(self, run: _Run) -> None:
        if run.output >= 0:
            self._selector.unregister(run.output)
            os.close(run.output)
            run.output = -1

    def _conclude(self, run: _Run, status: int) -> None:
        if run.output >= 0:
            self._read(run)
        self._shut(run)
        run.process.close()
        failure = b""
        with contextlib.suppress(BlockingIOError):
            failure = os.read(run.report, _LAST_BYTES)
        os.close(run.report)
        self._queue.done(run.call.app.name)
        words = last_line(failure or bytes(run.text))
        ended = f"not done within {TIMEOUT_S:g} s, killed" if run.overdue else str(from_wait_status(status))
        text = f"{run.title}: {ended}{': ' + words if words else ''}"
        if status:
            self._journal.warning(text)
        elif words:
            self._journal.info(text)
        else:
            self._journal.debug(text)

    def _end(self, run: _Run) -> None:
        _kill_trees([run.process.pid, *self._orphans(run.process.pid, run.mark)])

    def _orphans(self, session: int, mark: str) -> Iterator[int]:
        """Processes of a hook whose parent has ended, so that they are our children now."""
        known = self._known()
        for pid in proc.children(os.getpid()):
            if pid in known or pid in self._runs:
                continue
            seen = proc.stat(pid)
            if seen and not seen.zombie and (seen.session == session or proc.marks_of(pid).get(MARK) == mark):
                yield pid


def _left_behind(run: str, apps: Collection[App]) -> Iterator[int]:
    """Hooks of an earlier watchdog: orphans that bear our mark, and belong to a user who may have hooks here.

    Anybody can give a process that mark; who does so with his own, and leaves it an orphan, has himself to thank.
    """
    owners = {os.geteuid()}
    for app in apps:
        with contextlib.suppress(KeyError):
            owners.add(credentials(app.context)[0] or os.geteuid())
    parents = (1, os.getpid(), os.getppid())
    for pid in proc.all_pids():
        if pid in parents or not proc.marks_of(pid).get(MARK, "").endswith(f" {run}"):
            continue  # a hook may have started us
        seen = proc.stat(pid)
        if seen and seen.parent in parents and proc.owner(pid) in owners:
            yield pid


def _kill_trees(roots: Iterable[int]) -> bool:
    """SIGKILL for these and all that descend from them; False if there was none."""
    found = False
    pids = list(roots)
    while pids:
        pid = pids.pop()
        try:
            process = Process(pid)
        except OSError:
            continue
        found = True
        # A child that it makes in this very moment becomes ours, and is found with the next look.
        pids += proc.children(pid)
        process.signal(signal.SIGKILL)
        process.close()
    return found


def _close(launch: spawn.Launch) -> None:
    for fd in (launch.given, launch.output):
        os.close(fd)
