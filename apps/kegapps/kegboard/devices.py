"""What --kegboard_device means: paths, globs and `auto`, and which of the paths found are one device.

Knows text and paths as text. Must not know the file system: what was found there is an argument.
Source of the names: protocol page, section 1; udev makes /dev/serial/by-id, which names boards and not sockets.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

AUTO: Final = "auto"
AUTO_PATTERNS: Final = ("/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*")
BY_ID: Final = "/by-id/"
_GLOB: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`paths` of boards that a person named, and `patterns` that any port may match, a board or not."""

    paths: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    @property
    def single(self) -> bool:
        """One board, known by its path."""
        return len(self.paths) == 1 and not self.patterns

    def directories(self) -> Iterator[str]:
        """Where these devices appear; the part of a pattern before its first wildcard."""
        for path in self.paths:
            yield posixpath.dirname(path)
        for pattern in self.patterns:
            yield posixpath.dirname(pattern[: _GLOB.search(pattern).start()])  # type: ignore[union-attr]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device there is: the path to open it by, what that leads to, and all names it was found by."""

    path: str
    target: str
    names: tuple[str, ...]


def parse_devices(text: str, absolute: Callable[[str], str]) -> Wanted:
    """What is wanted. `absolute` makes a path one. Raises ValueError, for a person to read."""
    paths: dict[str, None] = {}
    patterns: dict[str, None] = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        if word == AUTO:
            patterns.update(dict.fromkeys(AUTO_PATTERNS))
        elif _GLOB.search(word):
            patterns[absolute(word)] = None
        else:
            paths[absolute(word)] = None
    if not paths and not patterns:
        raise ValueError("name the board's serial device, such as /dev/ttyUSB0, or auto")
    return Wanted(paths=tuple(paths), patterns=tuple(patterns))


def distinct(found: Iterable[tuple[str, str]]) -> list[Device]:
    """One for each target of the (path, target) found, in their order; a by-id name is its path if there is one."""
    names: dict[str, list[str]] = {}
    for path, target in found:
        if path not in names.setdefault(target, []):
            names[target].append(path)
    return [
        Device(
            path=next((path for path in paths if BY_ID in path), paths[0]), target=target, names=tuple(paths)
        )
        for target, paths in names.items()
    ]
