"""Somebody else's shell script, as far as one must know it to add a line that really runs: where it ends for good.

Knows the shell's grammar roughly: words, quotes, comments, here-documents, what opens and closes. Text in, place out.
Must not open files, nor know what is to be added.
"""

from __future__ import annotations

import re

_SHELLS = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox")
_OPENS = {
    "if": "fi",
    "case": "esac",
    "for": "done",
    "while": "done",
    "until": "done",
    "select": "done",
    "{": "}",
}
_AGAIN = ("then", "else", "elif", "do", "!", "time", "if", "while", "until", "{")
"""After these, too, a command begins."""
_TOKEN = re.compile(
    r"""(?P<skip>(?:[ \t\r]|\\\r?\n)+)|(?P<newline>\n)|(?P<comment>\#[^\n]*)
      |(?P<here><<-?[ \t]*(?:'(?P<quoted>[^'\n]*)'|"(?P<doubled>[^"\n]*)"|\\?(?P<bare>[^\s;&|<>()'"]+)))
      |(?P<redirect>\d*(?:<<<|[<>]&|>>|>\||[<>])[ \t]*)
      |(?P<operator>&&|\|\||;;&?|;&|[;&|()])
      |(?P<word>(?:\$\(\((?:[^)]|\)(?!\)))*\)\)|\$\{[^}]*\}|`[^`]*`|'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s;&|<>()'"`\\])+)
    """,
    re.VERBOSE | re.DOTALL,
)


class ScriptError(Exception):
    """Nothing can be added to it; the text says why."""


def end(text: str) -> int:
    """Where the first line begins that ends the script whatever else holds; its length if none does.

    Raises ScriptError for what no shell would run, or what is not understood.
    """
    first = text.split("\n", 1)[0]
    if first.startswith("#!"):
        if first.endswith("\r"):
            raise ScriptError("has Windows line ends, so the machine cannot run it: dos2unix mends it")
        words = first[2:].split()
        if words and words[0].rpartition("/")[2] == "env":
            words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        if not words or words[0].rpartition("/")[2] not in _SHELLS:
            raise ScriptError(f"is no shell script ({first.strip()}): lines for a shell would break it")
    return _Reader(text).end()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[str] = []
        self._heres: list[tuple[str, bool]] = []
        self._line = 0
        """Where the list of commands began that is being read."""
        self._conditional = False
        self._command: list[str] = []
        """The words so far of the command that is being read."""
        self._after_redirect = False

    def end(self) -> int:
        place = 0
        while place < len(self._text):
            found = _TOKEN.match(self._text, place)
            if found is None:
                raise ScriptError(f"is not understood from line {self._text.count(chr(10), 0, place) + 1} on")
            place = found.end()
            kind = found.lastgroup if found["here"] is None else "here"
            if kind == "newline":
                if self._ended(""):
                    return self._line
                place = self._skip_heres(place)
                if not self._open and not self._conditional:
                    self._line = place
            elif kind == "operator":
                if self._ended(found[0]):
                    return self._line
                self._operator(found[0])
            elif kind == "here":
                delimiter = found["quoted"] or found["doubled"] or found["bare"] or ""
                self._heres.append((delimiter, found["here"].startswith("<<-")))
            elif kind == "redirect":
                self._after_redirect = True
            elif kind == "word":
                self._word(found[0])
        if self._ended(""):
            return self._line
        if self._open:
            raise ScriptError(f"is not understood: {self._open[-1]} is missing at its end")
        return len(self._text)

    def _word(self, word: str) -> None:
        if self._after_redirect:
            self._after_redirect = False
            return
        if not self._command:
            if self._open and word == self._open[-1]:
                self._open.pop()
                self._command.append(word)
                return
            if word in _OPENS:
                self._open.append(_OPENS[word])
            if word in _AGAIN or re.match(r"[A-Za-z_]\w*=", word):
                return
        self._command.append(word)

    def _operator(self, operator: str) -> None:
        if operator == "(":
            # `name()`: what follows is a body, not a subshell.
            self._open.append(")")
        elif operator == ")" and self._open and self._open[-1] == ")":
            self._open.pop()
        elif operator in ("&&", "||"):
            self._conditional = True
        if operator in (";", "&", ";;", ";&", ";;&"):
            self._conditional = False

    def _ended(self, operator: str) -> bool:
        """The command is complete; that with it the script is, too."""
        words, self._command, self._after_redirect = self._command, [], False
        conditional = self._conditional
        if operator == "" and words:
            self._conditional = False
        if operator == "|":
            self._conditional = True  # what is in a pipe ends only itself
        if not words or self._open or conditional or operator in ("|", "&", "("):
            return False
        return words[0] in ("exit", "return") or (words[0] == "exec" and len(words) > 1)

    def _skip_heres(self, place: int) -> int:
        for delimiter, tabs in self._heres:
            while place < len(self._text):
                line, newline, _ = self._text[place:].partition("\n")
                place += len(line) + len(newline)
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
        self._heres = []
        return place
