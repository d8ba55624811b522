"""The books of a fire test: what the boards counted beside what the store holds.

Knows tables and sums. Must not know processes, faults or time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field

from tests.fire.boards import Board
from tests.fire.kegerator import Kegerator
from tests.fire.server import Deliveries, compare


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One meter's ticks in the store."""

    counted: int
    in_drinks: int
    in_open_flows: int
    in_small_flows: int
    dropped: int


@dataclass(slots=True, kw_only=True)
class Books:
    """What was found at the end; without `differences` all is well."""

    accounts: dict[str, Account] = field(default_factory=dict)
    emitted: dict[str, int] = field(default_factory=dict)
    before: int = 0
    """Ticks that were counted before the fire."""
    drinks: int = 0
    deliveries: Deliveries | None = None
    differences: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """For a program."""
        return {
            "drinks": self.drinks,
            "ticks_before_the_fire": self.before,
            "ticks_emitted": sum(self.emitted.values()),
            "ticks_in_drinks": sum(account.in_drinks for account in self.accounts.values()),
            "ticks_in_small_flows": sum(account.in_small_flows for account in self.accounts.values()),
            "ticks_in_open_flows": sum(account.in_open_flows for account in self.accounts.values()),
            **({"server": asdict(self.deliveries)} if self.deliveries else {}),
            "differences": self.differences,
        }


def accounts(kegerator: Kegerator) -> dict[str, Account]:
    """The store's account of every meter."""
    poured = _sums(kegerator, "drinks")
    open_now = _sums(kegerator, "open_flows")
    return {
        row["name"]: Account(
            counted=row["counted_ticks"],
            in_drinks=poured[row["name"]],
            in_open_flows=open_now[row["name"]],
            in_small_flows=row["small_ticks"],
            dropped=row["dropped_ticks"],
        )
        for row in kegerator.rows("select * from meters")
    }


def close_books(kegerator: Kegerator, begin: dict[str, Account], emitted: dict[str, int]) -> Books:
    """Balance the store against `emitted`, ticks by meter since the accounts were as in `begin`, and the server too."""
    before = sum(account.counted for account in begin.values())
    books = Books(accounts=accounts(kegerator), emitted=emitted, before=before)
    uuids = Counter(row["uuid"] for row in kegerator.rows("select uuid from drinks"))
    books.drinks = sum(uuids.values())
    books.differences += [f"drink {uuid}: {times} times" for uuid, times in uuids.items() if times > 1]
    for name, ticks in emitted.items():
        account = books.accounts.get(name)
        if account is None:
            books.differences.append(f"{name}: the store does not know this meter")
            continue
        counted = account.counted - begin[name].counted
        if counted != ticks:
            books.differences.append(f"{name}: the board counted {ticks} ticks, the store {counted}")
        parts = account.in_drinks + account.in_open_flows + account.in_small_flows
        if parts != account.counted:
            books.differences.append(
                f"{name}: {account.counted} ticks counted, but {parts} in drinks, open and small flows"
            )
        if dropped := account.dropped - begin[name].dropped:
            books.differences.append(f"{name}: {dropped} ticks were not believed")
    if kegerator.server is not None:
        books.deliveries = compare(kegerator.server, kegerator.rows, kegerator.core_log())
        books.differences += books.deliveries.differences
    return books


def emitted_by(boards: list[Board]) -> dict[str, int]:
    """Ticks by meter, named as the core names them."""
    return {f"{board.name}.{meter}": ticks for board in boards for meter, ticks in board.emitted().items()}


def _sums(kegerator: Kegerator, table: str) -> Counter[str]:
    rows = kegerator.rows(f"select tap_name, sum(ticks) ticks from {table} group by tap_name")
    return Counter({row["tap_name"]: row["ticks"] for row in rows})
