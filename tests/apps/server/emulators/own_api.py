"""Of today's own API what a core meets when its URL lacks `v1/`: section 5, reading only."""

from __future__ import annotations

import base64
from typing import Any

from tests.apps.server.emulators.memory import Memory, Recorded
from tests.apps.server.emulators.replies import Reply, Request, moment, reply
from tests.apps.server.emulators.site import Site


def answer(site: Site, memory: Memory, request: Request, endpoint: str) -> Reply:
    if not site.set_up:
        return reply({"error": "setup_required"}, 403)
    given = request.headers.get("authorization")
    if given is None and site.private:
        return reply({"detail": "Authentication credentials were not provided."}, 401)
    if given is not None and given not in {basic(key) for key in site.keys}:
        return reply({"detail": "Invalid API key."}, 401)
    if request.method == "GET" and endpoint.strip("/") == "taps":
        taps = [
            {"id": tap.id, "name": tap.name, "notes": "", "current_keg_id": tap.keg_id, "sort_order": 0}
            for tap in site.taps
        ]
        return reply({"next": None, "previous": None, "results": taps})
    if request.method == "GET" and endpoint.strip("/") == "drinks":
        size = min(100, int(request.query.get("page_size", "10")))
        drinks = memory.drinks[::-1]
        more = f"{request.path}?page=2" if len(drinks) > size else None
        return reply({"next": more, "previous": None, "results": [drink_of(one) for one in drinks[:size]]})
    return reply({"detail": "Not found."}, 404)


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"api:{key}".encode()).decode()


def drink_of(drink: Recorded) -> dict[str, Any]:
    return {
        "id": drink.id,
        "ticks": drink.ticks,
        "volume_ml": drink.volume_ml,
        "time": moment("today", drink.time_unix_s),
        "duration": drink.duration_s,
        "user": {"id": 1, "username": drink.username or "guest"},
        "keg": None if drink.keg_id is None else {"id": drink.keg_id, "keg_type": "corny"},
        "session_id": 1,
    }
