"""The other side of exec: a new version finds itself in the place of a watchdog or a keeper, and goes on there.

Knows what is handed on, and birth. What it is told is proven before it is used: the lock, the parent, the child.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from . import __version__, birth, keeper, pidfiles, proc, reexec, sole
from .commands import Desk
from .deaths import Keeper
from .exit_codes import Verb
from .journal import Journal
from .loading import Source, UnreadableError
from .notify import tell
from .paths import RunDirectory
from .records import Record, Records
from .reexec import Inheritance
from .spec import Config
from .watchdog import Setup, Watchdog


def check(source: Source, run: RunDirectory, names: list[str]) -> int:
    """Show that this version starts, and what it makes of configuration and records; `names`: apps that run."""
    answer: dict[str, object] = {"kegmaster": __version__}
    try:
        config, _ = source.load(names)
        answer["apps"] = [app.name for app in config.apps]
        answer["problems"] = [str(problem) for problem in config.problems]
        unread = [record for record in Records(run.records).read_all() if not isinstance(record, Record)]
        if unread:
            answer["error"] = str(unread[0])
    except UnreadableError as error:
        answer |= {"error": str(error), "exit": int(Verb.NO_RIGHTS if error.rights else Verb.NOT_CONFIGURED)}
    print(json.dumps(answer), flush=True)
    return Verb.DONE


def take_over(origin: birth.Birth, words: list[str], *, verbose: bool) -> int:
    """Go on as what this process was; returns the exit status when all is over."""
    try:
        inheritance = reexec.inherited(words)
        origin.lock.inherit(inheritance.lock)
        reexec.keep_to_ourselves(inheritance)
    except (OSError, ValueError, pidfiles.PidfileError) as error:
        print(
            f"{reexec.TAKE_OVER} is for the launcher's own use, reexec is for yours: {error}", file=sys.stderr
        )
        return Verb.USAGE
    try:
        if inheritance.role == "keeper":
            _as_keeper(origin, inheritance)
        else:
            _as_watchdog(origin, inheritance, verbose=verbose)
    except Exception:  # noqa: BLE001  # the keeper brings the version before back
        import traceback

        origin.journal.error(f"version {__version__} cannot take over: {traceback.format_exc()}")
        return os.EX_SOFTWARE
    return keeper.OVER if inheritance.keeper else Verb.DONE


def _as_watchdog(origin: birth.Birth, inheritance: Inheritance, *, verbose: bool) -> None:
    config, _ = origin.source.load()
    address = os.environ.pop("NOTIFY_SOCKET", "")
    journal = Journal(origin.journal.path, verbose=verbose, echo=not inheritance.keeper)
    news = Keeper(
        pid=inheritance.keeper, deaths_r=inheritance.news_r, deaths_w=inheritance.news_w, young=inheritance.young
    )  # fmt: skip
    setup = Setup(
        source=origin.source, run=origin.run, journal=journal, lock=origin.lock, keeper=news,
        notify_address=address, program=origin.program, inherited=inheritance,
    )  # fmt: skip
    watchdog = Watchdog(setup, config)
    sole.take(origin.source.file)
    desk = Desk(watchdog)
    clients = [watchdog.control.converse(socket.socket(fileno=fd)) for fd in inheritance.clients]
    desk.succession.arrived(inheritance, clients)
    # Whoever died while nobody could be told of it.
    watchdog.crew.reap()
    tell(address, "READY=1")
    birth.go_on(origin, watchdog)


def _as_keeper(origin: birth.Birth, inheritance: Inheritance) -> None:
    seen = proc.stat(inheritance.watchdog)
    if seen is None or seen.parent != os.getpid():
        raise ChildProcessError(f"process {inheritance.watchdog} is no child of ours")
    try:
        config, _ = origin.source.load()
    except UnreadableError:
        config = Config(file=origin.source.file)  # only until there is a watchdog to be made
    os.write(inheritance.news_w, b"keeper %s\n" % __version__.encode())
    origin.journal.info(f"the keeper follows: version {inheritance.before} -> {__version__}")
    birth.keep(
        origin, config, news=(inheritance.news_r, inheritance.news_w), watchdog=inheritance.watchdog
    )  # fmt: skip
