"""Asks whatever listens at the core's address how it is.

Knows sockets and kegnet's messages. Must not know what the answer means.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from dataclasses import replace
from typing import Final

from kegapps.kegnet.address import parse_address
from kegapps.kegnet.codec import MAX_ANSWER_BYTES, Decoder, Rejected, encode
from kegapps.kegnet.events import CoreStatus, Credentials, Refusal, StatusRequest
from kegapps.kegnet.sockets import why
from kegapps.kegnet.token_file import TokenFileError, read_token
from kegapps.tools.doctor import checked
from kegapps.tools.doctor.facts import CoreFacts, Holder
from kegapps.tools.doctor.look_processes import holder, pids

CONNECT_S: Final = 2.0
ANSWER_S: Final = 2.5
_EXCERPT_CHARS: Final = 60


def ask(address: str, token_file: str = "") -> CoreFacts:
    """The core's report, or what came instead."""
    token, token_problem = "", ""
    if token_file:
        try:
            token = read_token(token_file)
        except TokenFileError as error:
            token_problem = str(error)
    return replace(_ask(address, token), token_problem=token_problem)


def _ask(address: str, token: str) -> CoreFacts:
    try:
        host, port = parse_address(address)
        sock = socket.create_connection((host, port), CONNECT_S)
    except ConnectionRefusedError:
        return CoreFacts(address=address, answer="refused")
    except TimeoutError:
        return CoreFacts(address=address, answer="unreachable", problem=f"no answer within {CONNECT_S:g} s")
    except OSError as error:
        return CoreFacts(address=address, answer="unreachable", problem=why(error))
    except ValueError as error:
        return CoreFacts(address=address, answer="unreachable", problem=str(error))
    with sock:
        answer, report, said = _talk(sock, token)
    listener = None if report is not None else _listener(port)
    return CoreFacts(address=address, answer=answer, report=report, said=said, listener=listener)


def _talk(sock: socket.socket, token: str) -> tuple[str, dict[str, object] | None, str]:
    """(answer, report, excerpt of what is no kegnet); see CoreFacts."""
    decoder, end_s = Decoder(MAX_ANSWER_BYTES), time.monotonic() + ANSWER_S
    said, was_kegnet = b"", False
    try:
        sock.settimeout(ANSWER_S)
        sock.sendall((encode(Credentials(token=token)) if token else b"") + encode(StatusRequest()))
        while (left_s := end_s - time.monotonic()) > 0:
            sock.settimeout(left_s)
            data = sock.recv(65536)
            if not data:
                return ("strange", None, _excerpt(said)) if said and not was_kegnet else ("closed", None, "")
            said = (said + data)[:_EXCERPT_CHARS]
            if said.strip() and not said.lstrip().startswith(b"{"):
                return "strange", None, _excerpt(said)
            for message in decoder.feed(data):
                if isinstance(message, CoreStatus):
                    told = checked.report(message.report)
                    return ("report", told, "") if told else ("strange", None, "its report is none")
                if isinstance(message, Refusal):
                    return "turned_away", None, message.reason
                was_kegnet = was_kegnet or not isinstance(message, Rejected)
    except TimeoutError:
        pass
    except OSError as error:
        if error.errno not in (errno.ECONNRESET, errno.EPIPE):
            return "closed", None, why(error)
        return ("strange", None, _excerpt(said)) if said and not was_kegnet else ("closed", None, "")
    return ("strange", None, _excerpt(said)) if said and not was_kegnet else ("silent", None, "")


def _excerpt(data: bytes) -> str:
    text = data.decode("ascii", "replace").splitlines()[0] if data.strip() else ""
    return "".join(char if char.isprintable() else "?" for char in text)[:_EXCERPT_CHARS]


def _listener(port: int) -> Holder | None:
    """Who listens on a port of this machine; None if that is not ours to see."""
    inodes = _listening_inodes(port)
    for pid in pids() if inodes else ():
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if inodes & set(links):
            return holder(pid)
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
        except OSError:
            continue
        for row in rows:
            if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{row[9]}]")
    return found
