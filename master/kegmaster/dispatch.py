"""A command on its way: sent to the master, followed to its end, shown as it goes.

Knows the control channel and the terminal. Must not know the configuration.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence

from . import client, pidfiles, proc
from .exit_codes import Verb
from .lean import Any, Final
from .paths import RunDirectory
from .records import Records

_END_S: Final = 5.0
_STATUS_S: Final = 10.0
"""A watchdog answers at once; one that does not in this time is stopped, or hangs."""
_LOCK_WAIT_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.01
_TRIES: Final = 5


class Terminal:
    """Where answers go. With `json`, errors are part of the document on stdout too."""

    def __init__(self, program: str, verb: str, *, json: bool) -> None:
        self.program = program
        self.verb = verb
        self.json = json

    def error(self, text: str, *, bare: bool = False) -> None:
        """Say what is wrong; `bare`: without the program's name, for lines that begin with a file."""
        print(text if bare else f"{self.program}: {text}", file=sys.stderr, flush=True)

    def tell(self, text: str) -> None:
        """Say what is done, to people."""
        if not self.json:
            print(text, flush=True)

    def fail(self, text: str, code: int) -> int:
        """Say why it failed; returns `code`."""
        if self.json and self.verb != "status":
            print(json.dumps({"verb": self.verb, "error": text, "exit": int(code)}, indent=2))
        self.error(text)
        return code


class Dispatch:
    """Commands to the master of one run directory."""

    def __init__(self, terminal: Terminal, run: RunDirectory, logfile: str, timeout_s: float) -> None:
        self._terminal = terminal
        self._run = run
        self._logfile = logfile
        self._timeout_s = timeout_s
        self._changes: list[dict[str, Any]] = []
        self.answering: object = "unknown"
        self._masters: list[int] = []
        """Pidfds of watchdog and keeper, for a stop that ends them too."""

    def follow(
        self, sock: socket.socket | None, verb: str, names: Sequence[str], *,
        make: Callable[[], socket.socket | None] = lambda: None, **how: Any,
    ) -> int:  # fmt: skip
        """Show how a command goes; its exit status.

        `sock`: None if the master was gone before we reached it. `how`: what the request says besides. A watchdog
        that dies meanwhile is soon followed by another, which is asked again: every command may be repeated. `make`
        makes a new master where none is to come: the one we reached was just leaving.
        """
        rows: dict[str, dict[str, Any]] = {}
        everything = verb == "stop" and not names
        until_s = time.monotonic() + self._timeout_s
        for _ in range(_TRIES):
            sock = sock or self.reconnect() or make()
            if sock is None:
                break
            request = {"verb": verb, "names": names, **how}
            for answer in client.ask(sock, max(0.0, until_s - time.monotonic()), **request):
                if "error" in answer:
                    return self._terminal.fail(answer["error"], int(answer.get("exit", Verb.FAILED)))
                if "master" in answer:
                    self._masters = _hold(answer["master"])
                elif "change" in answer:
                    self._show_change(answer["change"], detailed=how.get("dry_run", False))
                elif "app" in answer:
                    if rows.get(answer["app"]) != answer:
                        self._show(answer)
                    rows[answer["app"]] = answer
                else:
                    return self._conclude(verb, list(rows.values()), answer, everything=everything)
            sock = None
        if verb == "stop" and not self.leftovers() and not pidfiles.locked(self._run.pidfile):
            return self._conclude(verb, list(rows.values()), {"exit": Verb.DONE}, everything=everything)
        return self._terminal.fail(
            f"the master ended before it was done; see {self._logfile}, and try again", Verb.FAILED
        )

    def reexec(self, sock: socket.socket) -> int:
        """Have the master replaced by the version that is installed now; the exit status."""
        for answer in client.ask(sock, self._timeout_s, verb="reexec"):
            if "replaced" not in answer:
                return self._terminal.fail(answer["error"], int(answer.get("exit", Verb.FAILED)))
            told = answer["replaced"]
            if self._terminal.json:
                print(json.dumps({"verb": "reexec", "master": told, "exit": int(Verb.DONE)}, indent=2))
            else:
                print(
                    f"master: replaced, version {told['before']} -> {told['version']},"
                    f" {told['apps']} app{'' if told['apps'] == 1 else 's'} kept, control away {told['away_s']:.2f} s"
                )
            return Verb.DONE
        following = self.reconnect()
        if following is None:
            return self._terminal.fail(f"the master has ended; see {self._logfile}", Verb.FAILED)
        answer = next(client.ask(following, self._timeout_s, verb="status", names=[]), {})
        version = answer.get("status", {}).get("master", {}).get("version", "unknown")
        return self._terminal.fail(
            f"the master fell while it was being replaced; version {version} runs now, see {self._logfile}",
            Verb.FAILED,
        )

    def reload(self, sock: socket.socket, *, dry_run: bool, config: str | None) -> int:
        """Have the file read again, or see what that would change; the exit status. `config`: as for `status`."""
        code = self.follow(sock, "reload", [], dry_run=dry_run, config=config)
        if self._terminal.json:
            return code
        if code in (Verb.NO_RIGHTS, Verb.NOT_INSTALLED, Verb.NOT_CONFIGURED):
            self._terminal.error("nothing was reloaded, everything runs on as before")
        elif code == Verb.DONE and not self._changes:
            print("nothing would change" if dry_run else "nothing changed")
        return code

    def status(self, names: Sequence[str], *, config: str | None = None) -> dict[str, Any] | None:
        """What the master says of itself and `names`; None if there is none, empty if it gives no answer.

        `config`: the configuration file it is to have; None: any.
        A watchdog that just dies is soon followed by another, which is asked again. Raises RightsError, NoAnswerError.
        """
        sock = client.connect(self._run.socket)
        for _ in range(_TRIES):
            if sock is None:
                return None
            within_s = min(self._timeout_s, _STATUS_S)
            if answer := next(client.ask(sock, within_s, verb="status", names=names, config=config), None):
                return answer
            sock = self.reconnect()
        return {}

    def answers(self) -> bool:
        """A master answers, within 10 s, as process `answering`; one that has lost its watchdog answers by the next."""
        try:
            sock = client.connect(self._run.socket) or self.reconnect()
            if sock is None:
                return False
            # Whoever is of an earlier version does not know the word, and says so: an answer, too.
            for answer in client.ask(sock, min(self._timeout_s, _STATUS_S), verb="ping", names=[]):
                self.answering = answer.get("pid") or self.claimed()
                return True
            return True
        except client.NoAnswerError:
            return False

    def _conclude(
        self, verb: str, rows: list[dict[str, Any]], answer: dict[str, Any], *, everything: bool
    ) -> int:
        code, problems = int(answer["exit"]), answer.get("problems", [])
        if everything and code == Verb.DONE and not client.wait_gone(self._masters, _END_S):
            return self._terminal.fail(f"the master (process {self.claimed()}) does not end", Verb.FAILED)
        for problem in problems:
            self._terminal.error(problem, bare=True)
        if everything and code == Verb.DONE:
            self._terminal.tell("master: stopped")
        if self._terminal.json:
            extra = {"changes": self._changes} if verb == "reload" else {}
            print(
                json.dumps(
                    {"verb": verb, **extra, "apps": rows, "problems": problems, "exit": code}, indent=2
                )
            )
        return code

    def _show_change(self, row: dict[str, Any], *, detailed: bool) -> None:
        if row in self._changes:
            return  # told by the watchdog before this one
        self._changes.append(row)
        if not self._terminal.json:
            from . import changes

            print("\n".join([changes.headline(row), *(changes.details(row) if detailed else ())]), flush=True)

    def reconnect(self) -> socket.socket | None:
        """The next watchdog, once it listens; None if there is none to come."""
        until_s = time.monotonic() + _LOCK_WAIT_S
        while time.monotonic() < until_s and pidfiles.locked(self._run.pidfile):
            if sock := client.connect(self._run.socket):
                return sock
            time.sleep(_LOOK_EVERY_S)
        return None

    def _show(self, answer: dict[str, Any]) -> None:
        if self._terminal.json:
            return
        name, state, text = answer["app"], answer["state"], answer["text"]
        if not answer["ok"]:
            self._terminal.error(
                f"{name}: {'not ended' if self._terminal.verb == 'stop' else 'failed'}: {text}", bare=True
            )
            return
        pid = f", process {answer['pid']}" if answer["pid"] else ""
        told = (
            text
            if text.startswith((state, f"left {state}"))
            else f"{state}{pid}{': ' + text if text else ''}"
        )
        print(f"{name}: {told}", flush=True)

    def leftovers(self) -> bool:
        """A master that is gone has left records, or, if those are lost, apps."""
        return any(True for _ in Records(self._run.records).read_all()) or bool(proc.marked(self._run.path))

    def claimed(self) -> str:
        """The pid in the master's pidfile, for messages."""
        try:
            return str(pidfiles.read(self._run.pidfile) or "unknown")
        except pidfiles.PidfileError:
            return "unknown"


def _hold(pids: list[int]) -> list[int]:
    fds = []
    for pid in pids:
        try:
            fds.append(os.pidfd_open(pid))
        except OSError:
            continue
    return fds
