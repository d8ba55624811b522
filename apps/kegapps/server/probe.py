"""Whether the configured URL and key are right, and if not, what would be: asked step by step before any delivery.

Knows which server has which API under which path. Must not know sockets, clocks or the store.
Source: shared/kegbot-server-api.md, section 1.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from kegapps.server import answers, event_api, form_api, verdicts
from kegapps.server.answers import AnswerError
from kegapps.server.calls import Answer, Call
from kegapps.server.form_api import ServerTap
from kegapps.server.url import ApiUrl
from kegapps.server.verdicts import Asked, Kind

PROBE_TIMEOUT_S: Final = 10.0


class State(Enum):
    """What a probe found."""

    WELL = "well"
    """Deliver."""
    AWAY = "away"
    """No answer, or none that tells anything: probe again with backoff. Nothing needs to be changed."""
    WRONG_URL = "wrong_url"
    WRONG_KEY = "wrong_key"
    NOT_SET_UP = "not_set_up"
    """The server wants its own set-up or upgrade finished, in a browser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a probe."""

    state: State
    reason: str
    """One sentence for people: what is wrong and what to do; if WELL, what was found."""
    right_url: ApiUrl | None = None
    """If WRONG_URL: one of the same server that was tried and speaks the right API."""
    taps: tuple[ServerTap, ...] = ()
    server_version: str = ""
    """As the server calls it; empty if it does not say (2012)."""
    kegboard_event: bool = False
    """The server takes `event_api`'s batches too."""
    newest_drink_id: str | None = None
    """The newest drink on the server; None if it has none: `after_drink_id` of the first attempt."""


class Probe:
    """One probe of `url`: perform `call`, give the answer to `take`, until there is a `finding`.

    `has_key`: an API key is configured.
    """

    def __init__(self, url: ApiUrl, *, has_key: bool) -> None:
        self.finding: Finding | None = None
        self._steps = _steps(url, has_key)
        self._call: Call | None = next(self._steps)

    @property
    def call(self) -> Call | None:
        """What to ask next; None if there is a finding."""
        return self._call

    def take(self, answer: Answer) -> None:
        """Take the answer to `call`."""
        try:
            self._call = self._steps.send(answer)
        except StopIteration as end:
            self._call, self.finding = None, end.value


_Steps = Generator[Call, Answer, Finding]


def _steps(url: ApiUrl, has_key: bool) -> _Steps:
    answer = yield _quick(form_api.get_taps())
    verdict = verdicts.judge(answer, Asked.READING)
    try:
        taps = form_api.read_taps(answer.body) if verdict.kind is Kind.DONE else ()
    except AnswerError as error:
        return Finding(state=State.AWAY, reason=f"{url}taps: {error}")
    if verdict.kind is not Kind.DONE:
        if (
            answer.status is None
            or answer.error
            or (verdict.kind is Kind.RETRY and not 200 <= answer.status < 300)
        ):
            return Finding(state=State.AWAY, reason=verdict.reason)
        code, message, _ = verdicts.server_message(answer.body)
        if verdicts.not_set_up(message):
            return Finding(state=State.NOT_SET_UP, reason=f"{url}: {verdict.reason}")
        if not _speaks_form_api(answer) or code in ("NotFoundError", "GoneError"):
            return (yield from _find_right_url(url, answer, verdict.reason))
        return _wrong_key(url, verdict.reason, has_key=has_key)
    if not has_key:
        return replace(_wrong_key(url, "", has_key=False), taps=taps)
    found = yield from _ask_with_key(url)
    if found.state is not State.WELL:
        return replace(found, taps=taps)
    answer = yield _quick(event_api.probe_call(url))
    return replace(found, taps=taps, kegboard_event=event_api.is_there(answer))


def _ask_with_key(url: ApiUrl) -> _Steps:
    """Asks for what no server tells without a right key."""
    answer = yield _quick(form_api.get_status())
    status, has_status = answer.body, answer.status != 404  # 2012 has no such thing
    if not has_status:
        answer = yield _quick(form_api.get_token("core.onewire", "0"))
    # Whoever is told that there is no such token, or that looking for it failed, has shown a right key before.
    is_let_in = not has_status and verdicts.server_message(answer.body)[0] in ("NotFoundError", "ServerError")
    if not is_let_in and verdicts.judge(answer, Asked.READING).kind is not Kind.DONE:
        return _refusal(url, answer)
    answer = yield _quick(form_api.get_events())
    if verdicts.judge(answer, Asked.READING).kind is not Kind.DONE:
        return _refusal(url, answer)
    try:
        drinks, _ = form_api.read_drinks(answer.body)
        if has_status:
            drinks += form_api.read_status_drinks(status)
        version = form_api.read_version(status) if has_status else ""
    except AnswerError as error:
        return Finding(state=State.AWAY, reason=f"{url}: {error}")
    spoken = f"version {version}" if version else "of 2012"
    reason = f"{url} is a Kegbot Server {spoken}, and the API key is right"
    return Finding(
        state=State.WELL, reason=reason, server_version=version, newest_drink_id=form_api.newest_id(drinks)
    )


def _refusal(url: ApiUrl, answer: Answer) -> Finding:
    verdict = verdicts.judge(answer, Asked.READING)
    if verdict.kind is not Kind.STOP or answer.error:
        return Finding(state=State.AWAY, reason=verdict.reason)
    if verdicts.not_set_up(verdicts.server_message(answer.body)[1]):
        return Finding(state=State.NOT_SET_UP, reason=f"{url}: {verdict.reason}")
    return _wrong_key(url, verdict.reason, has_key=True)


def _wrong_key(url: ApiUrl, reason: str, *, has_key: bool) -> Finding:
    if not has_key:
        reason = "it takes drinks only with an API key, and none is configured: set --api_key_file"
    return Finding(state=State.WRONG_KEY, reason=f"{url}: {reason}")


def _find_right_url(url: ApiUrl, answer: Answer, reason: str) -> _Steps:
    for path in _other_paths(url.path):
        other = yield _quick(Call(method="GET", path=f"{path}taps"))
        if _speaks_form_api(other):
            right = url.with_path(path)
            return Finding(
                state=State.WRONG_URL,
                reason=f"{_what_it_is(url, answer)}: set --api_url={right}",
                right_url=right,
            )
        if other.error:
            return Finding(state=State.AWAY, reason=other.error)
    if answer.status is not None and answer.status // 100 == 3 and answer.location:
        return Finding(state=State.WRONG_URL, reason=_sent_elsewhere(url, answer.location))
    return Finding(state=State.WRONG_URL, reason=f"{_what_it_is(url, answer)}: {reason}")


def _what_it_is(url: ApiUrl, answer: Answer) -> str:
    try:
        if "results" in answers.parse(answer.body):
            return f"{url} is the server's newer API, not the one a core speaks"
    except AnswerError:
        pass
    return f"{url} is not the API of a Kegbot Server"


def _sent_elsewhere(url: ApiUrl, location: str) -> str:
    there = location.removesuffix("/").removesuffix("taps")
    if "://" in there and there.endswith("/"):  # the same call at another place: https, for one
        return f"{url} sends us elsewhere, and the key is not taken there unasked: set --api_url={there}"
    return f"{url} sends us to {location}, which is no API: check --api_url"


def _speaks_form_api(answer: Answer) -> bool:
    """It has taps in the form API's shape, or refuses them in that API's words."""
    if answer.status is None or answer.error:
        return False
    if answer.status == 200:
        try:
            return "objects" in answers.parse(answer.body)
        except AnswerError:
            return False
    code, _, _ = verdicts.server_message(answer.body)
    return bool(code) and code not in ("NotFoundError", "GoneError")


def _other_paths(path: str) -> list[str]:
    """Where the API may be instead, likeliest first: people leave out `v1/` or `api/`, or paste a whole address."""
    before = path.partition("/api/")[0].rstrip("/") + "/"
    found = [f"{before}api/v1/", f"{before}api/", "/api/v1/", "/api/"]
    return [other for other in dict.fromkeys(found) if other != path]


def _quick(call: Call) -> Call:
    return replace(call, timeout_s=PROBE_TIMEOUT_S)
