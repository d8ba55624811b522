"""How the readers of boot artefacts take words apart, written from their manuals and sources, not from our code."""

from __future__ import annotations

import subprocess

_C_ESCAPES = {"n": "\n", "t": "\t", "s": " ", "\\": "\\", '"': '"', "'": "'"}


def systemd_words(value: str) -> list[str]:
    """systemd.syntax(7): split and unquote; then systemd.unit(5)'s %%; then systemd.service(5)'s $$ for arguments."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    characters = iter(value)
    for c in characters:
        if c == "\\":
            word = [*(word or []), _C_ESCAPES[next(characters)]]
        elif quote:
            if c == quote:
                quote = ""
            else:
                assert word is not None
                word.append(c)
        elif c in "\"'" and not word:
            quote, word = c, []
        elif c == " ":
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [*(word or []), c]
    assert not quote
    if word is not None:
        words.append("".join(word))
    expanded = [_doubled(word, "%") for word in words]
    return [expanded[0], *(_doubled(word, "$") for word in expanded[1:])]


def _doubled(word: str, mark: str) -> str:
    assert mark not in word.replace(mark * 2, ""), f"{word!r}: a lone {mark} would be expanded"
    return word.replace(mark * 2, mark)


def cron_command(line: str) -> tuple[str, str | None]:
    r"""What cron runs, and what it gives it to read: `%` ends the command, `\%` is a percent sign, all else stays."""
    command: list[str] = []
    escaped = False
    for at, c in enumerate(line):
        if escaped:
            if c == "%":
                command.pop()
            command.append(c)
            escaped = False
        elif c == "%":
            return "".join(command), line[at + 1 :]
        else:
            command.append(c)
            escaped = c == "\\"
    return "".join(command), None


def sh_words(words: str, shell: str = "sh") -> list[str]:
    """What a real shell passes on."""
    script = f"printf '%s\\0' {words}"
    ran = subprocess.run([shell, "-c", script], capture_output=True, check=True, timeout=20)
    return ran.stdout.decode().split("\0")[:-1]


def cmd_line(line: str) -> str:
    """What cmd makes of a line of a batch file; fails where cmd would act on something."""
    made: list[str] = []
    quoted = False
    characters = iter(line)
    for c in characters:
        if c == "%":
            assert next(characters) == "%", f"{line!r}: a lone % begins a variable"
            made.append("%")
        elif c == '"':
            quoted = not quoted
            made.append(c)
        elif quoted:
            made.append(c)
        elif c == "^":
            made.append(next(characters))
        else:
            assert c not in "&|<>()", f"{line!r}: cmd acts on {c}"
            made.append(c)
    return "".join(made)


def windows_argv(line: str) -> list[str]:
    """CommandLineToArgvW: the program to its closing quote or blank; then 2n backslashes and a quote are n and a mark."""
    if line.startswith('"'):
        program, _, rest = line[1:].partition('"')
    else:
        program, _, rest = line.partition(" ")
    return [program, *windows_words(rest)]


def windows_words(rest: str) -> list[str]:
    words: list[str] = []
    word: list[str] | None = None
    quoted, at = False, 0
    while at < len(rest):
        c = rest[at]
        if c == "\\":
            run = len(rest[at:]) - len(rest[at:].lstrip("\\"))
            at += run
            if rest[at : at + 1] == '"':
                word = [*(word or []), "\\" * (run // 2)]
                if run % 2:
                    word.append('"')
                    at += 1
            else:
                word = [*(word or []), "\\" * run]
            continue
        if c == '"':
            quoted, word = not quoted, word or []
        elif c == " " and not quoted:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [*(word or []), c]
        at += 1
    assert not quoted
    return words if word is None else [*words, "".join(word)]
