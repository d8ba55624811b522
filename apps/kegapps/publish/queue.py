"""What is to be announced, on the disk until it is: one row a message and destination, and how far the drinks are read.

Knows the tables. Must not know networks, templates or kegnet.
Its owner is one publisher; `held` keeps a second one away. The helpers that send (see `helper`) write in it, too: each
says that it begins, and what came of it, so that of a publisher that is killed no word is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kegapps.kegnet.drinks_record import Record, read_record, record_text
from kegapps.publish.messages import Message, NewMessage
from kegapps.publish.pacing import MAX_COUNT, Moment
from kegapps.publish.queue_file import DAMAGED, QueueError, connect, explained, transaction

KEEP_DONE: Final = 1000
"""So many messages of each destination that need nothing any more stay to be looked at."""

_COLUMNS: Final = ", ".join(Message.__dataclass_fields__)


class Queue:
    """The queue at `path`, made if it is not there and `create`. Every method raises QueueError."""

    def __init__(self, path: str, *, create: bool = False, busy_timeout_s: float = 1.0) -> None:
        self.path = path
        self._db = connect(path, create=create, busy_timeout_s=busy_timeout_s)

    def close(self) -> None:
        """Nothing can be asked afterwards."""
        self._db.close()

    # From the core

    def record(self) -> Record:
        """How far the core's drinks were read; empty: never."""
        with explained(self.path):
            row = self._db.execute("select record from read_to").fetchone()
        try:
            return read_record(row[0]) if row else ()
        except ValueError:
            raise QueueError(f"queue {self.path}: {DAMAGED}") from None

    def add(
        self,
        messages: Iterable[NewMessage],
        destinations: Iterable[tuple[str, str]],
        *,
        record: Record | None,
        unix_s: float,
    ) -> int:
        """Put `messages` behind what waits for each of `destinations`, (key, label); in the same commit, keep `record`.

        Returned is how many are new: what a destination was given before is not given to it again.
        """
        with transaction(self._db, self.path):
            count = 0
            for message in messages:
                added = 0
                for key, label in destinations:
                    row = (
                        key,
                        label,
                        message.drink_key,
                        message.username,
                        message.text,
                        message.poured_unix_s,
                        unix_s,
                    )
                    added += self._db.execute(
                        "insert or ignore into message"
                        " (destination, label, drink_key, username, text, poured_unix_s, changed_unix_s)"
                        " values (?, ?, ?, ?, ?, ?, ?)",
                        row,
                    ).rowcount
                count += added > 0
            if record is not None:
                self._db.execute("insert or replace into read_to values (1, ?)", (record_text(record),))
        return count

    # To the networks

    def head(self, destination: str, *, behind: int = 0) -> Message | None:
        """What is to be sent there next, or would be if that was settled up to the message number `behind`."""
        first = "where destination = ? and state = 'waiting' and id > ? order by id limit 1"
        return next(self._messages(first, destination, behind), None)

    def waiting(self, destination: str) -> int:
        """How many wait for it, the one that is being sent included."""
        with explained(self.path):
            (count,) = self._db.execute(
                "select count(*) from message where destination = ? and state in ('waiting', 'sending')",
                (destination,),
            ).fetchone()
        return int(count)

    def begin(self, message_id: int, at: Moment) -> Message | None:
        """It is being sent from now on; None if it need not be."""
        with transaction(self._db, self.path):
            found = next(self._messages("where id = ? and state = 'waiting'", message_id), None)
            if found is not None:
                self._db.execute(
                    "update message set state = 'sending', attempts = attempts + 1, changed_unix_s = ? where id = ?",
                    (at.unix_s, message_id),
                )
                self._db.execute(
                    "insert into attempt (destination, message, boot_id, mono_s, unix_s) values (?, ?, ?, ?, ?)",
                    (found.destination, message_id, at.boot_id, at.mono_s, at.unix_s),
                )
                self._db.execute(
                    "delete from attempt where destination = :destination and id <= ("
                    " select id from attempt where destination = :destination order by id desc limit 1 offset :keep)",
                    {"destination": found.destination, "keep": MAX_COUNT},
                )
        return found

    def finish(
        self, message_id: int, state: str, reason: str = "", *, unix_s: float, answered: Moment | None = None
    ) -> None:
        """What came of it: `sent`, `waiting` (again), `given_up` or `withdrawn`. `answered`: when the network did."""
        with transaction(self._db, self.path):
            if answered is not None:
                self._db.execute(
                    "update attempt set boot_id = ?, mono_s = ?, unix_s = ?"
                    " where id = (select max(id) from attempt where message = ?)",
                    (answered.boot_id, answered.mono_s, answered.unix_s, message_id),
                )
            self._db.execute(
                "update message set state = ?, reason = ?, changed_unix_s = ? where id = ?",
                (state, reason, unix_s, message_id),
            )
            self._forget_done(message_id)

    def settle_doubts(self, destination: str | None, *, again: bool, unix_s: float) -> int:
        """Decide on what was being sent by a helper that is gone, to be called when it surely is; how many it were.

        Nobody knows if the network has them. `destination` None: any.
        """
        state, reason = (
            ("waiting", "perhaps sent already") if again else ("given_up", "perhaps sent, perhaps not")
        )
        with transaction(self._db, self.path):
            return self._db.execute(
                "update message set state = ?, reason = ?, changed_unix_s = ?"
                " where state = 'sending' and destination = coalesce(?, destination)",
                (state, reason, unix_s, destination),
            ).rowcount

    def give_up_older(self, destination: str, than_unix_s: float, reason: str, *, unix_s: float) -> int:
        """Give up what waits there and was poured before `than_unix_s`; how many it were."""
        with transaction(self._db, self.path):
            return self._db.execute(
                "update message set state = 'given_up', reason = ?, changed_unix_s = ?"
                " where destination = ? and state = 'waiting' and poured_unix_s < ?",
                (reason, unix_s, destination, than_unix_s),
            ).rowcount

    def give_up_oldest(self, destination: str, keep: int, reason: str, *, unix_s: float) -> int:
        """Give up all that waits there but the newest `keep`; how many it were."""
        with transaction(self._db, self.path):
            return self._db.execute(
                "update message set state = 'given_up', reason = :reason, changed_unix_s = :unix_s"
                " where destination = :destination and state = 'waiting' and id <= ("
                " select id from message where destination = :destination and state = 'waiting'"
                " order by id desc limit 1 offset :keep)",
                {"destination": destination, "keep": keep, "reason": reason, "unix_s": unix_s},
            ).rowcount

    def attempts(self, destination: str) -> list[Moment]:
        """When something was sent there, or tried to: the newest MAX_COUNT times."""
        with explained(self.path):
            rows = self._db.execute(
                "select boot_id, mono_s, unix_s from attempt where destination = ? order by id",
                (destination,),
            ).fetchall()
        return [Moment(boot_id=row[0], mono_s=row[1], unix_s=row[2]) for row in rows]

    # For people

    def listed(self, *, done: bool) -> list[Message]:
        """What waits or was given up, oldest first; with `done` also the rest."""
        states = "" if done else "where state not in ('sent', 'withdrawn')"
        return list(self._messages(f"{states} order by id"))

    def elsewhere(self, destinations: Iterable[str]) -> list[tuple[str, int]]:
        """(label, count) of what waits for destinations that are not among `destinations`."""
        keys = list(destinations)
        with explained(self.path):
            return self._db.execute(
                "select label, count(*) from message where state in ('waiting', 'sending')"
                f" and destination not in ({', '.join('?' * len(keys))}) group by destination order by label",
                keys,
            ).fetchall()

    def retry(self, numbers: Iterable[int] | None, *, unix_s: float) -> list[int]:
        """Let messages that were given up wait again; None: all of them. Returned are those that were not given up."""
        return self._move("state = 'given_up'", "waiting", "", numbers, unix_s)

    def dismiss(self, numbers: Iterable[int] | None, *, unix_s: float) -> list[int]:
        """Never send them: they wait or were given up; None: all that were given up. Returned are the others."""
        states = "state = 'given_up'" if numbers is None else "state in ('waiting', 'given_up')"
        return self._move(states, "withdrawn", "dismissed", numbers, unix_s)

    def _move(
        self, states: str, state: str, reason: str, numbers: Iterable[int] | None, unix_s: float
    ) -> list[int]:
        change = f"update message set state = ?, reason = ?, changed_unix_s = ? where {states}"
        with transaction(self._db, self.path):
            if numbers is None:
                self._db.execute(change, (state, reason, unix_s))
                return []
            return [
                number
                for number in numbers
                if not self._db.execute(f"{change} and id = ?", (state, reason, unix_s, number)).rowcount
            ]

    # Inside

    def _messages(self, condition: str, *values: object) -> Iterator[Message]:
        with explained(self.path):
            rows = self._db.execute(f"select {_COLUMNS} from message {condition}", values).fetchall()
        return (Message(**dict(zip(Message.__dataclass_fields__, row, strict=True))) for row in rows)

    def _forget_done(self, message_id: int) -> None:
        self._db.execute(
            "delete from message where state in ('sent', 'withdrawn')"
            " and destination = (select destination from message where id = :one)"
            " and id <= (select id from message where state in ('sent', 'withdrawn')"
            " and destination = (select destination from message where id = :one) order by id desc"
            " limit 1 offset :keep)",
            {"one": message_id, "keep": KEEP_DONE},
        )
