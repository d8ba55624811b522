"""Makes the sounds that come with the sound server: struck bells, for nothing but a start, a volume, a user, a drink.

`python -m kegapps.sound.make_sounds [FOLDER]` writes them anew, byte for byte the same. Knows wave files.
"""

from __future__ import annotations

import array
import math
import os
import sys
import wave
from collections.abc import Sequence
from typing import Final

RATE_HZ: Final = 22050
FOLDER: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sounds")

_LOUDEST: Final = 0.7 * 32767
_DECAY_S: Final = 0.11  # until a stroke has lost about two thirds
_PARTIALS: Final = ((1.0, 1.0), (2.0, 0.35), (3.01, 0.12))  # (of the frequency, how loud)
_C5, _D5, _E5, _G5, _A5, _C6, _E6, _G6 = 523.25, 587.33, 659.26, 783.99, 880.0, 1046.5, 1318.51, 1567.98

# Strokes: (when, in seconds; Hz).
Strokes = Sequence[tuple[float, float]]
SOUNDS: Final[dict[str, Strokes]] = {
    "start.wav": ((0.0, _G5), (0.09, _C6)),
    "user.wav": ((0.0, _E5), (0.08, _G5), (0.16, _E6)),
    "8oz.wav": ((0.0, _C5),),
    "12oz.wav": ((0.0, _C5), (0.14, _E5)),
    "16oz.wav": ((0.0, _C5), (0.12, _E5), (0.24, _G5)),
    "24oz.wav": ((0.0, _C5), (0.11, _E5), (0.22, _G5), (0.33, _C6)),
    "32oz.wav": ((0.0, _C5), (0.09, _E5), (0.18, _G5), (0.27, _C6), (0.36, _E6), (0.45, _G6)),
    "drink.wav": ((0.0, _C6), (0.16, _A5), (0.32, _D5), (0.32, _G5)),
}


def samples(strokes: Strokes) -> array.array[int]:
    """16 bit samples at RATE_HZ, of strokes and half a second for the last to fade."""
    total = [0.0] * int((max(at_s for at_s, _ in strokes) + 0.5) * RATE_HZ)
    for at_s, hz in strokes:
        for times, loud in _PARTIALS:
            _strike(total, int(at_s * RATE_HZ), hz * times, loud)
    fade = RATE_HZ // 50
    for back in range(fade):  # ends without a click
        total[-1 - back] *= back / fade
    scale = _LOUDEST / max(map(abs, total))
    return array.array("h", (round(value * scale) for value in total))


def _strike(total: list[float], first: int, hz: float, loud: float) -> None:
    """Add a damped resonator that is struck once: one cosine, then multiplications, which no machine does otherwise."""
    keep = 1.0 - 1.0 / (_DECAY_S * RATE_HZ)
    swing = 2.0 * keep * math.cos(2.0 * math.pi * hz / RATE_HZ)
    before, now = -loud * math.sin(2.0 * math.pi * hz / RATE_HZ), 0.0
    for at in range(first, len(total)):
        total[at] += now
        before, now = now, swing * now - keep * keep * before


def make(folder: str) -> None:
    """Write all SOUNDS into `folder`."""
    for name, strokes in SOUNDS.items():
        frames = samples(strokes)
        if sys.byteorder == "big":
            frames.byteswap()
        with wave.open(os.path.join(folder, name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(frames.tobytes())


if __name__ == "__main__":
    make(sys.argv[1] if len(sys.argv) > 1 else FOLDER)
