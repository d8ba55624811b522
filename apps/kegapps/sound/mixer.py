"""Plays sound files by pygame's mixer, in this process: they begin at once and mix on a card that only one may open.

Knows a thread and SDL's mixer. Must not know kegnet or flags. Whatever may take its time (opening the card, decoding a
file) happens in the thread. A card is let go a while after the last sound: then it costs nothing, other programs may
have it, and one that was unplugged meanwhile is found anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kegapps.daemon.extras import extra
from kegapps.sound.player import MAX_SECONDS

log = logging.getLogger("sound")

RATE_HZ, BITS, CHANNELS = 44100, -16, 2  # of the card; SDL converts what a file has
KEEP_OPEN_S: Final = 10.0
MAX_CACHED: Final = 32  # decoded files
GRACE_S: Final = 0.3  # at the end; a sound system that hangs is not waited for


class Mixer:
    """Plays at most `most` files at once.

    `on_problem`, called by a thread, is told why a sound was not played, and "" of one that was. Raises StartError if
    pygame is not installed. Make it after the process became a daemon: a fork would leave the thread behind.
    """

    def __init__(self, *, most: int, on_problem: Callable[[str], None]) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it would print a greeting
        self._pygame = extra("pygame", extra="sound", wanted_by="--player=pygame")
        self._mixer = extra("pygame.mixer", extra="sound", wanted_by="--player=pygame")
        self._most = most
        self._on_problem = on_problem
        self._wanted: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._sounds: dict[str, Any] = {}
        self._complained = False
        self._is_open = False  # the card
        self._began_s = 0.0
        self._thread = threading.Thread(target=self._serve, name="mixer", daemon=True)
        self._thread.start()

    def play(self, path: str) -> None:
        """Begin to play `path`; raises nothing."""
        if self._wanted.qsize() < self._most:  # or the card is being waited for; they would all come at once
            self._wanted.put(path)

    def close(self) -> None:
        """Silence."""
        self._wanted.put(None)
        self._thread.join(GRACE_S)

    def _serve(self) -> None:
        while True:
            try:
                path = self._wanted.get(timeout=KEEP_OPEN_S if self._is_open else None)
            except queue.Empty:
                self._try(self._rest, "let the sound card go")
                continue
            if path is None:
                self._try(self._let_go, "let the sound card go")
                return
            problem = self._try(partial(self._begin, path), f"play {path}")
            self._on_problem(problem)
            if not problem:
                self._complained = False

    def _rest(self) -> None:
        if not self._mixer.get_busy() or self._is_stuck():
            self._let_go()

    def _is_stuck(self) -> bool:
        """It plays, it says, but nothing plays so long: the card was unplugged."""
        return time.monotonic() - self._began_s > MAX_SECONDS and bool(self._mixer.get_busy())

    def _begin(self, path: str) -> None:
        if self._is_open and self._is_stuck():
            self._let_go()
        if not self._is_open:
            self._mixer.init(RATE_HZ, BITS, CHANNELS)
            self._mixer.set_num_channels(self._most)
            self._is_open = True
        channel = self._mixer.find_channel()
        if channel is None:
            log.debug("not played, %d sounds are playing: %s", self._most, path)
            return
        channel.play(self._sound(path), maxtime=int(MAX_SECONDS * 1000))
        self._began_s = time.monotonic()

    def _sound(self, path: str) -> Any:
        if path not in self._sounds:
            if len(self._sounds) >= MAX_CACHED:
                del self._sounds[next(iter(self._sounds))]
            self._sounds[path] = self._mixer.Sound(path)
        return self._sounds[path]

    def _let_go(self) -> None:
        self._sounds.clear()
        self._is_open = False  # if it cannot be closed, then it is opened once more the next time
        self._mixer.quit()

    def _try(self, action: Callable[[], None], what: str) -> str:
        """Why it did not go well, "" if it did.

        The thread goes on in any case, and opens the card anew after what nobody expects.
        """
        try:
            action()
        except (self._pygame.error, OSError) as error:
            return self._complain(what, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next sound may be heard again
            with contextlib.suppress(Exception):
                self._let_go()
            return self._complain(what, error)
        return ""

    def _complain(self, what: str, error: Exception) -> str:
        """Once until a sound was heard again: without a sound card every drink would say the same."""
        reason = " ".join(str(error).split()) or type(error).__name__
        if not self._complained:
            self._complained = True
            log.warning("cannot %s: %s", what, reason)
        return reason
