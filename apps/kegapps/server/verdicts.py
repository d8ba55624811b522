"""What an answer means for what was asked: done, try again and when, look first, stop, or never.

Knows the HTTP statuses and error codes of every Kegbot Server. Must not know sockets, clocks or the store.
Source: shared/kegbot-server-api.md, section 4: by the status first, then by `error.code`; 2012 answers 401 to a
bad request too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from kegapps.server import answers, form_api
from kegapps.server.answers import AnswerError, Data, printable
from kegapps.server.calls import Answer


class Asked(Enum):
    """What the call was for."""

    DRINK = "drink"
    TEMPERATURE = "temperature"
    READING = "reading"
    """Anything that changes nothing on the server."""


class Kind(Enum):
    """What becomes of a delivery. None of them loses it."""

    DONE = "done"
    """The server has it."""
    RETRY = "retry"
    """Try again with a growing delay."""
    LOOK = "look"
    """It was sent and no answer that makes sense came: as RETRY, but ask for it before posting again."""
    HOLD = "hold"
    """Something must change on the server (a keg, a meter): keep it and try rarely. Others go on."""
    STOP = "stop"
    """Key, URL or site are wrong: say it once, pause all deliveries, probe now and then."""
    WITHOUT_USER = "without_user"
    """The server cannot take this drink with its user: post it once as a guest's, and say so loudly."""
    DEAD = "dead"
    """The server will never take it as it is: list it with the reason, for a person to edit, retry or export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a delivery, and why."""

    kind: Kind
    reason: str
    """For people, one line, printable, bounded. Empty for DONE."""
    may_be_stored: bool = False
    """The server may have stored it all the same: look before posting again. Never for what may be repeated."""
    retry_after_s: float | None = None
    """The server asked for at least this pause."""


SERVER_ERRORS_WITH_USER: Final = 3  # 500s in a row before a drink is tried without its user
_DELAYS_S: Final[Mapping[Kind, tuple[float, float]]] = {  # the first, and the most
    Kind.RETRY: (5.0, 300.0),
    Kind.LOOK: (5.0, 300.0),
    Kind.WITHOUT_USER: (5.0, 300.0),
    Kind.HOLD: (600.0, 3600.0),
    Kind.STOP: (15.0, 600.0),
}
_MAX_RETRY_AFTER_S: Final = 3600.0

_KEY: Final = (
    "check --api_key or --api_key_file; on the server it must belong to an active member of the staff"
)
_URL: Final = "check --api_url"
# (status, error code): what becomes of a drink, may it be stored, what to tell. The server's own words follow.
_ROWS: Final[Mapping[tuple[int, str], tuple[Kind, bool, str]]] = {
    (401, "NoAuthTokenError"): (Kind.STOP, False, f"the server saw no API key: {_KEY}"),
    (401, "BadApiKeyError"): (Kind.STOP, False, f"the server refuses the API key: {_KEY}"),
    (401, "PermissionDeniedError"): (Kind.STOP, False, f"the API key may not do this: {_KEY}"),
    (403, "PermissionDeniedError"): (Kind.STOP, False, f"the API key may not do this: {_KEY}"),
    (401, "BadRequestError"): (Kind.HOLD, False, "the server refuses it"),
    (400, "BadRequestError"): (Kind.HOLD, False, "the server refuses it"),
    (404, "NotFoundError"): (
        Kind.HOLD,
        False,
        "the server knows no such thing, or it is bound to no tap there",
    ),
    (410, "GoneError"): (Kind.STOP, False, f"this is retired on the server: {_URL}"),
    (500, "ServerError"): (Kind.RETRY, True, "the server failed"),
}
# Statuses not in the API's own words.
_STATUSES: Final[Mapping[int, tuple[Kind, bool, str]]] = {
    400: (Kind.HOLD, False, f"the server, or a proxy before it, takes no such request: {_URL}"),
    401: (Kind.STOP, False, f"the server, or a proxy before it, wants other credentials: {_KEY}"),
    403: (Kind.STOP, False, f"the server, or a proxy before it, forbids it: {_KEY}"),
    404: (Kind.HOLD, False, f"there is no such thing at this URL: {_URL}"),
    405: (Kind.STOP, False, f"this URL takes no such calls: {_URL}"),
    407: (Kind.STOP, False, "a proxy wants credentials, and proxies are not spoken to here"),
    408: (Kind.RETRY, False, "the server waited too long for the request"),
    410: (Kind.STOP, False, f"this is retired on the server: {_URL}"),
    413: (Kind.HOLD, False, "the server, or a proxy before it, finds the request too large"),
    421: (Kind.STOP, False, f"the server is not the one for this name: {_URL}"),
    425: (Kind.RETRY, False, "the server wants it later"),
    429: (Kind.RETRY, False, "the server, or a proxy before it, gets too many requests"),
    500: (Kind.RETRY, True, "the server failed"),
    501: (Kind.STOP, False, f"this URL takes no such calls: {_URL}"),
    # A proxy lost the server in mid-answer or tired of waiting: the server may have done its part.
    502: (Kind.RETRY, True, "a proxy gets no proper answer from the server"),
    503: (Kind.RETRY, False, "the server is not available"),
    504: (Kind.RETRY, True, "a proxy gets no answer from the server in time"),
}
# Of a drink this may come from the name of its meter, which some servers take for no path: the others go on. A reading
# has none, so it is the URL: http to a port for https, a site that does not answer to this name, another program.
_READING_STOPS: Final = frozenset({400, 404})
_CLASSES: Final[Mapping[int, tuple[Kind, bool, str]]] = {
    3: (Kind.STOP, False, "the server sends us elsewhere"),
    4: (Kind.HOLD, False, "the server refuses it"),
    5: (Kind.RETRY, True, "the server failed"),
}
_NONSENSE: Final = (Kind.LOOK, True, "the answer makes no sense")


def judge(answer: Answer, asked: Asked, *, username: str | None = None, server_errors: int = 0) -> Verdict:
    """What `answer` means.

    `username`: the user sent with a drink, None if none was. `server_errors`: how often in a row the server answered
    500 to this very drink with this user before; repeated ones are the sign of a user it does not know. Begin anew
    at 0, with the user, if the one attempt without it meets a 500 too: then the user is not the cause.
    """
    verdict = _judge_drink(answer, asked, username, server_errors)
    if asked is Asked.DRINK or verdict.kind is Kind.DONE:
        return verdict
    # A temperature overwrites itself and a reading changes nothing: no look is needed.
    kind = Kind.RETRY if verdict.kind is Kind.LOOK else verdict.kind
    if asked is Asked.READING and answer.status in _READING_STOPS and not server_message(answer.body)[0]:
        kind = Kind.RETRY if answer.error else Kind.STOP  # cut off, its words may be missing
    if asked is Asked.TEMPERATURE and kind is Kind.HOLD:
        kind = Kind.DEAD  # its minute is over when the server takes such a one
    return replace(verdict, kind=kind, may_be_stored=False)


def delay_s(kind: Kind, failures: int, jitter: float, retry_after_s: float | None = None) -> float | None:
    """Seconds until the next attempt after `failures` (1 or more) verdicts in a row; None: not by itself.

    `jitter` is a random number from 0 to 1 that the caller draws. It shortens the delay by up to a quarter, so that
    many cores do not return to a restarted server all at once. For STOP: the delay until the next probe.
    """
    if kind not in _DELAYS_S:
        return None
    first_s, most_s = _DELAYS_S[kind]
    doubled_s = min(most_s, first_s * 2.0 ** min(max(failures, 1) - 1, 32))
    if kind is Kind.HOLD and failures <= 6:
        doubled_s = first_s  # for an hour somebody may be at it; then hourly
    wait_s = doubled_s * (1.0 - 0.25 * min(max(jitter, 0.0), 1.0))
    return max(wait_s, min(retry_after_s or 0.0, _MAX_RETRY_AFTER_S))


def server_message(body: bytes) -> tuple[str, str, frozenset[str]]:
    """(error code, message, fields it is about) of a failure in any generation's words, else empty."""
    try:
        data = answers.parse(body)
    except AnswerError:
        return "", "", frozenset()
    error = data.get("error")
    if type(error) is dict:
        code, message = error.get("code"), error.get("message")
        fields = frozenset(str(field) for field in message) if type(message) is dict else frozenset[str]()
        return code[:64] if type(code) is str else "", _worded(message), fields
    # Section 5's API: {"detail": "..."} and {"error": "setup_required"}.
    return "", _worded(error or data.get("detail")), frozenset()


def not_set_up(message: str) -> bool:
    """The failure with this message is a site's whose set-up or upgrade is not finished."""
    return message.lower().replace("_", " ").startswith(("setup required", "upgrade required"))


def _judge_drink(answer: Answer, asked: Asked, username: str | None, server_errors: int) -> Verdict:
    if answer.status is None:
        kind = Kind.LOOK if answer.sent else Kind.RETRY
        return Verdict(kind=kind, reason=printable(answer.error) or "no answer", may_be_stored=answer.sent)
    if 200 <= answer.status < 300:
        return _judge_success(answer, asked)
    code, message, fields = server_message(answer.body)
    kind, may_be_stored, reason = _row(answer.status, code)
    if code in ("BadRequestError", "") and answer.status in (400, 401, 403, 503) and not_set_up(message):
        kind, reason = Kind.STOP, "the server's site is not set up: open it in a browser and finish that"
    elif code == "BadRequestError" and fields:
        if fields == {"username"} and username:
            kind, reason = Kind.WITHOUT_USER, f"the server refuses the user {printable(username, 40)}"
        else:
            kind = Kind.DEAD  # values it calls wrong do not become right by waiting
    elif answer.status == 500 and username and server_errors + 1 >= SERVER_ERRORS_WITH_USER:
        kind = Kind.WITHOUT_USER
        reason = (
            f"the server failed {server_errors + 1} times; it may not know the user {printable(username, 40)}"
        )
    if answer.status // 100 == 3 and answer.location:
        message = f"{answer.location}; {_URL}"
    told = f" ({message})" if message else ""
    return Verdict(
        kind=kind,
        reason=printable(f"{reason}{told} [{answer.status}{' ' * bool(code)}{code}]", 300),
        may_be_stored=may_be_stored,
        retry_after_s=answer.retry_after_s,
    )


def _judge_success(answer: Answer, asked: Asked) -> Verdict:
    try:
        if answer.error:
            raise AnswerError(answer.error)
        if asked is Asked.DRINK:
            form_api.read_drink(answer.body)
        else:
            _check_envelope(answers.parse(answer.body))
    except AnswerError as error:
        kind, may_be_stored, _ = _NONSENSE
        return Verdict(kind=kind, reason=f"[{answer.status}] {error}", may_be_stored=may_be_stored)
    return Verdict(kind=Kind.DONE, reason="")


def _check_envelope(data: Data) -> None:
    if "objects" in data:
        answers.objects_in(data, "objects")
    else:
        answers.object_in(data, "object")


def _row(status: int, code: str) -> tuple[Kind, bool, str]:
    if status == 400 and code:
        code = "BadRequestError"  # whatever a later server calls it
    return _ROWS.get((status, code)) or _STATUSES.get(status) or _CLASSES.get(status // 100, _NONSENSE)


def _worded(message: object) -> str:
    if type(message) is dict:  # field -> list of texts
        return printable(
            "; ".join(f"{field}: {_worded(texts)}" for field, texts in list(message.items())[:8])
        )
    if type(message) is list:
        return printable(" ".join(text for text in message[:8] if type(text) is str))
    return printable(message) if type(message) is str else ""
