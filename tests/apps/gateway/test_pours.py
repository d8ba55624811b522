"""What a board pours, in the books of a real core."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from pathlib import Path

import pytest

from kegapps.core.ledger import Ledger
from kegapps.core.store import Store
from kegapps.gateway.batch import MAX_POUR_TICKS
from tests.apps.core.programs import CoreProgram
from tests.apps.gateway.programs import (
    Board,
    GatewayProgram,
    bar,
    batch,
    counted,
    drinks,
    event,
    gateway,
    pour,
    status,
    until,
    update,
)


def furnished(cwd: Path, ml_per_tick: float = 0.185) -> None:
    """The core's calibration of the tap is the board's."""
    Store(str(cwd / "core.sqlite"), boot_id="").close()
    with contextlib.closing(Ledger(str(cwd / "core.sqlite"))) as ledger:
        ledger.add_tap("kb-1.flow0", ml_per_tick)


def test_several_pours_of_before_are_each_a_drink_with_its_ticks_volume_and_times(tmp_path: Path) -> None:
    furnished(tmp_path)
    with bar(tmp_path) as (core, gate, token):
        told = [
            pour(1, 3070, age_s=86400, took_s=9),
            pour(2, 200, age_s=3600, took_s=2),
            pour(3, 1000, age_s=3594, took_s=4),
            pour(4, 6000, age_s=600, took_s=70),
        ]
        now_s = time.time()
        assert gate.ask(batch(told), token)[0] == 200
        rows = drinks(core, 4)
        assert [row.ticks for row in rows] == [3070, 200, 1000, 6000]
        assert [round(row.volume_ml) for row in rows] == [568, 37, 185, 1110]
        for row, (age_s, took_s) in zip(rows, [(86400, 9), (3600, 2), (3594, 4), (600, 70)], strict=True):
            assert row.end_unix_s == pytest.approx(now_s - age_s, abs=2)
            assert row.end_unix_s - row.start_unix_s == pytest.approx(took_s, abs=0.1)
        assert counted(core) == 10270


def test_two_pours_close_in_time_are_two_drinks(tmp_path: Path) -> None:
    with bar(tmp_path) as (core, gate, token):
        assert gate.ask(batch([pour(1, 1000, age_s=3, took_s=2)]), token)[0] == 200
        assert gate.ask(batch([pour(2, 900, took_s=1)]), token)[0] == 200
        assert [row.ticks for row in drinks(core, 2)] == [1000, 900]


def test_a_pour_is_counted_once_however_often_and_in_whatever_order_it_is_told(tmp_path: Path) -> None:
    with bar(tmp_path) as (core, gate, token):
        first, second, third = (
            pour(n, 1000 * n, age_s=100 - 20 * n, took_s=2, pour_id=f"p{n}") for n in (1, 2, 3)
        )
        assert gate.ask(batch([first]), token)[0] == 200
        for _ in range(3):
            assert gate.ask(batch([first]), token)[0] == 200
        assert gate.ask(batch([third]), token)[0] == 200
        assert gate.ask(batch([first, second, third]), token)[0] == 200, "told late, but not lost"
        again = [one | {"id": n} for n, one in enumerate((third, second, first), start=1)]
        assert gate.ask(batch(again, boot_id="after a boot"), token)[0] == 200
        assert sorted(row.ticks for row in drinks(core, 3)) == [1000, 2000, 3000]
        assert counted(core) == 6000


def test_a_pour_is_shown_while_it_flows_and_is_one_drink_of_what_its_end_says(tmp_path: Path) -> None:
    furnished(tmp_path)
    with bar(tmp_path) as (core, gate, token):
        assert gate.ask(batch([status(1)]), token)[0] == 200
        for number, ticks in enumerate((400, 900, 1500), start=2):
            assert gate.ask(batch([update(number, ticks, "live")]), token)[0] == 200
            until(lambda: counted(core), ticks.__eq__)
        assert gate.ask(batch([pour(5, 1919, pour_id="live", took_s=4)]), token)[0] == 200
        assert [row.ticks for row in drinks(core, 1)] == [1919]
        late = [update(6, 3000, "live"), pour(7, 3000, pour_id="live")]
        assert gate.ask(batch(late), token)[0] == 200
        assert gate.ask(batch([pour(8, 500, pour_id="next")]), token)[0] == 200
        assert [row.ticks for row in drinks(core, 2)] == [1919, 500]


def test_a_pour_whose_end_never_comes_keeps_what_was_told(tmp_path: Path) -> None:
    with bar(tmp_path, "--idle_timeout_s=0.5") as (core, gate, token):
        assert gate.ask(batch([status(1), update(2, 800, "cut off")]), token)[0] == 200
        assert [row.ticks for row in drinks(core, 1)] == [800]


@pytest.mark.parametrize(
    ("left_out", "ticks"),
    [((), 1000), (("ticks",), 1000), (("ticks", "ml_per_tick"), 1000)],
)
def test_ticks_are_made_of_the_volume_where_the_board_does_not_say_them(
    tmp_path: Path, left_out: tuple[str, ...], ticks: int
) -> None:
    with bar(tmp_path) as (core, gate, token):
        made = pour(1, 1000)
        for name in left_out:
            del made["data"][name]
        assert gate.ask(batch([made]), token)[0] == 200
        assert [row.ticks for row in drinks(core, 1)] == [ticks]


def _malformed(gate: GatewayProgram, device: str = "kb-1") -> int:
    rows = json.loads(gate.word("devices", "--json").stdout)
    return next(int(row["events_malformed"]) for row in rows if row["device"] == device)


def test_more_ticks_than_a_pour_can_have_are_dropped_and_counted_and_the_next_pour_is_taken(
    tmp_path: Path,
) -> None:
    with bar(tmp_path) as (core, gate, token):
        absurd = pour(1, 1)
        del absurd["data"]["ticks"]
        absurd["data"] |= {"volume_ml": 50_000, "ml_per_tick": 1e-6}
        before = _malformed(gate)
        assert gate.ask(batch([absurd, pour(2, 600)]), token)[0] == 200
        assert "50000000000 ticks" in gate.program.line("dropped a pour event")
        assert [row.ticks for row in drinks(core, 1)] == [600]
        assert _malformed(gate) == before + 1


def test_ticks_that_cannot_be_are_as_good_as_not_said(tmp_path: Path) -> None:
    with bar(tmp_path) as (core, gate, token):
        made = pour(1, 10_000_000)
        made["data"] |= {"volume_ml": 50_000}
        assert gate.ask(batch([made]), token)[0] == 200
        assert [row.ticks for row in drinks(core, 1)] == [round(50_000 / 0.185)]


def test_as_many_ticks_as_a_pour_can_have_are_believed_by_a_core_that_takes_them_for_450_l(
    tmp_path: Path,
) -> None:
    with bar(tmp_path) as (core, gate, token):
        made = pour(1, MAX_POUR_TICKS, age_s=20, took_s=300)
        made["data"] |= {"volume_ml": 50_000}
        assert gate.ask(batch([made, pour(2, 600)]), token)[0] == 200
        assert [row.ticks for row in drinks(core, 2)] == [MAX_POUR_TICKS, 600]


def test_what_the_core_would_never_believe_is_refused_with_the_way_out(tmp_path: Path) -> None:
    furnished(tmp_path, ml_per_tick=5.0)
    with bar(tmp_path) as (core, gate, token):
        assert gate.ask(batch([pour(1, 100)]), token)[0] == 200
        drinks(core, 1)
        until(lambda: gate.word("devices", "--json").stdout, lambda seen: '"core_ml_per_tick": 5.0' in seen)
        assert gate.ask(batch([pour(2, 200_000)]), token)[0] == 200
        line = gate.program.line("dropped a pour event")
        assert "1000 L by the core's calibration" in line
        assert "taps set kb-1.flow0 --ml_per_tick" in line
        assert _malformed(gate) == 1


def test_an_odometer_beyond_32_bits_is_told_once_whatever_is_started_again(tmp_path: Path) -> None:
    with CoreProgram(tmp_path / "core.sqlite") as core:
        with gateway(tmp_path, core_port=core.port) as gate:
            token = gate.paired()
            assert gate.ask(batch([pour(1, 1000)]), token)[0] == 200
            drinks(core, 1)
        with contextlib.closing(sqlite3.connect(gate.store)) as db:
            db.execute(f"update meters set position = position + {2**32}, told = told + {2**32}")
            db.execute(
                f"update legs set begin_ticks = begin_ticks + {2**32}, end_ticks = end_ticks + {2**32}"
            )
            db.commit()
        for number in (2, 3):
            with gateway(tmp_path, core_port=core.port) as gate:
                assert gate.ask(batch([pour(number, 100 * number)]), token)[0] == 200
                drinks(core, number)
        assert [row.ticks for row in drinks(core, 3)] == [1000, 200, 300]


def test_a_pour_of_another_board_with_a_known_id_is_counted_as_another_one_and_said(tmp_path: Path) -> None:
    with bar(tmp_path) as (core, gate, token):
        other = gate.paired("kb-2")
        assert gate.ask(batch([pour(1, 500, pour_id="same")]), token)[0] == 200
        for number in (1, 2):
            told = batch([pour(number, 777, pour_id="same")], device="kb-2")
            assert gate.ask(told, other)[0] == 200
        assert "one of kb-1.flow0, same" in gate.program.line("with the id of")
        assert {(row.tap_name, row.ticks) for row in drinks(core, 2)} == {
            ("kb-1.flow0", 500), ("kb-2.flow0", 777)
        }  # fmt: skip
        assert gate.ask(batch([pour(2, 100)]), token)[0] == 200
        assert len(drinks(core, 3)) == 3


def test_what_is_poured_while_the_core_is_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    furnished(tmp_path)
    with gateway(tmp_path, core_port=1) as gate:
        token = gate.paired()
        assert gate.ask(batch([pour(1, 1000, age_s=50), pour(2, 2000, age_s=5)]), token)[0] == 200
    with CoreProgram(tmp_path / "core.sqlite") as core:
        with gateway(tmp_path, core_port=core.port):
            assert [row.ticks for row in drinks(core, 2)] == [1000, 2000]
        with gateway(tmp_path, core_port=core.port) as gate:  # and not again
            assert gate.ask(batch([pour(1, 700)], boot_id="b2"), token)[0] == 200
            assert [row.ticks for row in drinks(core, 3)] == [1000, 2000, 700]
    assert counted(core) == 3700


def test_a_core_with_another_store_is_told_of_what_comes_and_not_of_what_an_earlier_one_counted(
    tmp_path: Path,
) -> None:
    with bar(tmp_path) as (core, gate, token):
        assert gate.ask(batch([pour(1, 1000)]), token)[0] == 200
        drinks(core, 1)
        until(lambda: gate.word("devices").stdout, lambda seen: "1000 ticks, 0 of them" in seen)
    (tmp_path / "other").mkdir()
    furnished(tmp_path / "other")
    with (
        CoreProgram(tmp_path / "other" / "core.sqlite") as core,
        gateway(tmp_path, core_port=core.port) as gate,
    ):
        assert gate.ask(batch([pour(2, 600)]), token)[0] == 200
        assert [row.ticks for row in drinks(core, 1)] == [600]


def test_a_gateway_with_another_store_counts_on_where_the_core_is(tmp_path: Path) -> None:
    with bar(tmp_path) as (core, gate, token):
        assert gate.ask(batch([pour(1, 1000)]), token)[0] == 200
        drinks(core, 1)
        (tmp_path / "other").mkdir()
        with gateway(tmp_path / "other", core_port=core.port) as other:
            token = other.paired()
            assert other.ask(batch([pour(1, 300)]), token)[0] == 200
            assert [row.ticks for row in drinks(core, 2)] == [1000, 300]
            assert counted(core) == 1300


def test_temperatures_arrive_with_their_time_and_boards_are_seen_by_people(tmp_path: Path) -> None:
    with bar(tmp_path) as (core, gate, token):
        readings = [
            event(1, "temperature", {"sensor": "thermo-28", "temp_c": 4.25}, age_s=600),
            event(2, "temperature", {"sensor": "thermo 28/x", "temp_c": 5.5}),
        ]
        assert gate.ask(batch(readings), token)[0] == 200

        def seen() -> dict[str, float]:
            with contextlib.closing(Ledger(str(core.store))) as ledger:
                return {row.sensor_name: row.celsius for row in ledger.temperatures(limit=9)}

        names = until(seen, lambda rows: len(rows) == 2)
        assert names == {"kb-1.thermo-28": 4.25, "kb-1.thermo-28-x": 5.5}


def test_a_board_that_keeps_its_duties_loses_nothing_and_another_calibration_is_told(tmp_path: Path) -> None:
    with CoreProgram(tmp_path / "core.sqlite") as core, gateway(tmp_path, core_port=core.port) as gate:
        board = Board(gate.port)
        board.add("status", status(1)["data"])
        for ticks in (500, 600, 700):
            board.pour(ticks, age_s=1000 - ticks)
        assert not board.send()
        gate.word("allow", "kb-1")
        board.flush()
        assert [row.ticks for row in drinks(core, 3)] == [500, 600, 700]
        assert board.batches_lost == 0
        until(
            lambda: gate.word("devices").stdout, lambda seen: "0.185 mL per tick, in the core 0.4545" in seen
        )
        board.add("status", status(1)["data"])
        board.flush()
        assert "taps set kb-1.flow0 --ml_per_tick=0.185" in gate.program.line("mL per tick, the core")
