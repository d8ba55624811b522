"""The flags by which every app finds the core and is let in: import this module to have them.

Knows absl.flags and the notation of addresses. Must not know any single program.
"""

from __future__ import annotations

from absl import flags

from kegapps.daemon.errors import UsageError
from kegapps.kegnet.address import DEFAULT_ADDRESS, parse_address
from kegapps.kegnet.token_flag import kegnet_token

__all__ = ["core_address", "kegnet_token"]

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "kb_core_addr",
    DEFAULT_ADDRESS,
    "Where the core listens: host:port, or a port alone. The host is localhost or an IP address.",
)


def core_address() -> tuple[str, int]:
    """(IP address, port) that --kb_core_addr names. Raises UsageError."""
    try:
        host, port = parse_address(FLAGS.kb_core_addr)
    except ValueError as error:
        raise UsageError(f"--kb_core_addr={error}") from None
    if port == 0:
        raise UsageError(f"--kb_core_addr={FLAGS.kb_core_addr}: port 0 is nowhere")
    return host, port
