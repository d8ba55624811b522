"""The Kegbot Server, and what waits to be delivered to it.

Knows what the server answered, what the core tells of it, and the outbox in the store. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kegapps.tools.doctor.facts import Facts, ServerFacts
from kegapps.tools.doctor.finding import Finding, Level, Link, hint, ok, trouble, unknown
from kegapps.tools.doctor.judge_store import admin
from kegapps.tools.doctor.settings import Settings
from kegapps.tools.doctor.wording import duration, listed, plain

OLD_S: Final = 3600.0


def server_findings(
    facts: Facts, settings: Settings, taps: Sequence[Mapping[str, Any]] | None
) -> list[Finding]:
    """What is to be said of the server. `taps`: those of the core, or None."""
    if settings.api_url is None:
        return [ok(Link.SERVER, "none is configured (--api_url): drinks stay in the store")]
    found = _server(facts, settings, taps)
    told = facts.core.report.get("server") if facts.core and facts.core.report else None
    if told and told.get("state") == "ok" and facts.server and facts.server.key_problem:
        found = [
            ok(Link.SERVER, f"{plain(facts.server.url)} answers, and the core says that all is well with it")
        ]
    elif told and told.get("state") == "trouble" and all(f.level is not Level.TROUBLE for f in found):
        found.append(
            hint(
                Link.SERVER,
                f"the core has not noticed yet; it says: {plain(told.get('reason'))}",
                f"it tries again by itself; {admin(facts, 'outbox retry --all')} hurries it",
            )
        )
    return [*found, *_key(settings)]


def _key(settings: Settings) -> list[Finding]:
    if not settings.key_is_public:
        return []
    return [
        hint(
            Link.SERVER,
            "the API key is on kegbot_core's command line, where every user of this machine can read it",
            "write it into a file of mode 0600 and give kegbot_core --api_key_file instead",
        )
    ]


def _server(facts: Facts, settings: Settings, taps: Sequence[Mapping[str, Any]] | None) -> list[Finding]:
    link, server = Link.SERVER, facts.server
    assert settings.api_url is not None
    url = plain(settings.api_url.value)
    if server is None:
        return [
            trouble(
                link, f"{url} did not answer in time", "is the server overloaded? the core goes on trying"
            )
        ]
    if finding := _no_use(server):
        return [finding]
    version = f"version {plain(server.version, 40)}" if server.version else "of 2012"
    found = [ok(link, f"{plain(server.url)} answers ({version}), and the key is right")]
    if server.taps is not None:
        troubles = [f for tap in taps or () if (f := _tap(str(tap.get("name")), server.taps)) is not None]
        found += troubles
        if not troubles and taps:
            found[0] = ok(link, f"{found[0].text}; every meter is bound to a tap with a keg")
    return found


def _no_use(server: ServerFacts) -> Finding | None:
    link, url, why = Link.SERVER, plain(server.url), plain(server.problem)
    match server.state:
        case "fits":
            return None
        case "unreachable":
            return trouble(
                link,
                f"{url} cannot be reached: {why}",
                "start the server, or correct --api_url; the core goes on trying",
            )
        case "wrong_url":
            cure = (
                f"--api_url={server.right_url}"
                if server.right_url
                else "correct --api_url; it ends in /api/v1/"
            )
            return trouble(link, f"{url} is not the address of the API: {why}", cure)
        case "wrong_key" if server.key_problem:
            return unknown(
                link,
                f"{url} answers, but the key could not be read: {plain(server.key_problem)}",
                "run the doctor with sudo; if the core cannot read it either, chown it to the core's user",
            )
        case "wrong_key":
            return trouble(
                link,
                f"{url} does not take the API key: {why}",
                "copy a key from the server's admin pages (API keys) into --api_key_file; it has to be a staff user's",
            )
        case _:
            return trouble(link, f"{url}: {why}", "finish the server's set-up or upgrade in a browser")


def _tap(meter: str, server_taps: Sequence[Mapping[str, Any]]) -> Finding | None:
    """What keeps the drinks of this meter from being taken."""
    link, name = Link.SERVER, plain(meter, 64)
    tap = next((tap for tap in server_taps if tap["meter_name"] == meter), None)
    if tap is None:
        return trouble(
            link,
            f"{name} is bound to no tap of the server, which has {listed(_shown(tap) for tap in server_taps)}",
            f"bind meter {name} to a tap in the server's admin pages; its drinks wait until then",
        )
    if not tap["has_keg"]:
        return trouble(
            link,
            f"no keg is on {plain(tap['name'], 64)}, the server's tap of {name}",
            "put a keg on it in the server's admin pages; drinks wait until then",
        )
    return None


def _shown(tap: Mapping[str, Any]) -> str:
    meter = plain(tap["meter_name"], 64)
    return f"{plain(tap['name'], 64)} ({'no meter' if meter.startswith('unknown.') else meter})"


def outbox_findings(
    facts: Facts, settings: Settings, *, server_cut: bool, store_cut: bool = False
) -> list[Finding]:
    """What is to be said of the outbox.

    `server_cut`: there is trouble with the server, for which drinks wait. `store_cut`: with the store, in which it is.
    """
    link = Link.OUTBOX
    told = facts.core.report.get("outbox") if facts.core and facts.core.report else None
    stored = facts.store.outbox if facts.store else None
    counts = _counts(told, stored)
    if store_cut and told is None and not (counts and any(counts)):
        return [unknown(link, f"unknown because the chain is cut at: {Link.STORE}")]
    if counts is None:
        if settings.api_url is None:
            return [ok(link, "nothing is to be delivered")]
        return [unknown(link, "unknown because neither core nor store tell")]
    waiting, held, dead = counts
    if dead:
        return [_dead(facts, dead, (stored or {}).get("dead"))]
    if not waiting + held and settings.api_url is None:
        return [ok(link, "nothing is to be delivered")]
    if not waiting + held:
        return [ok(link, "empty: everything is delivered")]
    text, age_s = _waiting(waiting, held, told, stored, facts.now_unix_s)
    if settings.api_url is None:
        return [
            hint(link, f"{text}, but no server is configured", f"set --api_url, or: {admin(facts, 'outbox')}")
        ]
    if server_cut:
        return [unknown(link, f"{text}: they wait because the chain is cut at: {Link.SERVER}")]
    if held or age_s > OLD_S:
        return [hint(link, text, f"{admin(facts, 'outbox')} tells why; {admin(facts, 'outbox retry --all')}")]
    return [ok(link, text)]


def _counts(told: Mapping[str, Any] | None, stored: Mapping[str, Any] | None) -> tuple[int, int, int] | None:
    if told is not None:
        return told.get("waiting") or 0, told.get("held") or 0, told.get("dead") or 0
    if stored is not None:
        by_state = stored["counts"]
        waiting = sum(count for state, count in by_state.items() if state not in ("held", "dead"))
        return waiting, by_state.get("held", 0), by_state.get("dead", 0)
    return None


def _dead(facts: Facts, count: int, example: Mapping[str, Any] | None) -> Finding:
    text = f"{count} drink{'' if count == 1 else 's'} that the server will never take as they are"
    number = "DRINK"
    if example:
        number = str(example["drink_id"])
        text += f"; drink {number}: {plain(example['reason'])}"
    return trouble(
        Link.OUTBOX,
        text,
        f"{admin(facts, 'outbox')} lists them; {admin(facts, f'outbox edit {number} --username=NAME')} (or --tap), "
        f"retry {number}, or done {number} --reason=TEXT",
    )


def _waiting(
    waiting: int,
    held: int,
    told: Mapping[str, Any] | None,
    stored: Mapping[str, Any] | None,
    now_unix_s: float,
) -> tuple[str, float]:
    """In words, and the age of the oldest in seconds."""
    total = waiting + held
    text = f"{total} drink{' waits' if total == 1 else 's wait'}"
    oldest = (stored or {}).get("oldest") or {}
    end_unix_s = (told or {}).get("oldest_unix_s") or oldest.get("end_unix_s")
    age_s = now_unix_s - end_unix_s if isinstance(end_unix_s, int | float) else 0.0
    if end_unix_s:
        text += f", the oldest for {duration(age_s)}"
    if oldest.get("reason"):
        text += f": {plain(oldest['reason'])}"
    return text, age_s
