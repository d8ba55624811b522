from __future__ import annotations

import os

import pytest

from kegapps.daemon.errors import StartError
from kegapps.daemon.state_path import state_path


@pytest.mark.parametrize(
    ("uid", "state", "home", "path"),
    [
        (0, "/state", "/root", "/var/lib/kegbot/x.sqlite"),
        (1000, "/state", "/home/ann", "/state/kegbot/x.sqlite"),
        (1000, "relative", "/home/ann", "/home/ann/.local/state/kegbot/x.sqlite"),
        (1000, "", "/home/ann", "/home/ann/.local/state/kegbot/x.sqlite"),
    ],
)
def test_where_a_program_keeps_things_by_default(
    monkeypatch: pytest.MonkeyPatch, uid: int, state: str, home: str, path: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", home)
    assert state_path("x.sqlite", flag="file") == path


def test_without_a_home_a_file_is_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "nowhere")
    with pytest.raises(StartError, match="name a file with --file"):
        state_path("x.sqlite", flag="file")
