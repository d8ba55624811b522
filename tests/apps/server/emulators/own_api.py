"""Of today's own API what a core meets when its URL lacks `v1/`: section 5, reading only."""

from __future__ import annotations

from tests.apps.server.emulators.replies import Reply, Request, reply
from tests.apps.server.emulators.site import Site


def answer(site: Site, request: Request, endpoint: str) -> Reply:
    if not site.set_up:
        return reply({"error": "setup_required"}, 403)
    if site.private and "authorization" not in request.headers:
        return reply({"detail": "Authentication credentials were not provided."}, 401)
    if request.method == "GET" and endpoint.strip("/") == "taps":
        taps = [
            {"id": tap.id, "name": tap.name, "notes": "", "current_keg_id": tap.keg_id, "sort_order": 0}
            for tap in site.taps
        ]
        return reply({"next": None, "previous": None, "results": taps})
    return reply({"detail": "Not found."}, 404)
