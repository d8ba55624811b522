"""Plays sounds for what happens at the taps: a flow begins, a volume is reached, a user comes, a drink is done.

Without further flags it plays the sounds that come with it. --sounds names a table of your own: which files for which
volume, user and tap. It is read once, at the start.

Example: sound_server.py --sounds=/etc/kegbot/sounds.ini
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from absl import flags

from kegapps.daemon import runner
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.service import Service
from kegapps.daemon.thread_calls import ThreadCalls
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import Event
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.sound.moments import Moments
from kegapps.sound.player import KNOWN, Player, ProgramPlayer, find, unplayable
from kegapps.sound.table import FLOW_START, MISSING, Row, TableError, Trigger, parse

FLAGS = flags.FLAGS
PYGAME: Final = "pygame"
OWN_TABLE: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sounds", "sounds.ini")
MAX_TABLE_BYTES: Final = 1_000_000

flags.DEFINE_string(
    "sounds", "", "Table of what is played when, an INI file. Empty: the sounds that come with the program."
)
flags.DEFINE_string("sound_drink", "", "Instead of a table: the sound file for a drink that was poured.")
flags.DEFINE_string("sound_flow", "", "Instead of a table: the sound file for a flow that begins.")
flags.DEFINE_string(
    "player",
    "",
    f"Program that plays a sound file, or {PYGAME} for mixing without one (pip install 'kegmaster[sound]'). Empty: "
    f"the first found of {', '.join(KNOWN)}.",
)
flags.DEFINE_integer("max_sounds", 4, "How many sounds may play at once; further ones are left out.", 1, 32)


class SoundServer:
    """Listens to the core, and plays by `rows`; `player` makes what plays, None if there is none.

    It is given what to call with the reason why a sound was not played, and with "" after one that was.
    """

    def __init__(
        self,
        service: Service,
        *,
        rows: Sequence[Row],
        player: Callable[[Callable[[str], None]], Player | None],
    ) -> None:
        self._service = service
        self._problem = ""
        self._moments = Moments(rows)
        self._player = player(self._heard_of)
        self._client = Client(
            service.loop,
            core_address(),
            on_event=self._on_event,
            on_connected=self._tell,
            on_disconnected=self._tell,
            token=kegnet_token(service.path),
        )

    @property
    def status(self) -> str:
        """What it is doing, for a person."""
        link = "listening to" if self._client.connected else "looking for"
        told = f"{link} the core at {shown_address(*self._client.address)}"
        if self._player is None:
            told += f"; no player found ({', '.join(KNOWN)}): install one or name another by --player"
        if self._problem:
            told += f"; the last sound was not played: {self._problem}"
        return told

    def close(self) -> None:
        """Disconnect and be silent."""
        self._client.close()
        if self._player is not None:
            self._player.close()

    def _heard_of(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._tell()

    def _tell(self) -> None:
        self._service.status(self.status)

    def _on_event(self, event: Event) -> None:
        for sounds in self._moments.heard(event):
            if self._player is not None:
                self._player.play(random.choice(sounds))


def _wrong_with(command: tuple[str, ...], path: str) -> str:
    """Why `path` cannot be a sound file, or not for the player `command`; "" if it can."""
    if not os.path.exists(path):
        return MISSING
    if not os.path.isfile(path):
        return "no file"
    try:
        return unplayable(command, path) if os.access(path, os.R_OK) else "permission denied"
    except OSError as error:
        return error.strerror or "cannot be read"


def _table(path: str, check: Callable[[str], str]) -> tuple[Row, ...]:
    """The rows of the table at `path`. Raises StartError."""
    try:
        # Without O_NONBLOCK a FIFO waits for somebody who writes.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise StartError(f"--sounds={path}: no plain file; name a table of sounds")
            text = file.read(MAX_TABLE_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise StartError(f"--sounds={path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartError(f"--sounds={path}: the file is not UTF-8 text") from None
    if len(text) > MAX_TABLE_BYTES:
        raise StartError(f"--sounds={path}: too long for a table of sounds")
    try:
        return parse(text, source=path, check=check, shipped=os.path.dirname(OWN_TABLE))
    except TableError as error:
        raise StartError(f"--sounds: {error}") from None


def _rows(service: Service, check: Callable[[str], str]) -> tuple[Row, ...]:
    """What the flags ask for; `check` says what is wrong with a sound file.

    Raises StartError, and UsageError if they contradict each other.
    """
    single: tuple[tuple[str, Trigger], ...] = (("sound_flow", FLOW_START), ("sound_drink", "drink"))
    rows = []
    for flag, trigger in single:
        if value := str(FLAGS[flag].value):
            if FLAGS.sounds:
                raise UsageError(
                    f"--sounds and --{flag}: give one of them; the table has a place for both sounds"
                )
            path = service.path(value)
            if wrong := check(path):
                raise StartError(f"--{flag}={path}: {wrong}; name a sound file, or leave the flag out")
            rows.append(Row(trigger=trigger, sounds=(path,)))
    return tuple(rows) or _table(service.path(FLAGS.sounds) if FLAGS.sounds else OWN_TABLE, check)


def _command(service: Service) -> tuple[str, ...]:
    """The program that plays, none for pygame or if there is none. Raises StartError if one that was named is not."""
    if FLAGS.player == PYGAME:
        return ()
    command = find(service.path(FLAGS.player) if "/" in FLAGS.player else FLAGS.player)
    if not command and FLAGS.player:
        raise StartError(f"--player={FLAGS.player}: no such program on PATH; give its path")
    return command


def _player(service: Service, command: tuple[str, ...], on_problem: Callable[[str], None]) -> Player | None:
    """What plays. Raises StartError if pygame is wanted and not installed."""
    if FLAGS.player == PYGAME:
        from kegapps.sound.mixer import Mixer

        calls = ThreadCalls(service.loop)

        def hand_over(problem: str) -> None:
            calls.call_soon(partial(on_problem, problem))

        return Mixer(most=FLAGS.max_sounds, on_problem=hand_over)
    if not command:
        return None
    return ProgramPlayer(service.loop, command, most=FLAGS.max_sounds, on_problem=on_problem)


def serve(service: Service) -> None:
    """Play until told to stop."""
    command = _command(service)
    rows = _rows(service, partial(_wrong_with, command))
    server = SoundServer(service, rows=rows, player=partial(_player, service, command))
    service.ready(server.status)
    service.loop.run()
    server.close()


def main(argv: Sequence[str]) -> int:
    """The program."""
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)
