"""What the tests of the import share: the samples, the readers, and what our own parser makes of what comes out."""

from __future__ import annotations

from pathlib import Path

from kegmaster.config import Directories, configure
from kegmaster.convert import circus, kegbot, procfile, supervisord, systemd
from kegmaster.convert.draft import Names, Notes, World, configuration
from kegmaster.spec import App

SAMPLES = Path(__file__).parent / "samples"
READERS = {
    "supervisord": supervisord.read, "procfile": procfile.read, "circus": circus.read, "systemd": systemd.read,
    "kegbot_master": kegbot.read,
}  # fmt: skip
FILES = sorted(path for path in SAMPLES.rglob("*") if path.is_file() and ".d" not in path.parent.suffix)


def no_files(pattern: str) -> list[str]:
    return []


NOWHERE = World(read=str, files=no_files)
DIRECTORIES = Directories(pidfile_dir="/run/kegbot", logfile_dir="/var/log/kegbot")


def imported(
    text: str, kind: str, file: str = "/srv/file", world: World = NOWHERE
) -> tuple[dict[str, App], list[str]]:
    """The apps that our own parser makes of what comes out, and what was said."""
    notes = Notes()
    drafts = READERS[kind](text, file, world, Names(), notes)
    systemd.relate(drafts)
    config = configure(configuration(drafts, notes, ""), "INI", DIRECTORIES) if drafts else None
    assert config is None or not [problem for problem in config.problems if problem.section is not None]
    return {app.name: app for app in config.apps} if config else {}, [str(note) for note in notes.found]


def said(notes: list[str], *pieces: str) -> bool:
    return any(all(piece in note for piece in pieces) for note in notes)
