"""What apps print: which of it is to be written when. The watchdog's scribe.

Knows spools, channels to logs and due times. Must not know states or processes. Nobody polls: a spool tells, once,
that something was printed; a moment later what has come together by then is written.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable

from . import crashlog
from .applog import AppLog, lacks_place, open_log
from .channel import RETRY_S, Channel, Loss
from .environment import credentials
from .journal import Journal
from .lean import Final
from .ramdisk import Ramdisks
from .spec import App
from .spool import Spool, SpoolWatch, bound_bytes, flaw, holders

GATHER_S: Final = 0.1
"""So long after the first word is waited for more: one write for many lines."""
LOUD_BYTES: Final = 64 << 10
"""Who has printed so much before we even hear of it would fill its spool meanwhile."""
ROUND_BYTES: Final = 4 << 20
"""At most so much of all apps together before the watchdog turns to other work."""


class Output:
    """The output of all apps."""

    def __init__(self, selector: selectors.BaseSelector, journal: Journal) -> None:
        """Raises OSError where the kernel gives no inotify."""
        self._journal = journal
        self._channels: dict[str, Channel] = {}
        self._lost: dict[str, Loss] = {}
        self._holders: dict[str, list[int]] | None = None
        self._watch: SpoolWatch | None = None
        self._disks: Ramdisks | None = Ramdisks(
            bound_bytes(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        )
        if why := flaw(self._disks):
            self._disks.close()
            self._disks = None
            journal.debug(
                f"no spools with a bound ({why}): what waits while no watchdog runs may fill the memory"
            )
        if self._disks is None and (why := flaw()):
            journal.debug(f"no spools ({why}): apps print to their logs directly, without a cap")
            return
        self._watch = SpoolWatch()
        selector.register(self._watch, selectors.EVENT_READ, lambda _: self._on_news())

    def open(self, app: App, uid: int | None, gid: int | None) -> int:
        """What is to become stdout and stderr of an app about to be made; the caller closes it. Raises OSError."""
        try:
            fd = open_log(app.logfile, uid, gid)
        except OSError as error:
            if self._watch is None or not lacks_place(error):
                raise
        else:
            if self._watch is None:
                os.set_blocking(fd, True)
                return fd
            os.close(fd)
        channel = self._channels.get(app.name)
        if channel is None:
            channel = self._add(app, self._spool(app.name, uid), uid, gid)
        else:
            channel.begin(self._log(app, uid, gid), uid)
        self._ask(channel, time.monotonic())
        return channel.spool.open()

    def also(self, app: App) -> int:
        """The same for a command that serves an app which runs; the caller closes it. Raises OSError, KeyError."""
        channel = self._channels.get(app.name)
        if channel is not None:
            return channel.spool.open()
        uid, gid, _ = credentials(app.context)
        fd = open_log(app.logfile, uid, gid)
        os.set_blocking(fd, True)
        return fd

    def adopt(self, app: App, pid: int, proven: Callable[[int], bool]) -> None:
        """Go on with what the app prints where an earlier watchdog left off.

        `pid` is its main process; of any other that seems to print to its spool, `proven` tells whether it is its.
        """
        if self._watch is None:
            return
        spool = Spool.find(app.name, pid)
        if spool is None:
            self._holders = holders() if self._holders is None else self._holders
            others = (
                Spool.find(app.name, other) for other in self._holders.get(app.name, ()) if proven(other)
            )
            spool = next((found for found in others if found), None)
        if spool is None:
            return
        try:
            uid, gid, _ = credentials(app.context)
        except KeyError:
            uid = gid = None
        channel = self._add(app, spool, uid, gid)
        if spool.look():
            channel.log.end_line()
        channel.due_s = 0.0

    def follow(self, app: App) -> None:
        """The file has other limits for its log now."""
        if channel := self._channels.get(app.name):
            channel.log.limit(*_limits(app))

    def drain(self, name: str) -> tuple[str, ...]:
        """The app has ended: write down all it has printed; its last lines, if it printed to us."""
        channel = self._channels.get(name)
        if channel is None:
            return ()
        words = channel.words()
        channel.drain(time.monotonic())
        return words

    def close(self, name: str) -> None:
        """No process of the app is left. What its log has not taken yet is kept, and tried again."""
        channel = self._channels.get(name)
        if channel is not None:
            channel.over = True
            channel.drain(time.monotonic())
            self._end(channel)

    def printed(self, name: str, logfile: str, begun: tuple[int, int]) -> bytes:
        """The end of what a launch printed, for the crash log: what its log has of it, and what still waits.

        `begun`: the log's inode number and size when the launch began.
        """
        waits = self._channels[name].waits(crashlog.MAX_OUTPUT_BYTES) if name in self._channels else b""
        return crashlog.tail(logfile, begun, crashlog.MAX_OUTPUT_BYTES - len(waits)) + waits

    def drain_all(self) -> None:
        """Write down all that was printed so far."""
        for channel in self._channels.values():
            channel.drain(time.monotonic())

    def close_all(self) -> None:
        """No watchdog comes after us, or one that finds the spools by itself."""
        for channel in self._channels.values():
            channel.drain(time.monotonic())
            if channel.over and channel.spool.waiting:
                self._journal.error(
                    f"{channel.name}: {channel.spool.waiting} bytes of output lost: {channel.trouble}"
                )
        if self._watch:
            self._watch.close()
        if self._disks:
            self._disks.close()

    @property
    def due_s(self) -> float | None:
        """When something is to be written (monotonic)."""
        times = [channel.due_s for channel in self._channels.values() if channel.due_s is not None]
        return min(times, default=None)

    def on_time(self, now_s: float) -> None:
        """Write what is due, the longest due first, and no more than is well for the rest of the watchdog."""
        due = [
            (channel.due_s, name)
            for name, channel in self._channels.items()
            if channel.due_s is not None and channel.due_s <= now_s
        ]
        budget = ROUND_BYTES
        for _, name in sorted(due):
            channel = self._channels[name]
            # Asked first, so that what is printed from here on is told.
            told = channel.over or self._ask(channel, now_s)
            budget -= channel.forward(now_s, all_of_it=channel.over)
            if not told:
                channel.due_s = min(channel.due_s or now_s + RETRY_S, now_s + RETRY_S)
            self._end(channel)
            if budget <= 0:
                return

    def lost(self, name: str) -> Loss | None:
        """What was lost of its output since this watchdog began; None if nothing."""
        return self._lost.get(name)

    def trouble(self, name: str) -> str:
        """What is the matter with its log just now, in words; empty if nothing."""
        channel = self._channels.get(name)
        return channel.told() if channel else ""

    def _add(self, app: App, spool: Spool, uid: int | None, gid: int | None) -> Channel:
        channel = Channel(app.name, spool, self._log(app, uid, gid), self._journal, self._on_loss)
        self._channels[app.name] = channel
        return channel

    def _spool(self, name: str, uid: int | None) -> Spool:
        if self._disks is not None:
            try:
                return Spool.make(name, uid, self._disks)
            except OSError as error:
                self._journal.debug(f"{name}: its spool has no bound: {error}")
        return Spool.make(name, uid)

    def _log(self, app: App, uid: int | None, gid: int | None) -> AppLog:
        cap, backups = _limits(app)
        return AppLog(
            app.logfile, cap=cap, backups=backups, uid=uid, gid=gid,
            complain=lambda text: self._journal.warning(f"{app.name}: {text}"),
        )  # fmt: skip

    def _on_loss(self, name: str, loss: Loss) -> None:
        self._lost.setdefault(name, Loss()).add(loss)

    def _ask(self, channel: Channel, now_s: float) -> bool:
        told = self._watch is not None and self._watch.ask(channel.spool)
        if not told:
            channel.due_s = now_s + RETRY_S
        return told

    def _on_news(self) -> None:
        assert self._watch is not None
        channels = {channel.spool: channel for channel in self._channels.values()}
        now_s = time.monotonic()
        for spool in self._watch.take():
            channel = channels[spool]
            due_s = now_s if spool.look() > LOUD_BYTES else now_s + GATHER_S
            channel.due_s = due_s if channel.due_s is None else min(channel.due_s, due_s)

    def _end(self, channel: Channel) -> None:
        """Let go of the spool of an app that is gone, once it is empty."""
        if channel.over and not channel.spool.waiting and self._watch is not None:
            self._watch.forget(channel.spool)
            channel.spool.close()
            del self._channels[channel.name]


def _limits(app: App) -> tuple[int, int]:
    """(most bytes, backups) of its log; no limit for one that the app itself holds open."""
    return 0 if app.keeps_log else app.log_max_bytes, app.log_backups
