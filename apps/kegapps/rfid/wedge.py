"""The tokens that a reader types: its keys, and how it writes numbers down, together.

Must not know devices or clocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from kegapps.rfid.key_events import KeyDecoder
from kegapps.rfid.wedge_formats import FORMATS


class WedgeDecoder:
    """Takes the kernel's key events as they arrive and gives the tokens they complete.

    `form` is one of FORMATS; `opened_s` is KeyDecoder's.
    """

    def __init__(self, form: str, opened_s: float | None = None) -> None:
        self._form = form
        self._token_of = FORMATS[form]
        self._keys = KeyDecoder(opened_s)
        self._of_another_format = 0
        self._example = ""

    def feed(self, data: bytes) -> Iterator[str]:
        """The tokens completed by `data`."""
        for line in self._keys.feed(data):
            token = self._token_of(line)
            if token is not None:
                yield token
            else:
                self._of_another_format += 1
                self._example = line

    @property
    def damage(self) -> str:
        """How many lines were no tokens; empty if all were."""
        said = []
        if self._of_another_format:
            said.append(
                f"{self._of_another_format} typed numbers were not --wedge_format={self._form}, "
                f"such as {self._example}"
            )
        if broken := self._keys.rejected + self._keys.lost:
            said.append(f"{broken} typed lines were no numbers, or incomplete")
        return ", ".join(said)
