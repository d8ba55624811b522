"""From everything that was found out to what is said of each link, in the order of the chain.

Knows which link explains which. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kegapps.tools.doctor import (
    judge_board,
    judge_core,
    judge_device,
    judge_master,
    judge_server,
    judge_store,
)
from kegapps.tools.doctor.facts import Facts
from kegapps.tools.doctor.finding import Finding, Link, first_cut, is_cut
from kegapps.tools.doctor.settings import Settings


def judge(facts: Facts, settings: Settings, paths: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    """All findings. `paths`: what each board's --kegboard_device means just now."""
    store = judge_store.findings(facts, settings)
    store_cut = is_cut(store, Link.STORE)
    master = judge_master.findings(facts, settings, store_cut=store_cut)
    master_cut = is_cut(master, Link.MASTER)
    report = facts.core.report if facts.core and facts.core.report else {}
    told = report.get("boards", ())
    # A device that nobody named is not missed in a kegerator whose boards hang on no serial port.
    meant = [board for board in settings.boards if not (board.is_default and told)]
    boards: list[Finding] = []
    for board in meant:
        devices = paths.get(board.device.value)
        boards += judge_device.findings(facts, board, devices)
        boards += judge_board.findings(facts, board, devices or (), told, master_cut=master_cut)
    boards += judge_board.other_findings(facts, meant, paths, told)
    boards += judge_device.other_findings(settings)
    core = judge_core.findings(facts, settings, master_cut=master_cut, store_cut=store_cut)
    taps = _taps(facts)
    before = first_cut([*master, *boards, *core, *store])
    tick = judge_board.tick_findings(facts, taps, cut_at=before.link if before else None)
    server = judge_server.server_findings(facts, settings, taps)
    server_cut = is_cut(server, Link.SERVER)
    outbox = judge_server.outbox_findings(facts, settings, server_cut=server_cut, store_cut=store_cut)
    found = [*master, *boards, *tick, *core, *store, *server, *outbox]
    order = list(Link)
    return sorted(found, key=lambda finding: order.index(finding.link))


def _taps(facts: Facts) -> Sequence[Mapping[str, Any]] | None:
    """The taps by the core, else by the store; None if neither tells."""
    if facts.core and facts.core.report:
        taps: Sequence[Mapping[str, Any]] = facts.core.report.get("taps", ())
        return taps
    if facts.store and facts.store.schema_version and not facts.store.unread:
        return facts.store.taps
    return None
