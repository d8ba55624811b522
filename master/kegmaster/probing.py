"""Asking an app how it is: one probe is one question under way, in the watchdog's selector, never waited for.

Knows sockets, files and commands. Must not judge: an answer is told as it came (`liveness` decides).
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import socket
from collections.abc import Callable, Collection

from . import proc, spawn
from .channel import last_line
from .environment import credentials, environment
from .instance import Instance
from .lean import Final
from .liveness import Answer
from .proc import Process
from .programs import ProgramError, Search
from .spawn import Launch
from .spec import Check

MARK: Final = "KEGMASTER_CHECK"
"""The variable that tells the processes of one check's command from those of the app."""

_OUR_OWN_LACK: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)
_MAX_BYTES = 65536
_TAIL_BYTES = 4096
_MOST_SAID_BYTES = 1 << 20
_PING = b'{"event": "Ping", "data": {}}\n\n'

Tell = Callable[[Answer], None]


class Probe:
    """One question under way. `tell` is called once, unless it is closed before; perhaps by `start` itself."""

    def __init__(self, check: Check, now_s: float, tell: Tell) -> None:
        self.check = check
        self.deadline_s = now_s + check.timeout_s
        self._tell = tell
        self._told = False

    def start(self) -> None:
        """Ask."""
        raise NotImplementedError

    def expire(self) -> None:
        """Its time is over."""
        self._answer(Answer(well=False, text=f"no answer within {self.check.timeout_s:g} s"))

    def give_up(self) -> None:
        """We cannot wait for the answer."""
        self._answer(Answer(well=None, text="interrupted"))

    def close(self) -> None:
        """Let go of everything; nothing is told any more."""
        self._told = True

    def owns(self, pid: int) -> bool:
        """`pid` is the process that asks."""
        del pid
        return False

    def on_end(self) -> None:
        """The process that asks has ended."""

    def _answer(self, answer: Answer) -> None:
        if not self._told:
            self.close()
            self._tell(answer)


class FileProbe(Probe):
    """The file is there."""

    def start(self) -> None:
        """Ask."""
        try:
            seen = os.stat(self.check.path)
        except OSError as error:
            self._answer(Answer(well=False, text=_strerror(error)))
            return
        self._answer(Answer(well=True, stamp=(seen.st_mtime_ns, seen.st_ino, seen.st_size)))


class SocketProbe(Probe):
    """It takes a connection (tcp, unix), answers a request (http), reads what is sent (kegnet)."""

    def __init__(self, check: Check, now_s: float, tell: Tell, selector: selectors.BaseSelector) -> None:
        super().__init__(check, now_s, tell)
        self._selector = selector
        self._socket: socket.socket | None = None
        self._places = _places(check)
        self._refusal: OSError | None = None
        self._received = b""

    def start(self) -> None:
        """Ask."""
        self._connect()

    def expire(self) -> None:
        """Its time is over."""
        if self.check.kind == "http" and b"\n" in self._received:
            self._judge_status()  # it answered, and is not done with the rest yet
        else:
            super().expire()

    def close(self) -> None:
        """Hang up."""
        super().close()
        if self._socket is not None:
            if self._selector.get_map().get(self._socket.fileno()) is not None:
                self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        """Try the next place."""
        family, address = self._places.pop(0)
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                self._refused(error)
            else:
                self._answer(Answer(well=None, text=_strerror(error)))
            return
        self._selector.register(self._socket, selectors.EVENT_WRITE, lambda _: self._on_connected())
        code = self._socket.connect_ex(address)
        if code != errno.EINPROGRESS and code:
            self._refused(OSError(code, os.strerror(code)))

    def _refused(self, error: OSError) -> None:
        # The first counts: that there is no second way (no IPv6, say) is no news.
        self._refusal = self._refusal or error
        if self._places:
            self._connect()
        else:
            lack = self._refusal.errno in _OUR_OWN_LACK
            self._answer(Answer(well=None if lack else False, text=_strerror(self._refusal)))

    def _on_connected(self) -> None:
        assert self._socket is not None
        if code := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._refused(OSError(code, os.strerror(code)))
            return
        if self.check.kind in ("tcp", "unix"):
            self._answer(Answer(well=True))
            return
        try:
            if self.check.kind == "http":
                self._socket.send(_request(self.check))
            else:
                # Kegnet answers nothing, but whoever reads sees the end of what we send, and hangs up too.
                self._socket.send(_PING)
                self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._answer(Answer(well=False, text=_strerror(error)))
            return
        self._selector.modify(self._socket, selectors.EVENT_READ, lambda _: self._on_data())

    def _on_data(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_TAIL_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if self.check.kind == "kegnet":
                data = b""  # it hung up on us in its own way
            elif b"\n" not in self._received:
                self._answer(Answer(well=False, text=_strerror(error)))
                return
            else:
                data = b""
        if self.check.kind == "kegnet":
            if not data:
                self._answer(Answer(well=True))
            return
        self._received += data
        if not data or len(self._received) > _MAX_BYTES:
            self._judge_status()

    def _judge_status(self) -> None:
        line = self._received.partition(b"\n")[0].split()
        if (
            len(line) < 2
            or not line[0].startswith(b"HTTP/1.")
            or not (line[1].isdigit() and len(line[1]) == 3)
        ):
            text = "its answer is no HTTP" if self._received else "closed without an answer"
            self._answer(Answer(well=False, text=text))
            return
        status = int(line[1])
        self._answer(Answer(well=200 <= status < 400, text=str(status)))


class CommandProbe(Probe):
    """A command, run as the app's user in its environment, exits with status 0."""

    def __init__(
        self, check: Check, now_s: float, tell: Tell, selector: selectors.BaseSelector, *,
        instance: Instance, search: Search, known: Callable[[], Collection[int]],
    ) -> None:  # fmt: skip
        """`known`: the pids of all processes of apps, which are not ours to end."""
        super().__init__(check, now_s, tell)
        self._selector = selector
        self._instance = instance
        self._search = search
        self._known = known
        self._mark = os.urandom(8).hex()
        self._process: Process | None = None
        self._session = 0
        self._report = -1
        self._output = -1
        self._said = b""
        self._read_bytes = 0

    def start(self) -> None:
        """Ask."""
        try:
            self._spawn()
        except (ProgramError, OSError, KeyError) as error:
            self._answer(Answer(well=None, text=f"{self.check.text}: {_words(error)}"))

    def owns(self, pid: int) -> bool:
        """`pid` is the command."""
        return self._process is not None and self._process.pid == pid

    def on_end(self) -> None:
        """The command has ended."""
        assert self._process is not None
        ended = self._process.reap()
        self._read_output()
        unmade = _drain(self._report).decode("utf-8", "replace")
        if unmade:
            self._answer(Answer(well=None, text=f"{self.check.text}: {unmade}"))
        elif ended is None:
            self._answer(Answer(well=None, text=f"{self.check.text}: ended unseen"))
        else:
            words = last_line(self._said)
            text = f"{ended}: {words}" if words else str(ended)
            self._answer(Answer(well=ended.status == 0, text=text))

    def close(self) -> None:
        """End whatever of it is left, wherever it went, and let go of it."""
        super().close()
        if self._process is not None:
            self._end_all(self._process)
            self._selector.unregister(self._process)
            self._process.close()
            self._process = None
        if self._output >= 0:
            self._unwatch_output()
        if self._report >= 0:
            os.close(self._report)
            self._report = -1

    def _spawn(self) -> None:
        app, cookie = self._instance.app, self._instance.cookie
        variables = environment(app, self._search, os.environ)
        # The launch's cookie, so that a stop of the app finds it even if we die; but it is not to be taken for the app.
        variables |= {proc.COOKIE: cookie, MARK: self._mark}
        path = self._search.find(self.check.argv[0], dict(app.context.environment).get("PATH", ""))
        uid, gid, groups = credentials(app.context)
        self._output, output_w = os.pipe2(os.O_CLOEXEC)
        try:
            os.set_blocking(self._output, False)
            batch = spawn.hold([
                Launch(
                    path=path, argv=self.check.argv, environment=variables, output=output_w,
                    umask=app.context.umask, nice=app.context.nice, limit_nofile=app.context.limit_nofile,
                    tag=proc.tag(cookie), working_directory=app.context.working_directory,
                    uid=uid, gid=gid, groups=groups,
                )
            ])  # fmt: skip
        finally:
            os.close(output_w)
        self._selector.register(self._output, selectors.EVENT_READ, lambda _: self._read_output())
        held = batch.held[0]
        if isinstance(held, OSError):
            batch.release()
            raise held
        self._report, self._session = held.report, held.pid
        self._process = Process(held.pid)
        self._selector.register(self._process, selectors.EVENT_READ, lambda _: self.on_end())
        batch.release()

    def _read_output(self) -> None:
        if self._output < 0:
            return
        try:
            data = os.read(self._output, _MAX_BYTES)
        except BlockingIOError:
            return
        self._read_bytes += len(data)
        if not data or self._read_bytes > _MOST_SAID_BYTES:
            self._unwatch_output()  # who writes on then writes to nobody
        self._said = (self._said + data)[-_TAIL_BYTES:]

    def _unwatch_output(self) -> None:
        if self._selector.get_map().get(self._output) is not None:
            self._selector.unregister(self._output)
        os.close(self._output)
        self._output = -1

    def _end_all(self, command: Process) -> None:
        """SIGKILL for the command, its session, and what it left behind as our children."""
        command.signal(signal.SIGKILL)
        known, us = self._known(), os.getpid()
        left = [*proc.children(command.pid), *(pid for pid in proc.children(us) if pid not in known)]
        seen: set[int] = {command.pid}
        while left:
            pid = left.pop()
            if pid in seen:
                continue
            seen.add(pid)
            found = proc.stat(pid)
            if found is None:
                continue
            ours = found.session == self._session or proc.marks_of(pid).get(MARK) == self._mark
            if ours:
                left += proc.children(pid)
                _kill(found)


def probe(
    check: Check, now_s: float, tell: Tell, selector: selectors.BaseSelector, *,
    instance: Instance, search: Search, known: Callable[[], Collection[int]],
) -> Probe:  # fmt: skip
    """The probe for `check`, not started yet."""
    if check.kind == "file":
        return FileProbe(check, now_s, tell)
    if check.kind == "command":
        return CommandProbe(check, now_s, tell, selector, instance=instance, search=search, known=known)
    return SocketProbe(check, now_s, tell, selector)


def _kill(found: proc.Stat) -> None:
    try:
        process = Process(found.pid, found.start_ticks)
    except OSError:
        return
    process.signal(signal.SIGKILL)
    process.close()


def _places(check: Check) -> list[tuple[int, str | tuple[str, int]]]:
    if check.kind == "unix":
        return [(socket.AF_UNIX, check.path)]
    if check.host == "localhost":
        return [(socket.AF_INET, ("127.0.0.1", check.port)), (socket.AF_INET6, ("::1", check.port))]
    return [(socket.AF_INET6 if ":" in check.host else socket.AF_INET, (check.host, check.port))]


def _request(check: Check) -> bytes:
    host = f"[{check.host}]" if ":" in check.host else check.host
    head = f"GET {check.path} HTTP/1.1\r\nHost: {host}:{check.port}\r\nUser-Agent: kegmaster\r\n"
    return f"{head}Accept: */*\r\nConnection: close\r\n\r\n".encode("ascii")


def _drain(fd: int) -> bytes:
    try:
        return os.read(fd, _TAIL_BYTES)
    except BlockingIOError:
        return b""


def _strerror(error: OSError) -> str:
    return error.strerror or str(error)


def _words(error: Exception) -> str:
    return _strerror(error) if isinstance(error, OSError) else str(error)
