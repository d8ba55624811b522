"""Asking a person at a terminal; what is a secret by its name is not shown while it is typed."""

from __future__ import annotations

import getpass
import re
import sys

_SECRET = re.compile(r"KEY|PASS|SECRET|TOKEN|CREDENTIAL", re.IGNORECASE)


class NotAnsweredError(Exception):
    """Ctrl-C, or the end of the input, where an answer was wanted."""


def there() -> bool:
    """Somebody can be asked: both stdin and stderr are a terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def secret(name: str) -> bool:
    """The variable `name` holds something that no bystander should see."""
    return _SECRET.search(name) is not None


def value(name: str, where: str) -> str:
    """The value that a person gives the variable `name`. Raises EOFError if none is given."""
    prompt = f"{name} (named in {where}): "
    try:
        if secret(name):
            return getpass.getpass(prompt)
        print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        raise NotAnsweredError from None
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def yes(question: str) -> bool:
    """A person says y or yes; anything else is no."""
    try:
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        raise NotAnsweredError from None
