"""What a disk may hold after a power loss, from what was written to it and when it was told to keep it.

Knows files as bytes, and syncs. Must not know who writes, or what is in the files.

The model is a hard one. What a file was synced with is there. Of everything since, each piece of 512 or 4096 bytes may
be there as any of the writes to it has left it, or not at all, whatever became of other pieces; the file may have any
of its sizes since; and names made or removed since the folder was synced may be there or not, even of synced files.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PIECE_BYTES: Final = (512, 4096)


@dataclass(slots=True)
class _Inode:
    """A file's bytes as they are surely on the disk, and what was done to them since: (offset, data), or a new size."""

    synced: bytearray = field(default_factory=bytearray)
    changes: list[tuple[int, bytes] | int] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.changes:
            _apply(self.synced, change)
        self.changes.clear()

    def newest(self) -> bytearray:
        image = bytearray(self.synced)
        for change in self.changes:
            _apply(image, change)
        return image

    def torn(self, chance: random.Random, piece_bytes: int) -> bytes:
        mood = chance.choice(("nothing", "everything", "anything", "anything", "anything"))
        if mood != "anything":
            return bytes(self.synced if mood == "nothing" else self.newest())
        # By piece: what it held after each of the changes that touched it; the first is what is synced.
        image = bytearray(self.synced)
        versions: dict[int, list[bytes]] = {}
        sizes = [len(image)]
        for change in self.changes:
            before_bytes = len(image)
            first, end = (change, before_bytes) if isinstance(change, int) else _span(change)
            touched = range(first // piece_bytes, -(-end // piece_bytes))
            for number in touched:
                versions.setdefault(number, [_piece(image, number, piece_bytes)])
            _apply(image, change)
            for number in touched:
                versions[number].append(_piece(image, number, piece_bytes))
            sizes.append(len(image))
        size = chance.choice(sizes)
        torn = bytearray(self.synced[:size].ljust(size, b"\0"))
        for number, contents in versions.items():
            begin = number * piece_bytes
            if begin < size:
                torn[begin : begin + piece_bytes] = chance.choice(contents)[: size - begin]
        return bytes(torn)


class TornDisk:
    """Some files in one folder. `files` are there, and synced, at the beginning."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        # What each name may stand for after a power loss; the last is what it stands for now.
        self._names: dict[str, list[_Inode | None]] = {
            path: [_Inode(bytearray(data))] for path, data in files.items()
        }

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write into a file, which comes into being if there is none."""
        self._file(path).changes.append((offset, data))

    def truncate(self, path: str, size: int) -> None:
        """Give a file this size."""
        self._file(path).changes.append(size)

    def remove(self, path: str) -> None:
        """Take the name away."""
        self._names.setdefault(path, [None]).append(None)

    def sync(self, path: str) -> None:
        """fsync or fdatasync of a file."""
        self._file(path).sync()

    def sync_folder(self) -> None:
        """fsync of the folder."""
        self._names = {path: found[-1:] for path, found in self._names.items()}

    def newest(self) -> dict[str, bytes]:
        """The files as programs see them, by path."""
        now = {path: found[-1] for path, found in self._names.items()}
        return {path: bytes(inode.newest()) for path, inode in now.items() if inode is not None}

    def after_power_loss(self, chance: random.Random) -> dict[str, bytes]:
        """One of the many things that the disk may hold if the power fails now, by path."""
        piece_bytes = chance.choice(PIECE_BYTES)
        left = {path: chance.choice(found) for path, found in self._names.items()}
        return {path: inode.torn(chance, piece_bytes) for path, inode in left.items() if inode is not None}

    def _file(self, path: str) -> _Inode:
        found = self._names.setdefault(path, [None])
        inode = found[-1]
        if inode is None:
            inode = _Inode()
            found.append(inode)
        return inode


def _span(write: tuple[int, bytes]) -> tuple[int, int]:
    offset, data = write
    return offset, offset + len(data)


def _apply(image: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del image[change:]
        image.extend(bytes(change - len(image)))
        return
    offset, end = _span(change)
    image.extend(bytes(max(0, end - len(image))))
    image[offset:end] = change[1]


def _piece(image: bytearray, number: int, piece_bytes: int) -> bytes:
    return bytes(image[number * piece_bytes : (number + 1) * piece_bytes]).ljust(piece_bytes, b"\0")
