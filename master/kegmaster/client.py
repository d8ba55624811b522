"""The control channel, client side: one request, and the answers as they come.

Knows the socket. Must not know how answers are shown.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Iterator

from .lean import Any, Final

MAX_ANSWER_BYTES: Final = 16 << 20
_CONNECT_S: Final = 5.0


class NoAnswerError(Exception):
    """The master did not answer, or not in time; the text says which."""


class RightsError(Exception):
    """The master refused us, or the kernel did."""


def connect(path: str) -> socket.socket | None:
    """A connection to the master listening at `path`; None if none listens. Raises RightsError, NoAnswerError."""
    directory, name = os.path.split(path)
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        raise RightsError(f"{directory}: permission denied") from None
    except OSError:
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_CONNECT_S)
    try:
        # By way of the open directory: the kernel takes no more than 107 bytes of path.
        sock.connect(f"/proc/self/fd/{fd}/{name}")
    except PermissionError:
        raise RightsError(
            f"{path}: permission denied; it belongs to another user's master (root's: use sudo)"
        ) from None
    except TimeoutError:
        raise NoAnswerError(f"the master at {path} does not answer") from None
    except OSError:
        sock.close()
        return None
    finally:
        os.close(fd)
    return sock


def ask(sock: socket.socket, timeout_s: float, **request: object) -> Iterator[dict[str, Any]]:
    """Send a request; yield each answer until the master is done. Raises NoAnswerError, RightsError."""
    until_s = time.monotonic() + timeout_s
    inbox = b""
    with sock:
        try:
            sock.sendall(json.dumps(request).encode() + b"\n")
            while True:
                wait_s = until_s - time.monotonic()
                if wait_s <= 0:
                    raise TimeoutError
                sock.settimeout(wait_s)
                data = sock.recv(65536)
                if not data:
                    return
                *lines, inbox = (inbox + data).split(b"\n")
                if len(inbox) > MAX_ANSWER_BYTES:
                    raise NoAnswerError("the master's answer is too long")
                for line in lines:
                    answer = json.loads(line)
                    if answer.get("rights"):
                        raise RightsError(answer["error"])
                    yield answer
        except TimeoutError:
            raise NoAnswerError(f"not done within {timeout_s:.3g} s; it goes on without us") from None
        except ValueError as error:
            raise NoAnswerError(f"the master's answer makes no sense: {error}") from None
        except OSError:
            return  # the watchdog died: whoever reads sees that the last answer is missing


def wait_gone(fds: list[int], timeout_s: float) -> bool:
    """Wait until the processes of these pidfds have ended; False if they have not in time. Closes them."""
    until_s = time.monotonic() + timeout_s
    gone = True
    for fd in fds:
        gone = bool(select.select([fd], [], [], max(0.0, until_s - time.monotonic()))[0]) and gone
        os.close(fd)
    return gone
