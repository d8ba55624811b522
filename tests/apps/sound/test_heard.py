"""A pour on a real core is heard: the very samples of the right sound reach the sound card, here a file."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kegapps.sound.make_sounds import FOLDER
from kegapps.sound.mixer import RATE_HZ
from tests.apps.core.programs import SCRIPTS, CoreProgram
from tests.apps.kegboard.programs import DEADLINE_S, Program

TICKS = 800  # 363.6 mL, 12.3 oz


class Room:
    """A core, and what a sound server in it plays."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.core = stack.enter_context(CoreProgram(folder / "kegbot.sqlite"))
        self.address = f"--kb_core_addr=localhost:{self.core.port}"

    def server(self, *flags: str, **environment: str) -> Program:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            program = Program("sound_server.py", self.address, *flags, cwd=self.folder)
        self._stack.callback(program.kill)
        program.line("listening to the core")
        return program

    def pour(self) -> None:
        """Through 12 oz in one step, and done."""
        subprocess.run(
            [sys.executable, SCRIPTS / "test_flow.py", self.address, f"--ticks={TICKS}", "--steps=1",
             "--explicit_start_stop", "--wait_for_drink"],
            check=True, timeout=DEADLINE_S, stdout=subprocess.DEVNULL, cwd=self.folder,
        )  # fmt: skip


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with ExitStack() as stack:
        yield Room(tmp_path, stack)


def until(condition: Callable[[], object]) -> None:
    """A file's growth is told by nobody, so this looks again."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s, "in vain"
        time.sleep(0.02)


def frames_of(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        frames: bytes = file.readframes(file.getnframes())
    return frames


@pytest.mark.skipif(shutil.which("aplay") is None, reason="aplay (alsa-utils) is not installed")
def test_a_pour_through_12_oz_plays_the_sound_of_that_threshold(room: Room) -> None:
    cards = room.folder / "card"
    cards.mkdir()
    sink = room.folder / "sink"
    sink.write_text(f'#!/bin/sh\ncat > "{cards}/$$.part" && mv "{cards}/$$.part" "{cards}/$$.raw"\n')
    sink.chmod(0o755)
    config = room.folder / "asound.conf"
    config.write_text(
        f'pcm.!default {{ type file slave.pcm "nothing" file "|{sink}" format raw }}\npcm.nothing {{ type null }}\n'
    )
    server = room.server("--player=aplay", ALSA_CONFIG_PATH=str(config))
    room.pour()
    until(lambda: len(list(cards.glob("*.raw"))) == 3)
    assert server.end() == 0
    heard = [path.read_bytes() for path in cards.iterdir()]
    names = {
        name: [
            frames_of(path) == sound.rstrip(b"\0").ljust(len(frames_of(path)), b"\0") for sound in heard
        ].count(True)
        for path in Path(FOLDER).glob("*.wav")
        for name in (path.name,)
    }
    assert {name: count for name, count in names.items() if count} == {
        "start.wav": 1, "12oz.wav": 1, "drink.wav": 1,
    }  # fmt: skip


def tone(path: Path, period: int) -> bytes:
    """A sound in the card's own format, so that nothing is converted: its frames."""
    samples = [(at % period * 16000 // period - 8000) or 1 for at in range(RATE_HZ // 5)]
    frames = b"".join(struct.pack("<hh", sample, -sample) for sample in samples)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(frames)
    return frames


def test_the_mixer_plays_the_sound_of_that_threshold(room: Room) -> None:
    pytest.importorskip("pygame", reason="pygame-ce (kegmaster[sound]) is not installed")
    sounds = {
        name: tone(room.folder / f"{name}.wav", 50 + 7 * at)
        for at, name in enumerate(("1oz", "12oz", "16oz"))
    }
    table = "".join(f"[{name}]\nsound = {name}.wav\n" for name in sounds)
    (room.folder / "sounds.ini").write_text(table)
    card = room.folder / "card.raw"
    server = room.server(
        "--player=pygame", "--sounds=sounds.ini", SDL_AUDIODRIVER="disk", SDL_DISKAUDIOFILE=str(card)
    )
    room.pour()
    until(lambda: card.exists() and sounds["12oz"] in card.read_bytes())
    start_s = time.monotonic()
    assert server.end(signal.SIGTERM) == 0
    assert time.monotonic() - start_s < 1
    heard = card.read_bytes()
    assert heard.count(sounds["12oz"]) == 1
    assert heard.strip(b"\0") == sounds["12oz"].strip(b"\0")


def test_without_a_sound_card_the_mixer_says_so_once_and_goes_on(room: Room) -> None:
    pytest.importorskip("pygame", reason="pygame-ce (kegmaster[sound]) is not installed")
    server = room.server("--player=pygame", SDL_AUDIODRIVER="no-such-driver")
    room.pour()
    server.line("cannot play")
    room.pour()
    server.process.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not [
        line for line in server.lines if "cannot play" in line or "Traceback" in line or "Hello" in line
    ]
    assert os.listdir(room.folder)
