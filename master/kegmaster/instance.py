"""The processes of one app: made, found, proven, signalled, and seen to be gone.

Knows pidfds, pidfiles and /proc. Must not decide: what to do next comes from the lifecycle table.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

from . import files, pidfiles, proc
from .channel import last_lines
from .lean import TYPE_CHECKING
from .life import Life
from .proc import Process
from .records import Record
from .restart import Exit
from .settings import checksums
from .spec import App

if TYPE_CHECKING:
    from .cgroups import Leaf

_TAIL_BYTES = 4096
_MOST_LOOKS = 8
_FORKING_S = 2.0
"""So soon after its start, a process that ends well may be one on the way to the daemon."""


class Instance:
    """One launch of an app.

    `made` is the process we made; `main` is the one that does the work: the same, or the daemon that `made`
    left behind, known once its pidfile names it and it is proven to stem from this launch. `stopper` is the
    _stop_command, as long as that runs.
    """

    def __init__(self, app: App, cookie: str) -> None:
        self.app = app
        self.cookie = cookie
        self.started_with = checksums(app)
        """Its settings when it was started."""
        self.made: Process | None = None
        self.main: Process | None = None
        self.stopper: Process | None = None
        self.stop_report = -1
        """Brings why the _stop_command could not exec."""
        self.main_pid = 0
        self.session = 0
        self.report: int | None = None
        self.failure = ""
        """Why it could not exec, as the process itself reported."""
        self.doubt = ""
        """What is wrong with the pidfile, as last seen."""
        self.probe_s: float | None = None
        """When to look again (monotonic): for its pidfile while it starts, at its _stop_command while it stops."""
        self.probes = 0
        self._suspect = 0
        """The one process that its starter left, as last seen."""
        self.leaf: Leaf | None = None
        self.left: dict[int, Process] = {}
        """Other processes of the launch, asked to end and waited for, by pid."""
        self.kill = False
        """What is left gets SIGKILL; before, it is asked to end."""
        self.parent = os.getpid()
        """Who gets the orphans that it leaves behind: we, or, if it was adopted, its parent's next subreaper."""
        self.printed: tuple[str, ...] = ()
        """The last lines it printed, once it has ended."""
        self.log_begun = _log_now(app.logfile)

    @classmethod
    def adopt(cls, app: App, record: Record) -> Instance:
        """Take over the launch of `record`. Raises ProcessLookupError if its main process is gone or another's."""
        instance = cls(app, record.cookie)
        instance.log_begun = (0, instance.log_begun[1])  # where its launch began in there, nobody knows
        instance.session = record.session
        instance.started_with = dict(record.started_with) or instance.started_with
        instance.main = Process(record.pid, record.start_ticks)
        seen = proc.stat(record.pid)
        if seen is None or seen.zombie or not proc.stems_from(record.pid, record.cookie):
            instance.main.close()
            raise ProcessLookupError(f"process {record.pid} is gone")
        instance.main_pid = record.pid
        instance.parent = seen.parent
        return instance

    @property
    def alive(self) -> bool:
        """A process of it that we hold lives."""
        return any(process is not None for process in (self.made, self.main, self.stopper)) or bool(self.left)

    @property
    def start_ticks(self) -> int:
        """The kernel's start time of the main process; 0 as long as that is not known."""
        return self.main.start_ticks if self.main else 0

    def processes(self) -> list[Process]:
        """Those whose end is awaited."""
        own = (self.made, self.main, self.stopper)
        return [process for process in (*own, *self.left.values()) if process is not None]

    def record(self, life: Life, started_unix: float) -> Record:
        """What the next watchdog must know."""
        return Record(
            app=self.app.name,
            boot_id=proc.boot_id(),
            state=life.state.value,
            wanted=life.wanted,
            cookie=self.cookie,
            pid=self.main.pid if self.main else 0,
            start_ticks=self.start_ticks,
            session=self.session,
            restarts=life.restarts,
            failures=life.failures,
            delay_s=life.delay_s,
            started_unix=started_unix,
            pidfile=self.app.pidfile,
            logfile=self.app.logfile,
            argv=self.app.argv,
            started_with=self.started_with,
            note=life.note,
        )

    def read_report(self, *, last: bool = False) -> bool:
        """Take in what the held process reports; True once nothing more will come (it exec'ed, or is gone: `last`)."""
        if self.report is None:
            return True
        try:
            while text := os.read(self.report, 4096):
                self.failure += text.decode("utf-8", "replace")
        except BlockingIOError:
            if not last:
                return False
        os.close(self.report)
        self.report = None
        return True

    def find_main(self) -> bool:
        """Look whether the pidfile names a process that is proven to stem from this launch; keep it as `main`.

        Without a pidfile, its daemon is the one process that its starter left.
        """
        process = self._claimed() or (self._only_one() if self.app.names_no_pidfile else None)
        if process is not None:
            self.main, self.main_pid = process, process.pid
        return process is not None

    def find_successor(self, ended: Exit | None, lived_s: float) -> bool:
        """Its main process has ended: look whether that left another in its place; keep it as `main`.

        A program that replaces itself writes the new number into its pidfile. One without a pidfile may have been
        looked at in the middle of its second fork.
        """
        process = self._claimed()
        if (
            process is None
            and self.app.names_no_pidfile
            and ended
            and ended.status == 0
            and lived_s < _FORKING_S
        ):
            process = self._only_one() or self._only_one()
        if process is not None:
            self.main, self.main_pid = process, process.pid
        return process is not None

    def _only_one(self) -> Process | None:
        """The only process of the launch whose parent is none of it, if it was that at the last look too."""
        if self.parent:
            found = [seen for pid in proc.children(self.parent) if (seen := self._kin(pid))]
        else:
            found = proc.kin(self.cookie)
        pids = {seen.pid for seen in found}
        roots = [seen for seen in found if seen.parent not in pids]
        before, self._suspect = self._suspect, 0
        if len(roots) > 1:
            listed = ", ".join(str(seen.pid) for seen in roots)
            self.doubt = f"left processes {listed}: which is the main one? Name its own pidfile with _pidfile"
        # As long as its starter lives, which only an adopted one's may, it has left nothing.
        if len(roots) != 1 or self.session in pids:
            return None
        self._suspect = roots[0].pid
        with contextlib.suppress(OSError):
            return Process(roots[0].pid, roots[0].start_ticks) if self._suspect == before else None
        return None

    def _kin(self, pid: int) -> proc.Stat | None:
        seen = proc.stat(pid)
        return seen if seen and not seen.zombie and proc.stems_from(pid, self.cookie) else None

    def _claimed(self) -> Process | None:
        try:
            pid = pidfiles.read(self.app.pidfile)
        except pidfiles.PidfileError as error:
            self.doubt = str(error)
            return None
        if pid is None:
            self.doubt = ""
            return None
        try:
            process = Process(pid)
        except (ProcessLookupError, OSError):
            self.doubt = (
                f"pidfile {self.app.pidfile} names process {pid}, which does not exist; is it an old one?"
            )
            return None
        if not self._kin(pid):
            process.close()
            self.doubt = (
                f"pidfile {self.app.pidfile} names process {pid}, which is not of this app; remove it"
            )
            return None
        return process

    def terminate(self, number: int) -> bool:
        """Ask the main process (or, before it is known, its starter) to end; False if there is none to ask."""
        asked = False
        for process in (self.main, self.made):
            if process is not None:
                asked = process.signal(number) or asked
                process.signal(signal.SIGCONT)
        return asked

    def kill_all(self) -> None:
        """SIGKILL for every process of the launch that can be found, wherever it hides."""
        self.kill = True
        for process in self.processes():
            process.signal(signal.SIGKILL)
        held = {self.main_pid, *(process.pid for process in self.processes())}
        for seen in proc.kin(self.cookie):
            if seen.pid not in held:
                self._hold(seen)
        self._look_into_leaf()

    def look_for_rest(self, parents: Collection[int], known: Collection[int]) -> None:
        """Find what the main process left behind, and ask it to end, or make it.

        Its orphans have become children of its parent, if that is one of `parents`: us, and the keeper as long as it
        lives. `known` are the pids of other apps' processes. Otherwise they are searched for in all of /proc.
        """
        for process in self.left.values():
            process.signal(signal.SIGKILL if self.kill else signal.SIGTERM)
        if self.parent in parents:
            pids = [pid for parent in parents for pid in proc.children(parent)]
            others = {*known, *parents}
            candidates = [seen for pid in pids if pid not in others and (seen := proc.stat(pid))]
        else:
            candidates = proc.kin(self.cookie)
        for seen in candidates:
            if seen.zombie or seen.pid in self.left:
                continue
            # A launch that failed before it had a process has no session; 0 is that of whoever came from outside a
            # container.
            ours = self.session != 0 and seen.session == self.session
            if ours or proc.stems_from(seen.pid, self.cookie):
                self._hold(seen)
        self._look_into_leaf()

    def _look_into_leaf(self) -> None:
        """Find what bears no mark any more, but is still in the cgroup."""
        if self.leaf is None:
            return
        for _ in range(_MOST_LOOKS):
            if not self.leaf.populated():
                return
            held = {process.pid for process in self.processes()}
            for pid in self.leaf.pids():
                if pid not in held and (seen := proc.stat(pid)) and not seen.zombie:
                    self._hold(seen, within=self.leaf)
            if self.alive:
                return
            # Whoever was in there ended while we looked, and may have left a child.

    def _hold(self, seen: proc.Stat, within: Leaf | None = None) -> None:
        try:
            process = Process(seen.pid, seen.start_ticks)
        except OSError:
            return
        if within is not None and not within.holds(seen.pid):
            process.close()
            return
        self.left[seen.pid] = process
        process.signal(signal.SIGKILL if self.kill else signal.SIGTERM)
        process.signal(signal.SIGCONT)

    def last_output(self) -> tuple[str, ...]:
        """The last lines it printed, or, if it has a log of its own, wrote there since this launch; for people."""
        if self.printed and not self.app.detaches:
            return self.printed
        try:
            fd = files.open_plain(self.app.logfile)
            with open(fd, "rb") as file:
                size = os.fstat(fd).st_size
                # A log that was rotated or truncated meanwhile is read from its beginning.
                begun = self.log_begun[1]
                start = begun if size >= begun else 0
                file.seek(max(start, size - _TAIL_BYTES))
                return last_lines(file.read(_TAIL_BYTES)) or self.printed
        except (OSError, ValueError):
            return self.printed

    def last_words(self) -> str:
        """The last line of that; empty if there is none."""
        lines = self.last_output()
        return lines[-1] if lines else ""

    def explain(self, ended: Exit | None, lived_s: float) -> str:
        """Why it ended, in words."""
        if self.failure:
            return self.failure
        text = f"{ended or Exit()} after {lived_s:.1f} s"
        if self.app.type == "simple" and ended and ended.status == 0 and lived_s < 1:
            return f"{text}; a program that detaches needs _type = forking"
        words = self.last_words() if ended and ended.status else ""
        return f"{text}: {words}" if words else text

    def why_not_ready(self) -> str:
        """Why it did not become ready in time, in words."""
        limit = f"within {self.app.timeout_start_sec:g} s"
        if self.app.type == "notify":
            return f"no READY=1 {limit}"
        if self.app.type == "oneshot":
            return f"not done {limit}"
        if self.made is not None:
            cure = "a program that stays in the foreground needs daemon = False or _type = simple"
            return f"did not detach {limit}; {cure}"
        if self.app.names_no_pidfile and not self.doubt:
            return f"its starter left no process {limit}; a program that stays in the foreground needs _type = simple"
        return self.doubt or f"no pidfile {self.app.pidfile} {limit}"


def _log_now(path: str) -> tuple[int, int]:
    """Inode number and size of the log; (0, 0) if there is none."""
    try:
        seen = os.stat(path)
    except OSError:
        return 0, 0
    return seen.st_ino, seen.st_size
