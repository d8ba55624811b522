"""The reference of all `_keys` for docs/configuration.rst, made from the one table that the parser uses.

    python -m kegmaster.reference docs/configuration.rst

Pure text from data; only `main` touches the page.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable

from .keys import KEYS, Key

BEGIN = ".. begin of the generated reference"
END = ".. end of the generated reference"


def entry(key: Key) -> str:
    """One key as an item of a definition list: meaning, what may stand there, default."""
    takes = " ".join((key.parse.__doc__ or "").split()).rstrip(".")
    default = f"``{key.default}``" if key.default else "none"
    value = f"Value: {takes}. Default: {default}."
    return f"``{key.name}``\n{_wrapped(key.help + '.')}\n\n{_wrapped(value)}\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 116, initial_indent="    ", subsequent_indent="    ", break_long_words=False)


def reference(keys: Iterable[Key] = KEYS.values()) -> str:
    """All keys that can be used, in the table's order."""
    return "\n".join(entry(key) for key in keys if not key.planned)


def refreshed(page: str) -> str:
    """The page with what stands between its two marks made anew. Raises ValueError if a mark is missing."""
    before, begin, rest = page.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not (begin and end):
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{begin}\n{reference()}\n{end}{after}"


def main() -> int:
    """Refresh the page named on the command line."""
    path = sys.argv[1]
    with open(path, encoding="utf-8") as file:
        page = refreshed(file.read())
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
