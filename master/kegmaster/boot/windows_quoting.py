r"""How Windows reads a command line: first cmd, in a batch file, then the program itself.

Knows the rules of both. A program is given one line and splits it itself, by quotes and backslashes; cmd knows only
quotes, in which it acts on nothing but `%`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .plan import BootError


def windows_word(word: str) -> str:
    """A word in quotes, as CommandLineToArgvW reads it: backslashes count only before a quote."""
    inner = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", inner) + '"'


def windows_words(argv: Iterable[str]) -> str:
    r"""A command line that becomes just these words, the first being the program's path.

    That is always quoted: without, `C:\Program Files\x` may run `C:\Program.exe`.
    """
    program, *words = argv
    if '"' in program:
        raise BootError(f"{program!r}: no file name on Windows can hold a quote")
    return " ".join((f'"{program}"', *(_if_needed(word) for word in words)))


def arguments(words: Iterable[str]) -> str:
    """What follows the program in such a line."""
    return " ".join(_if_needed(word) for word in words)


def _if_needed(word: str) -> str:
    return word if re.fullmatch(r"[\w:=\\/.+@,-]+", word) and not word.endswith("\\") else windows_word(word)


def batch_line(line: str) -> str:
    """Such a line as it stands in a batch file: cmd takes off again what is put in here."""
    written, quoted = [], False
    for character in line:
        quoted ^= character == '"'
        if character == "%":
            written.append("%%")
        elif character in "&|<>^()" and not quoted:
            written.append(f"^{character}")
        else:
            written.append(character)
    return "".join(written)


def crlf(lines: Iterable[str]) -> str:
    """The text of a batch file. Labels and blocks go wrong with bare line feeds."""
    text = "".join(f"{line}\r\n" for line in lines)
    if text.isascii():
        return text
    # cmd reads the file by the console's code page, anew for each line.
    first, _, rest = text.partition("\r\n")
    return f"{first}\r\nchcp 65001 >nul\r\n{rest}"
