"""--kegnet_token_file, which the core and every app have in common.

Knows absl.flags. Must not know any single program.
"""

from __future__ import annotations

from collections.abc import Callable

from absl import flags

from kegapps.daemon.errors import StartError
from kegapps.kegnet.token_file import TokenFileError, read_token

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "kegnet_token_file",
    "",
    "A file of mode 0600 with a token on one line. The core then serves only apps that show the same token, and "
    "may listen for other machines, too. It is read once, at the start. Empty: no token.",
)


def kegnet_token(absolute: Callable[[str], str]) -> str:
    """The token, "" if none is wanted. `absolute` makes the path one. Raises StartError."""
    if not FLAGS.kegnet_token_file:
        return ""
    try:
        return read_token(absolute(FLAGS.kegnet_token_file))
    except TokenFileError as error:
        raise StartError(f"--kegnet_token_file: {error}") from None
