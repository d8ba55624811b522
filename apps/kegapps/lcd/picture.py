"""What a display should show, what it shows as far as we know, and so what is to be sent.

Knows rows of codes and a light. Must not know how either is said to a display, ports or clocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kegapps.lcd.charset import fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """The backlight is to be on, or off."""

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Row `index`, from 0, is to show these codes; a whole row always."""

    index: int
    codes: bytes


Change = Light | Row


class Picture:
    """Of a display with `rows` and `columns`, whose characters have these `codes`. Blank at first, light on."""

    def __init__(self, *, rows: int, columns: int, codes: Mapping[str, int]) -> None:
        self.rows = rows
        self.columns = columns
        self._codes = codes
        self._wanted = [fitted("", columns, codes)] * rows
        self._shown: list[bytes | None] = [None] * rows
        self._light = True
        self._lit: bool | None = None

    def show(self, rows: Sequence[str]) -> None:
        """These rows are wanted from now on, missing ones blank."""
        texts = [*rows[: self.rows], *[""] * (self.rows - len(rows))]
        self._wanted = [fitted(text, self.columns, self._codes) for text in texts]

    def light(self, on: bool) -> None:
        """The light is wanted on or off from now on."""
        self._light = on

    def forget(self) -> None:
        """Nobody knows what the display shows: everything is to be sent."""
        self._shown = [None] * self.rows
        self._lit = None

    def changes(self) -> list[Change]:
        """What is to be sent, the light first."""
        light: list[Change] = [Light(on=self._light)] if self._lit != self._light else []
        return light + [
            Row(index=index, codes=wanted)
            for index, (wanted, shown) in enumerate(zip(self._wanted, self._shown, strict=True))
            if wanted != shown
        ]

    def sent(self, change: Change) -> None:
        """The display shows `change` now, as far as anybody can know."""
        if isinstance(change, Light):
            self._lit = change.on
        else:
            self._shown[change.index] = change.codes
