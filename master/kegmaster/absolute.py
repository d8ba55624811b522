"""Paths as people write them: `~`, and relative to the configuration; and as a program needs them: absolute.

An app starts in a directory that has nothing to do with where its configuration was written, so what is relative
there would be lost. Which words are paths nobody can know for sure; the rule is made so that a word which is none
is left alone. Must not look at the disk or the user database: both are asked through functions passed in.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence

from .lean import Final, Literal, dataclass

_FLAG: Final = re.compile(r"(-{1,2}[A-Za-z0-9][A-Za-z0-9_.-]*=)(.+)\Z", re.DOTALL)
_SUFFIX: Final = re.compile(r"[^/]*[^/.]\.[A-Za-z][A-Za-z0-9]{0,9}\Z")
_HOME: Final = re.compile(r"~([A-Za-z_][A-Za-z0-9_.-]*)?(?=/|\Z)")

Names = Literal["none", "files", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One word that became another; `index` counts from 0, the program."""

    index: int
    before: str
    after: str


def make_absolute(
    words: Sequence[str],
    base: str,
    exists: Callable[[str], bool],
    *,
    is_file: Callable[[str], bool] | None = None,
    every_name: bool = False,
) -> tuple[tuple[str, ...], tuple[Change, ...]]:
    """`words`, a command line, with what exists in the directory `base` made absolute, and what that changed.

    What may be a path: a word, or what follows the = of `--flag=`. If it contains a / it is one if it exists.
    A name without / is one if it ends like a file's (`app.ini`) and `is_file` says so; or, if `every_name`, if only
    it exists: for those who show each change to a person. The program itself (word 0), and what follows -m (a
    module), need a /.
    """
    changes = []
    for index, word in enumerate(words):
        flag, path = split(word)
        if not looks_relative(path, names="all"):
            continue
        found = beside(path, base)
        if "/" in path:
            there = exists(found)
        elif index == 0 or (words[index - 1] == "-m" and not flag):
            there = False
        else:
            there = exists(found) if every_name else bool(
                is_file and looks_relative(path, names="files") and is_file(found)
            )  # fmt: skip
        if there:
            changes.append(Change(index=index, before=word, after=flag + found))
    after = {change.index: change.after for change in changes}
    return tuple(after.get(index, word) for index, word in enumerate(words)), tuple(changes)


def split(word: str) -> tuple[str, str]:
    """(`--flag=`, what follows) of a word of that form, else ("", word)."""
    match = _FLAG.match(word)
    return (match[1], match[2]) if match else ("", word)


def looks_relative(word: str, *, names: Names = "none") -> bool:
    """It may be a relative path: with a / in it, or, with `names`, those that end like a file's, or any."""
    if not word or word.startswith(("/", "-", "~")) or "\0" in word or "://" in word or len(word) > 4096:
        return False
    if "/" in word:
        return True
    return names == "all" or (names == "files" and _SUFFIX.match(word) is not None)


def beside(path: str, base: str) -> str:
    """`path`, if relative, as seen from the directory `base`; a / at its end, which some programs heed, is kept."""
    found = posixpath.normpath(posixpath.join(base, path))
    return f"{found}/" if path.endswith("/") and found != "/" else found


def at_home(word: str, home: Callable[[str], str]) -> str:
    """`word` with the `~` or `~user` at its beginning replaced; as it is if there is none or nobody knows that home.

    `home` gives a user's home directory, for "" that of the user in question, or "".
    """
    if (match := _HOME.match(word)) and (found := home(match[1] or "")):
        return f"{found.rstrip('/')}{word[match.end() :]}" or "/"
    return word


def word_at_home(word: str, home: Callable[[str], str]) -> str:
    """The same for a word of a command line: at its beginning, or behind the = of `--flag=~/` if a / follows.

    A flag's value of `~` alone is left: as a shell does, and because it is hardly meant as a directory.
    """
    flag, path = split(word)
    return word if flag and "/" not in path else flag + at_home(path, home)
