"""`reexec` inside the watchdog: the version that is installed now is tried out, then takes the place of this one.

Knows the watchdog and its successor's words. The process stays the same, so the apps keep their parent, the lock its
holder and the sockets their clients. The keeper follows once the new watchdog listens: a version that fails before
that is succeeded by the one before it, which the keeper still has in memory.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Callable

from . import __version__, reexec
from .control import Conversation
from .exit_codes import Verb
from .lean import Any, Final
from .lifecycle import ALIVE
from .reexec import Inheritance
from .watchdog import Watchdog

CHECK_S: Final = 30.0
"""The new version has so long to show that it starts."""
PATIENCE_S: Final = 5.0
"""So long is waited for commands under way, and for programs just being started."""
KEEPER_S: Final = 10.0
_MAX_BYTES: Final = 1 << 20
_HELD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Succession:
    """One change of version at a time; everybody who asks meanwhile is told how it went."""

    def __init__(self, watchdog: Watchdog, busy: Callable[[], bool]) -> None:
        """`busy`: a command is under way."""
        self._watchdog = watchdog
        self._busy = busy
        self._clients: list[Conversation] = []
        self._output = b""
        self._output_r = -1
        self._pidfd = -1
        self._until_s: float | None = None
        """When patience ends, with whatever is waited for."""
        self._go = False
        """The new version was tried out and is to take over."""
        self._done: dict[str, object] = {}
        """What to tell once the keeper has followed."""

    def begin(self, talk: Conversation) -> None:
        """Try out what is installed now; the rest follows by itself."""
        if self._watchdog.leaving:
            talk.finish(error="the master is stopping everything", exit=Verb.NOT_RUNNING)
            return
        self._clients.append(talk)
        if self._output_r >= 0 or self._go or self._done:
            return
        program = self._watchdog.setup.program
        if program is None:
            self._refuse("it is not known which program runs here")
            return
        command = program.command(reexec.CHECK, list(self._watchdog.lives))
        self._output, self._output_r, output_w = b"", *os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output_w, 1), (os.POSIX_SPAWN_DUP2, output_w, 2),
            ]  # fmt: skip
            pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsigmask=())
            self._pidfd = os.pidfd_open(pid)
        except OSError as error:
            os.close(self._output_r)
            self._output_r = -1
            self._refuse(f"{command[0]} cannot be run: {error.strerror}")
            return
        finally:
            os.close(output_w)
        self._until_s = time.monotonic() + CHECK_S
        self._watchdog.selector.register(
            self._output_r, selectors.EVENT_READ, lambda _: self._read(time.monotonic())
        )

    def look(self, now_s: float) -> float | None:
        """Take the next step if it is time; returns when to look again."""
        if self._output_r >= 0 and self._until_s is not None and now_s >= self._until_s:
            self._end_check()
            self._refuse(f"the new version does not answer within {CHECK_S:g} s")
        elif self._go:
            self._take_over_soon(now_s)
        elif self._done:
            self._await_keeper(now_s)
        return self._until_s

    def _read(self, now_s: float) -> None:
        data = os.read(self._output_r, 65536)
        self._output += data[: _MAX_BYTES - len(self._output)]
        if data:
            return
        self._end_check()
        words = verdict(self._output.decode("utf-8", "replace"))
        if "kegmaster" not in words:
            self._refuse(f"the new version does not start: {words['error']}")
            return
        if objection := self._objection(words):
            self._refuse(f"version {words['kegmaster']} {objection}", int(words.get("exit", Verb.FAILED)))
            return
        self._go = True
        self._until_s = now_s + PATIENCE_S

    def _end_check(self) -> None:
        self._watchdog.selector.unregister(self._output_r)
        os.close(self._output_r)
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os.close(self._pidfd)
        self._output_r = -1
        self._until_s = None

    def _objection(self, words: dict[str, Any]) -> str:
        """What speaks against a version that starts; empty if nothing does."""
        if words.get("error"):
            return f"finds fault: {words['error']}"
        known = self._watchdog.config
        for name, life in self._watchdog.lives.items():
            if (life.wanted or life.state in ALIVE) and known.find(name) and name not in words["apps"]:
                problem = next((text for text in words["problems"] if f"[{name}]" in text), "")
                return f"would not know [{name}]: {problem or f'it is not in {known.file}; stop it first'}"
        return ""

    def _refuse(self, text: str, code: int = Verb.FAILED) -> None:
        text = f"{text}; nothing has changed, version {__version__} runs on"
        self._watchdog.journal.error(text)
        self._tell(error=text, exit=code)

    def _tell(self, **fields: object) -> None:
        clients, self._clients = self._clients, []
        for talk in clients:
            talk.finish(**fields)

    def _take_over_soon(self, now_s: float) -> None:
        unsettled = self._busy() or any(
            instance.report is not None or (instance.app.detaches and instance.main is None)
            for instance in self._watchdog.crew.instances.values()
        )
        if unsettled and self._until_s is not None and now_s < self._until_s:
            return
        self._go, self._until_s = False, None
        if self._watchdog.leaving:
            self._tell(error="the master is stopping everything", exit=Verb.NOT_RUNNING)
            return
        if not self._watchdog.crew.register.write_all(self._watchdog.lives, self._watchdog.crew.instances):
            self._refuse("what runs cannot be written down; make room on the disk")
            return
        self._become()

    def _become(self) -> None:
        """Exec. Whatever is not handed on closes by itself, so a failure leaves all as it was."""
        watchdog, setup = self._watchdog, self._watchdog.setup
        assert setup.program is not None
        keeper = setup.keeper
        watchdog.journal.info(f"version {__version__} hands over")
        watchdog.history.log.flush()
        watchdog.crew.output.drain_all()
        watchdog.crew.attendance.interrupt()
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
        try:
            # What has come but was not looked at is made to come again, to whoever is here then.
            for number in set(os.read(watchdog.wake_r, 4096)):
                os.kill(os.getpid(), number)
        except BlockingIOError:
            pass
        if setup.notify_address:
            os.environ["NOTIFY_SOCKET"] = setup.notify_address
        signal.alarm(reexec.READY_WITHIN_S)
        inheritance = Inheritance(
            role="watchdog", lock=setup.lock.fd, news_r=keeper.deaths_r, news_w=keeper.deaths_w,
            control=watchdog.control.fileno(), notify=watchdog.crew.notify.fileno(),
            clients=tuple(talk.fileno() for talk in self._clients if not talk.closed and not talk.unread),
            keeper=keeper.pid, young=keeper.young, before=__version__, since_s=time.monotonic(),
        )  # fmt: skip
        try:
            reexec.replace(setup.program, inheritance)
        except OSError as error:
            self._refuse(f"{setup.program.interpreter[0]} cannot be run: {error.strerror}")
        finally:
            signal.alarm(0)
            os.environ.pop("NOTIFY_SOCKET", None)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)

    def arrived(self, inheritance: Inheritance, clients: list[Conversation]) -> None:
        """We are the new version, and listen: say so, and have the keeper follow."""
        signal.alarm(0)
        watchdog = self._watchdog
        now_s = time.monotonic()
        kept = len(watchdog.crew.instances)
        away_s = round(now_s - inheritance.since_s, 3)
        self._clients = clients
        self._done = {
            "replaced": {"before": inheritance.before, "version": __version__, "apps": kept, "away_s": away_s},
            "exit": Verb.DONE,
        }  # fmt: skip
        apps = f"{kept} app{'' if kept == 1 else 's'} kept, control away {away_s:.2f} s"
        watchdog.journal.info(f"version {inheritance.before} -> {__version__}, {apps}")
        self._until_s = now_s
        keeper = watchdog.setup.keeper
        if keeper.alive:
            self._until_s = now_s + KEEPER_S
            pidfd = os.pidfd_open(keeper.pid)
            signal.pidfd_send_signal(pidfd, reexec.REPLACE_KEEPER)
            os.close(pidfd)

    def _await_keeper(self, now_s: float) -> None:
        version = self._watchdog.crew.deaths.keeper_version
        if self._watchdog.setup.keeper.pid and version != __version__:
            if self._until_s is not None and now_s < self._until_s:
                return
            text = f"the keeper still runs the version before; see {self._watchdog.journal.path}"
            self._done = {"error": text, "exit": Verb.FAILED}
        told, self._done, self._until_s = self._done, {}, None
        self._tell(**told)


def verdict(output: str) -> dict[str, Any]:
    """What a version that was tried out printed: its own answer, or what went wrong before it could give one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if line.startswith('{"kegmaster"'):
            try:
                words: dict[str, Any] = json.loads(line)
            except ValueError:
                break
            return words
    where = next((line.split(", in ")[0] for line in reversed(lines) if line.startswith('File "')), "")
    text = lines[-1] if lines else "it says nothing"
    return {"error": f"{text} ({where})" if where else text}
