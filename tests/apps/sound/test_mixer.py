"""The mixer's thread outlives whatever SDL's mixer raises."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import ModuleType
from typing import Any

import pytest

from kegapps.sound.mixer import Mixer

DEADLINE_S = 20.0
METHODS = ("init", "set_num_channels", "find_channel", "Sound", "play")


class FakeError(Exception):
    """pygame.error."""


class FakeMixer(ModuleType):
    """pygame.mixer, and the channel that it finds: each method notes its name, and raises what it is told to."""

    def __init__(self) -> None:
        super().__init__("pygame.mixer")
        self.called: list[str] = []
        self.raises: dict[str, Exception] = {}
        self.changed = threading.Condition()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def method(*_: object, **__: object) -> Any:
            with self.changed:
                self.called.append(name)
                self.changed.notify_all()
            if name in self.raises:
                raise self.raises[name]
            return False if name == "get_busy" else self

        return method

    def until_called(self, name: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: name in self.called, DEADLINE_S), self.called


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeMixer:
    pygame, fake = ModuleType("pygame"), FakeMixer()
    pygame.error = FakeError  # type: ignore[attr-defined]
    pygame.mixer = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pygame", pygame)
    monkeypatch.setitem(sys.modules, "pygame.mixer", fake)
    return fake


@pytest.mark.parametrize("error", [FakeError("no card"), ValueError("no\ncard"), MemoryError("no card")])
@pytest.mark.parametrize("method", METHODS)
def test_whatever_goes_wrong_is_said_once_and_the_next_sound_is_played(
    fake: FakeMixer, caplog: pytest.LogCaptureFixture, method: str, error: Exception
) -> None:
    caplog.set_level(logging.WARNING)
    told: list[str] = []
    mixer = Mixer(most=4, on_problem=told.append)
    fake.raises = {method: error}
    for path in ("a.wav", "b.wav"):
        fake.called.clear()
        mixer.play(path)
        fake.until_called(method)
        until(lambda: mixer._wanted.empty())
    fake.raises = {}
    fake.called.clear()
    mixer.play("c.wav")
    fake.until_called("play")
    mixer.close()
    assert not mixer._thread.is_alive()
    assert [record.getMessage() for record in caplog.records] == ["cannot play a.wav: no card"]
    assert told == ["no card", "no card", ""]


def test_a_card_that_cannot_be_let_go_is_opened_again(
    fake: FakeMixer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kegapps.sound.mixer.KEEP_OPEN_S", 0.01)
    told: list[str] = []
    mixer = Mixer(most=4, on_problem=told.append)
    fake.raises = {"quit": RuntimeError()}
    mixer.play("a.wav")
    fake.until_called("quit")
    fake.called.clear()
    mixer.play("b.wav")
    fake.until_called("init")
    fake.until_called("play")
    mixer.close()
    assert not mixer._thread.is_alive()
    assert "cannot let the sound card go: RuntimeError" in caplog.text


def until(condition: Any) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)
