"""Where the paths of one section lead: from its user's home, from the configuration's directory.

Knows the rules of `absolute`. Must not look at the disk or the user database itself: a Disk is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import absolute
from .lean import Final, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The machine, asked by functions, so that the rules need not know it.

    exists, is_file   whether anything, or a plain file, is at this absolute path
    home              the home directory of the user named, for "" of whoever runs the launcher; "" if nobody knows
    """

    exists: Callable[[str], bool]
    is_file: Callable[[str], bool]
    home: Callable[[str], str]


NO_DISK: Final = Disk(exists=lambda _: False, is_file=lambda _: False, home=lambda _: "")
"""A machine where nothing is to be found, for whoever has text only: every path stays as it is written."""


class Whereabouts:
    """Resolves paths for one app. `base`: the directory of the configuration; `user`: its _user, or ""."""

    def __init__(self, disk: Disk, base: str, user: str) -> None:
        self._disk = disk
        self._base = base
        self._user = user

    def path(self, text: str) -> str:
        """The value of a key that is a path.

        A ~ is a home; what begins with ./ or ../, or exists there, is beside the configuration. Anything else stays,
        and is an error unless it is absolute.
        """
        text = absolute.at_home(text, self._home)
        if not self._base or not absolute.looks_relative(text, names="all"):
            return text
        found = absolute.beside(text, self._base)
        return found if dotted(text) or self._disk.exists(found) else text

    def words(
        self, words: Sequence[str], working_directory: str
    ) -> tuple[tuple[str, ...], tuple[absolute.Change, ...]]:
        """A command line with what is beside the configuration, or below a home, made absolute; and what that changed.

        `working_directory`: where the section says that the app runs, or ""; what exists there is meant there.
        """
        after = list(words)
        for index, word in enumerate(words):
            after[index] = absolute.word_at_home(word, self._home)
        if self._base:
            disk = self._disk
            _, changes = absolute.make_absolute(after, self._base, disk.exists, is_file=disk.is_file)
            for change in changes:
                # The program itself is never looked for in its working directory.
                if change.index == 0 or not self._is_in(working_directory, change.before):
                    after[change.index] = change.after
        return tuple(after), tuple(
            absolute.Change(index=index, before=word, after=after[index])
            for index, word in enumerate(words)
            if after[index] != word
        )

    def _is_in(self, directory: str, word: str) -> bool:
        return bool(directory) and self._disk.exists(absolute.beside(absolute.split(word)[1], directory))

    def _home(self, user: str) -> str:
        return self._disk.home(user or self._user)


def dotted(path: str) -> bool:
    """It says itself that it is relative."""
    return path in (".", "..") or path.startswith(("./", "../"))
