"""The sounds that come with the program are made by it, short, and all in its table."""

from __future__ import annotations

import wave
from functools import partial
from pathlib import Path

from kegapps.sound.make_sounds import FOLDER, SOUNDS, make
from kegapps.sound.server import OWN_TABLE, _table, _wrong_with
from kegapps.sound.table import parse

MAX_BYTES = 60_000


def test_every_sound_is_made_anew_byte_for_byte(tmp_path: Path) -> None:
    make(str(tmp_path))
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made.keys() == SOUNDS.keys()
    for name, content in made.items():
        assert (Path(FOLDER) / name).read_bytes() == content, (
            f"{name}: run python -m kegapps.sound.make_sounds"
        )


def test_every_sound_is_a_small_file_at_22_khz_that_begins_and_ends_quietly() -> None:
    for name in SOUNDS:
        path = Path(FOLDER) / name
        assert path.stat().st_size < MAX_BYTES
        with wave.open(str(path)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22050)
            frames = file.readframes(file.getnframes())
        samples = memoryview(frames).cast("h")
        assert 15_000 < max(map(abs, samples)) < 32_767
        assert samples[0] == samples[-1] == 0


def test_the_table_that_comes_with_it_plays_each_and_nothing_else() -> None:
    rows = parse(
        Path(OWN_TABLE).read_text(),
        source=OWN_TABLE,
        check=lambda path: "" if Path(path).is_file() else "missing",
    )
    assert sorted(Path(sound).name for row in rows for sound in row.sounds) == sorted(SOUNDS)
    assert not any(row.users or row.taps for row in rows)


def test_the_sample_table_needs_no_sounds_but_those_that_come_with_it_and_aplay_plays_them_all() -> None:
    sample = Path(__file__).parents[3] / "conf" / "sounds.ini"
    rows = _table(str(sample), partial(_wrong_with, ("aplay",)))
    assert {row.trigger for row in rows} >= {0.0, 500.0, "drink"}
    assert {Path(sound).parent for row in rows for sound in row.sounds} == {Path(FOLDER)}
