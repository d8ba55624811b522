"""Ports for programs that are told theirs, and may be restarted on it."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """A port that nobody has just now, from below the range out of which the kernel gives ports to connections."""
    for port in random.sample(range(10000, 32000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")
