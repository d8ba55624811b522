"""Connecting without waiting: an attempt tells how it ended, whatever the peer is."""

from __future__ import annotations

import select
import socket
from pathlib import Path

import pytest

from kegapps.kegnet.sockets import begin_connecting, check_connected, why


def finished(sock: socket.socket) -> None:
    """Wait until the attempt is over, and say how it was."""
    assert select.select([], [sock], [], 20)[1], "the attempt is still under way"
    check_connected(sock)


def test_an_attempt_ends_well_at_a_listener_of_any_family(tmp_path: Path) -> None:
    places = ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, str(tmp_path / "socket")))
    for family, place in places:
        with socket.socket(family) as listener:
            listener.bind(place)
            listener.listen()
            with begin_connecting(family, listener.getsockname()) as sock:
                finished(sock)
                assert not sock.getblocking()


def test_nobody_there_is_told_in_words(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with (
            begin_connecting(socket.AF_INET, bound.getsockname()) as sock,
            pytest.raises(ConnectionRefusedError) as refused,
        ):
            finished(sock)
    assert why(refused.value) == "Connection refused"
    with pytest.raises(FileNotFoundError):
        begin_connecting(socket.AF_UNIX, str(tmp_path / "socket"))


def test_a_socket_that_hit_upon_itself_is_not_connected() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        with pytest.raises(OSError, match="nobody listens there") as itself:
            check_connected(sock)
    assert why(itself.value) == str(itself.value)
