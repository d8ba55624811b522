"""The variables an app needs: found, given, asked for, and kept in a file that only its user reads.

Values go from where they are given into that file, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

from .. import envfile, files, needs
from ..exit_codes import Verb
from ..flags import Options
from . import ask, image
from .work import RefusedError

PROVIDED = frozenset({"PATH", "LANG", "HOME", "USER", "LOGNAME", "PYTHONUNBUFFERED", "TZ"})
"""The launcher sets these itself."""
_MAX_BYTES = 4 << 20


def path(config: str, name: str) -> str:
    """The file: beside the configuration, where only those write who write that."""
    return f"{os.path.splitext(config)[0]}.env.d/{name}.env"


def given(options: Options) -> dict[str, str]:
    """What --env_file and --env say. Raises RefusedError."""
    values: dict[str, str] = {}
    if options.env_file:
        try:
            data = files.read_plain(os.path.expanduser(options.env_file), _MAX_BYTES, follow=True)
            values |= envfile.read(data.decode("utf-8", "surrogateescape"))
        except OSError as error:
            raise RefusedError(f"{options.env_file}: {error.strerror}", Verb.USAGE) from None
        except ValueError as error:
            raise RefusedError(f"{options.env_file}:{error} is no NAME=value line", Verb.USAGE) from None
    for number, word in enumerate(options.env, 1):
        name, equals, value = word.partition("=")
        if not equals or not (name.isascii() and name.isidentifier()):
            # The word may be a secret.
            raise RefusedError(f"--env: the {number}. is no NAME=VALUE", Verb.USAGE)
        values[name] = value
    return values


def needed(words: Sequence[str], base: str) -> tuple[needs.Need, ...]:
    """What the command line and the files it names want set, and the launcher does not set by itself."""

    def read(place: str) -> str | None:
        try:
            return files.read_plain(
                image.outside(os.path.join(base, place)), _MAX_BYTES, follow=True
            ).decode()
        except (OSError, ValueError):
            return None

    return needs.unset(words, PROVIDED, read)


def missing(wanted: Sequence[needs.Need], values: Collection[str]) -> list[needs.Need]:
    """Those of which there is no value yet, neither given nor in the present environment."""
    return [need for need in wanted if need.name not in values and need.name not in os.environ]


def collect(wanted: Sequence[needs.Need], values: Mapping[str, str]) -> dict[str, str]:
    """All values, those that lack asked for. Raises RefusedError, which names them, where nobody can be asked."""
    found = dict(values)
    lacking = missing(wanted, values)
    if lacking and not ask.there():
        named = ", ".join(f"{need.name} ({need.where})" for need in lacking)
        raise RefusedError(
            f"nobody set {named}; give --env NAME=VALUE or --env_file FILE, or set it before", Verb.USAGE
        )
    for need in wanted:
        if need.name in found:
            continue
        if need.name in os.environ:
            found[need.name] = os.environ[need.name]
            continue
        try:
            found[need.name] = ask.value(need.name, need.where)
        except EOFError:
            raise RefusedError(
                f"no value was given for {need.name}; nothing was changed", Verb.USAGE
            ) from None
    return found
