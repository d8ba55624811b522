"""Command lines of units: prefixes, several commands in one line, variables.

Source: systemd.service(5), "Command Lines". Pure.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..keys import SIGNALS
from . import unitfile

_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*)|\$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One command: its words, what a shell is told to run it among others, and whether its failure is none."""

    words: list[str]
    shell: str
    may_fail: bool


class CommandLines:
    """Reads the command lines of one unit.

    `specify` fills in specifiers, `say` notes what has no counterpart: both get the key they are about.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        specify: Callable[[str, str], str],
        say: Callable[[str, str, str], None],
    ) -> None:
        """`environment`: what the unit sets, and so is known before it runs."""
        self._environment = environment
        self._specify = specify
        self._say = say

    def commands(self, text: str, key: str) -> list[Line]:
        """The commands of one line, variables filled in. Raises ValueError."""
        found: list[list[str]] = [[]]
        for word, quoted in unitfile.tokens(text):
            if word == ";" and not quoted:
                found.append([])
            else:
                found[-1].append(self._specify(word, key))
        return [line for words in found if (line := self._line(words, key)) is not None]

    def _line(self, words: list[str], key: str) -> Line | None:
        """The command of these words; None if they name no program."""
        program = words[0].lstrip("@-:+!|") if words else ""
        if not program:
            return None
        prefixes = words[0][: len(words[0]) - len(program)]
        self._say_prefixes(prefixes, key)
        words = [program, *words[2 if "@" in prefixes else 1 :]]
        literal = ":" in prefixes
        return Line(
            words=words if literal else self._fill_in(words, key),
            shell=shlex.join(words) if literal else " ".join(for_shell(word) for word in words),
            may_fail="-" in prefixes,
        )

    def _say_prefixes(self, prefixes: str, key: str) -> None:
        if "-" in prefixes and key == "ExecStart":
            self._say(
                key, "- in front: no exit status is a failure there", "name them in _success_exit_status"
            )
        if "+" in prefixes or "!" in prefixes:
            self._say(key, "+ or ! in front: it runs with more rights than the rest", "it runs as _user here")
        if "@" in prefixes:
            self._say(
                key, "@ in front: the program is told another name than its own", "the name was left out"
            )

    def _fill_in(self, words: list[str], key: str) -> list[str]:
        if not any("$" in word for word in words):
            return words
        known = self._environment
        unknown = {
            name
            for word in words
            for match in _VARIABLE.finditer(word)
            for name in [match[1] or match[2]]
            if name and name not in known and name != "MAINPID"
        }
        if unknown:
            self._say(
                key,
                f"{', '.join(sorted(unknown))} is known only when it runs, and the launcher fills in nothing",
                "it is sh -c '...' now, which does",
            )
            return ["sh", "-c", "exec " + " ".join(for_shell(word) for word in words)]
        filled: list[str] = []
        for word in words:
            whole = re.match(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z", word)
            if whole and whole[1] in known:
                filled += known[whole[1]].split()
            else:
                filled.append(_VARIABLE.sub(lambda match: _value(match, known), word))
        return filled


def kill_of_main(words: Sequence[str]) -> str:
    """The signal that `kill -SIGNAL $MAINPID` sends; empty if it is another command."""
    if not words or posixpath.basename(words[0]) != "kill" or words[-1] not in ("$MAINPID", "${MAINPID}"):
        return ""
    option = " ".join(words[1:-1]).removeprefix("-s").strip().lstrip("-").upper().removeprefix("SIG")
    return {"": "TERM", **{str(number): name for name, number in SIGNALS.items()}}.get(option, option)


def _value(match: re.Match[str], known: Mapping[str, str]) -> str:
    name = match[1] or match[2]
    return known.get(name, match[0]) if name else "$"


def for_shell(word: str) -> str:
    """A word of ExecStart for sh: `$A` alone may become several words, `${A}` is part of one."""
    if re.match(r"\$[A-Za-z_][A-Za-z0-9_]*\Z", word):
        return word
    pieces, end = [], 0
    for match in _VARIABLE.finditer(word):
        pieces += [
            shlex.quote(word[end : match.start()]) if match.start() > end else "",
            f'"${{{match[1] or match[2]}}}"' if match[1] or match[2] else "'$'",
        ]
        end = match.end()
    return "".join(pieces) + (shlex.quote(word[end:]) if end < len(word) else "") or "''"
