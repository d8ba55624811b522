"""Plays a sound when a drink was poured, and another when beer begins to flow.

Example: sound_server.py --sound_drink=/usr/share/sounds/alsa/Front_Center.wav
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence

from absl import flags

from kegapps.daemon import runner
from kegapps.daemon.errors import StartError
from kegapps.daemon.service import Service
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import DrinkCreatedEvent, Event, FlowUpdate
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.sound.player import KNOWN, Player, find

FLAGS = flags.FLAGS

flags.DEFINE_string("sound_drink", "", "Sound file for a drink that was poured. Empty: silence.")
flags.DEFINE_string("sound_flow", "", "Sound file for a flow that begins. Empty: silence.")
flags.DEFINE_string(
    "player", "", f"Program that plays a sound file. Empty: the first found of {', '.join(KNOWN)}."
)


class SoundServer:
    """Listens to the core, and plays."""

    def __init__(
        self, service: Service, *, sound_drink: str, sound_flow: str, command: tuple[str, ...]
    ) -> None:
        self._service = service
        self._sound_drink = sound_drink
        self._sound_flow = sound_flow
        self._idle = ""
        if not (sound_drink or sound_flow):
            self._idle = "; no sound is configured (--sound_drink, --sound_flow)"
        elif not command:
            self._idle = f"; no player found ({', '.join(KNOWN)}): install one or name another by --player"
        self._player = Player(service.loop, command)
        self._flows: deque[int] = deque(maxlen=64)  # the latest that were heard of
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
        return f"{link} the core at {shown_address(*self._client.address)}{self._idle}"

    def close(self) -> None:
        """Disconnect and be silent."""
        self._client.close()
        self._player.close()

    def _tell(self) -> None:
        self._service.status(self.status)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, FlowUpdate):
            if event.flow_id not in self._flows:
                self._flows.append(event.flow_id)
                if event.state in ("initial", "active"):
                    self._play(self._sound_flow)
        elif isinstance(event, DrinkCreatedEvent):
            self._play(self._sound_drink)

    def _play(self, path: str) -> None:
        if path and not self._idle:
            self._player.play(path)


def _sound(service: Service, flag: str) -> str:
    """The absolute path that `--flag` names, or "". Raises StartError if that file cannot be read."""
    value = str(FLAGS[flag].value)
    path = service.path(value) if value else ""
    if path and not (os.path.isfile(path) and os.access(path, os.R_OK)):
        raise StartError(f"--{flag}={path}: no readable file; name a sound file, or leave the flag out")
    return path


def serve(service: Service) -> None:
    """Play until told to stop."""
    command = find(service.path(FLAGS.player) if "/" in FLAGS.player else FLAGS.player)
    if FLAGS.player and not command:
        raise StartError(f"--player={FLAGS.player}: no such program on PATH; give its path")
    server = SoundServer(
        service,
        sound_drink=_sound(service, "sound_drink"),
        sound_flow=_sound(service, "sound_flow"),
        command=command,
    )
    service.ready(server.status)
    service.loop.run()
    server.close()


def main(argv: Sequence[str]) -> int:
    """The program."""
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)
