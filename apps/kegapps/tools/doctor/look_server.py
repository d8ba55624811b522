"""Asks the Kegbot Server whether the URL fits and the key is right, and which taps it has.

Knows `kegapps.server`. Must not know what the answer means for the chain. Records no drink.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Final

from kegapps.server.probe import Finding, Probe, State
from kegapps.server.url import parse_api_key, parse_api_url
from kegapps.tools.doctor.facts import ServerFacts
from kegapps.tools.doctor.settings import Settings

PATIENCE_S: Final = 6.0
CALL_S: Final = 4.0
MAX_KEY_FILE_BYTES: Final = 4096


def ask(settings: Settings) -> ServerFacts:
    """What the server says within PATIENCE_S, and the time that looking up its name takes."""
    # Brings http.client and ssl along: only in the child, if at all.
    from kegapps.server.exchange import exchange

    assert settings.api_url is not None
    shown = settings.api_url.value
    try:
        url = parse_api_url(shown)
    except ValueError as error:
        # What is no URL may hold a password, so it is shown only as the parser shows it.
        return ServerFacts(url="--api_url", state="wrong_url", problem=str(error))
    try:
        key, key_problem = _key(settings), ""
    except (OSError, ValueError) as error:
        key = None
        key_problem = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    probe, end_s = Probe(url, has_key=key is not None), time.monotonic() + PATIENCE_S
    while (call := probe.call) is not None:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            return ServerFacts(
                url=str(url), state="unreachable", problem=f"no answer within {PATIENCE_S:g} s"
            )
        probe.take(exchange(url, key, replace(call, timeout_s=min(left_s, CALL_S))))
    assert probe.finding is not None
    return _facts(str(url), probe.finding, key_problem)


def _key(settings: Settings) -> str | None:
    """The API key; None if none is configured. Raises OSError and ValueError, which do not tell it."""
    if settings.api_key is not None:
        return parse_api_key(settings.api_key.value)
    if settings.api_key_file is None:
        return None
    # A FIFO would wait for a writer.
    with open(
        settings.api_key_file.value,
        encoding="ascii",
        errors="replace",
        opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK),
    ) as file:
        return parse_api_key(file.read(MAX_KEY_FILE_BYTES))


def _facts(url: str, finding: Finding, key_problem: str) -> ServerFacts:
    states = {
        State.WELL: "fits", State.AWAY: "unreachable", State.WRONG_URL: "wrong_url",
        State.WRONG_KEY: "wrong_key", State.NOT_SET_UP: "not_set_up",
    }  # fmt: skip
    taps = None
    if finding.state in (State.WELL, State.WRONG_KEY):
        taps = tuple(
            {"meter_name": tap.meter_name, "name": tap.name, "has_keg": tap.keg_id is not None}
            for tap in finding.taps
        )
    return ServerFacts(
        url=url,
        state=states[finding.state],
        problem=finding.reason.removeprefix(f"{url}: "),
        key_problem=key_problem,
        right_url=str(finding.right_url or ""),
        version=finding.server_version,
        taps=taps,
    )
