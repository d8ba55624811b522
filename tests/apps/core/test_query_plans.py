"""What the core asks its store while it pours never reads a table that grows from end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kegapps.core.model import Drink, Flow, Meter, Now, Temperature
from kegapps.core.outbox import Delivered
from kegapps.core.pending import Changes
from kegapps.core.store import Store
from kegapps.kegnet.events import DrinksRequest
from tests.apps.core.bar import FLOW0, START_UNIX_S

GROWING = ("drinks", "temperatures", "outbox", "deliveries")
NOW = Now(mono_s=1000.0, unix_s=START_UNIX_S)
DRINK = Drink(
    uuid="d", flow_id=1, tap_name=FLOW0, username="alice", ticks=1000, ml_per_tick=0.5, volume_ml=500.0,
    start_unix_s=START_UNIX_S, end_unix_s=START_UNIX_S + 9, keg_id=1,
)  # fmt: skip
CHANGES = Changes(
    meters={FLOW0: Meter(name=FLOW0, last_reading=1, read_unix_s=START_UNIX_S, read_mono_s=1.0)},
    flows={
        "f": Flow(
            uuid="f", flow_id=2, tap_name=FLOW0, username=None, idle_limit_s=10.0, start_unix_s=START_UNIX_S,
            last_unix_s=START_UNIX_S, last_mono_s=1.0,
        )
    },
    ended={"d": DRINK, "e": None},
    temperatures={("s", 1): Temperature(sensor_name="s", unix_minute=1, celsius=4.0)},
    presences={FLOW0: None},
    last_flow_id=2,
)  # fmt: skip


@pytest.mark.parametrize(
    "work",
    [
        lambda store: store.commit(CHANGES),
        lambda store: store.count_drinks(),
        lambda store: store.load_setup(),
        lambda store: store.load_memory(NOW),
        lambda store: store.tap_room().on_taps(),
        lambda store: store.tap_room().drinks(DrinksRequest(after=-1)),
        lambda store: store.tap_room().drinks(DrinksRequest(after=5)),
        lambda store: store.server_store().next_entry(START_UNIX_S),
        lambda store: store.server_store().delivered_among(["1", "2"]),
        lambda store: store.server_store().write([Delivered(drink_id=1, server_drink_id="7")], now_unix_s=0.0),
        lambda store: store.server_store().held_meters(),
        lambda store: store.server_store().release_held([FLOW0]),
        lambda store: store.server_store().defer_looks(5.0),
    ],
    ids=[
        "commit", "count_drinks", "load_setup", "load_memory", "on_taps", "newest_drinks", "drinks_after", "next_entry", "delivered_among", "write",
        "held_meters", "release_held", "defer_looks",
    ],
)  # fmt: skip
def test_the_core_never_reads_all_of_what_grows(work: Callable[[Store], object], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "kegbot.sqlite"), boot_id="", server_url="http://bar")
    store.commit(CHANGES)
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    work(store)
    store._db.set_trace_callback(None)
    verbs = ("select", "insert", "update", "delete")
    steps = [
        str(row[3])
        for sql in asked
        if sql.startswith(verbs)
        for row in store._db.execute(f"explain query plan {sql}")
    ]
    store.close()
    assert asked
    for step in steps:
        words = step.split()
        assert words[0] != "SCAN" or words[1] not in (*GROWING, "d", "o", "s") or "INDEX" in step, steps
