"""The store as a whole, to take away: all drinks and temperatures in the order of time, and a copy of the file.

Knows the tables. Must not know formats, or where anything is written but the copy. Works while the core runs, in little
memory, and never holds the core up: rows are read page by page, and a copy is of one instant.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from kegapps.core.database import StoreError, explained
from kegapps.core.rows import DrinkRow, TemperatureRow
from kegapps.core.schema import BEVERAGE

PAGE_ROWS: Final = 2000
"""More than there are sensors: a minute's temperatures always fit into one page."""
NEVER_UNIX_S: Final = 1e18
COPIED_PAGES: Final = 256
"""Between two looks at whether somebody wants it to end: 1 MiB."""


class Archive:
    """Everything in the store that `db` has open. Methods raise StoreError."""

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db = db
        self._path = path

    def drinks(
        self, *, since_unix_s: float | None = None, until_unix_s: float | None = None
    ) -> Iterator[DrinkRow]:
        """The drinks that ended in since <= time < until, the oldest first."""
        after = (
            -NEVER_UNIX_S if since_unix_s is None else math.nextafter(since_unix_s, -math.inf),
            2**63 - 1,
        )
        until = NEVER_UNIX_S if until_unix_s is None else until_unix_s
        while rows := self._page(
            "select d.id, d.uuid, d.tap_name, d.username, d.ticks, d.ml_per_tick, d.volume_ml, d.start_unix_s, "
            f"d.end_unix_s, {BEVERAGE} beverage, d.keg_id from drinks d left join kegs k on k.id = d.keg_id "
            "where (d.end_unix_s, d.id) > (?, ?) and d.end_unix_s < ? order by d.end_unix_s, d.id limit ?",
            *after,
            until,
        ):
            yield from (DrinkRow(**row) for row in rows)
            after = (rows[-1]["end_unix_s"], rows[-1]["id"])

    def temperatures(
        self, *, since_unix_s: float | None = None, until_unix_s: float | None = None
    ) -> Iterator[TemperatureRow]:
        """The temperatures of the minutes that began in since <= time < until, the oldest first."""
        first = -int(NEVER_UNIX_S) if since_unix_s is None else math.ceil(since_unix_s / 60)
        end = int(NEVER_UNIX_S) if until_unix_s is None else math.ceil(until_unix_s / 60)
        while rows := self._page(
            "select sensor_name, unix_minute, celsius from temperatures "
            "where unix_minute >= ? and unix_minute < ? order by unix_minute, sensor_name desc limit ?",
            first,
            end,
        ):
            if len(rows) == PAGE_ROWS:
                # The last minute may go on in the next page.
                cut = rows[-1]["unix_minute"]
                rows = [row for row in rows if row["unix_minute"] < cut] or rows
            first = rows[-1]["unix_minute"] + 1
            for row in rows:
                yield TemperatureRow(
                    sensor_name=row["sensor_name"], unix_s=row["unix_minute"] * 60.0, celsius=row["celsius"]
                )

    def copy_to(self, path: str, *, on_progress: Callable[[int, int], None]) -> None:
        """Write a copy of the store as it is now into the empty file `path`, and check it.

        `on_progress(pages_left, pages)` is called from time to time; what it raises ends the copying.
        """
        with explained(path), closing(sqlite3.connect(path, isolation_level=None)) as copy:
            # One reading transaction from the first page to the last: what the core writes meanwhile is not seen, and
            # the copying need not begin anew. Keeping it safe is up to whoever made the file.
            self._db.execute("begin")
            try:
                with explained(self._path):
                    self._db.execute("select count(*) from sqlite_master").fetchone()
                copy.execute("pragma synchronous = off")
                self._db.backup(
                    copy,
                    pages=COPIED_PAGES,
                    progress=lambda _, left, pages: on_progress(left, pages),
                    sleep=0,
                )
            finally:
                self._db.execute("rollback")
            copy.execute("pragma journal_mode = delete")  # so that it is one file, wherever it is carried
            (verdict,) = copy.execute("pragma integrity_check(1)").fetchone()
            if verdict != "ok":
                raise StoreError(f"store {self._path}: damaged ({verdict}); no copy was made")

    def _page(self, sql: str, *values: float) -> list[sqlite3.Row]:
        with explained(self._path):
            return self._db.execute(sql, (*values, PAGE_ROWS)).fetchall()
