"""The flags that say which Kegbot Server the core talks to, and the key for it.

Knows flags, the environment and the key's file. Must not know HTTP, the store or the core. The key is never shown.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from absl import flags

from kegapps.daemon.errors import StartError, UsageError
from kegapps.server.url import ApiUrl, parse_api_key, parse_api_url

FLAGS = flags.FLAGS
MAX_FILE_BYTES: Final = 4096

flags.DEFINE_string(
    "api_url",
    None,
    "The Kegbot Server that gets the drinks, such as http://localhost:8000/api/v1/. Empty: none. Otherwise taken from "
    "the environment, KEGBOT_API_URL.",
)
flags.DEFINE_string(
    "api_key",
    None,
    "The key for --api_url. Every user of this machine can read it on the command line: rather use --api_key_file, or "
    "the environment, KEGBOT_API_KEY.",
)
flags.DEFINE_string(
    "api_key_file",
    None,
    "A file with the key for --api_url in it, and nothing else; readable by its owner only.",
)
flags.DEFINE_enum(
    "api_events",
    "auto",
    ["auto", "never"],
    "auto: where the server has kegboard-event, use it for what it can take, once somebody has allowed this core in "
    "the server's dashboard. Told twice, the server knows a drink again. never: do not ask for it.",
)

log = logging.getLogger("core")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the Kegbot Server is, and how to speak to it."""

    url: ApiUrl
    api_key: str | None = field(default=None, repr=False)
    events: bool = True
    """Use `kegboard-event` where the server has it."""


def server_by_flags(path: Callable[[str], str]) -> ServerSettings | None:
    """What the flags and the environment say; None: there is no server.

    `path` makes a path that a person gave absolute. Raises UsageError and StartError.
    """
    text = FLAGS.api_url if FLAGS.api_url is not None else os.environ.get("KEGBOT_API_URL", "")
    if not text:
        if FLAGS.api_key or FLAGS.api_key_file:
            raise UsageError("a key for the Kegbot Server, but no --api_url: where is it?")
        return None
    try:
        url = parse_api_url(text)
    except ValueError as error:
        where = "--api_url" if FLAGS.api_url is not None else "KEGBOT_API_URL in the environment"
        raise UsageError(f"{where}: {error}") from None
    return ServerSettings(url=url, api_key=_api_key(path), events=FLAGS.api_events == "auto")


def _api_key(path: Callable[[str], str]) -> str | None:
    if FLAGS.api_key and FLAGS.api_key_file:
        raise UsageError("--api_key and --api_key_file: give one of them; the file is safer")
    if FLAGS.api_key_file:
        return _checked(_read_key(path(FLAGS.api_key_file)), f"--api_key_file={FLAGS.api_key_file}")
    if FLAGS.api_key:
        log.warning("--api_key can be read by every user of this machine (ps); rather use --api_key_file")
        return _checked(FLAGS.api_key, "--api_key")
    key = os.environ.get("KEGBOT_API_KEY", "")
    return _checked(key, "KEGBOT_API_KEY in the environment") if key else None


def _checked(text: str, where: str) -> str:
    try:
        return parse_api_key(text)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _read_key(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise StartError(f"--api_key_file={path}: not a file")
            if found.st_mode & 0o077:
                mode = stat.S_IMODE(found.st_mode)
                raise StartError(
                    f"--api_key_file={path}: others can read or change it (mode {mode:04o}); chmod 600 {path}"
                )
            return file.read(MAX_FILE_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise StartError(f"--api_key_file={path}: {error.strerror}") from None
