"""The queue's file: what a commit holds together, what it keeps and for how long, and whose it is."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from kegapps.kegnet.drinks_record import Cursor, Record
from kegapps.publish import queue as queue_module
from kegapps.publish.held import Held, wake
from kegapps.publish.helper import COMMAND
from kegapps.publish.messages import NewMessage
from kegapps.publish.pacing import Moment
from kegapps.publish.queue import Queue
from kegapps.publish.queue_file import QueueError
from tests.apps.publish.sink import DEADLINE_S, Sink

BOTH = [("one", "first"), ("two", "second")]
AT = Moment(boot_id="b", mono_s=3.0, unix_s=9.0)


def message(number: int, username: str | None = "alice") -> NewMessage:
    return NewMessage(
        drink_key=f"u{number}", username=username, text=f"text {number}", poured_unix_s=float(number)
    )


def record(number: int) -> Record:
    return (Cursor(store_id="a", drink_id=number, uuid=f"u{number}"),)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "queue.sqlite")


def test_messages_and_the_cursor_behind_them_are_one_commit(path: str) -> None:
    with closing(Queue(path, create=True)) as queue:
        assert queue.record() == ()
        assert queue.add([message(1), message(2)], BOTH, record=record(2), unix_s=9.0) == 2
    with closing(sqlite3.connect(path)) as other, closing(Queue(path, busy_timeout_s=0.01)) as queue:
        other.execute("begin immediate")
        with pytest.raises(QueueError, match="another program holds it locked"):
            queue.add([message(3)], BOTH, record=record(3), unix_s=9.0)
        other.rollback()
        assert queue.record() == record(2)
        assert [queue.waiting(key) for key in ("one", "two", "three")] == [2, 2, 0]


def test_a_record_that_nobody_can_read_is_told_in_one_line(path: str) -> None:
    with closing(Queue(path, create=True)) as queue:
        queue.add([], BOTH, record=record(1), unix_s=9.0)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("update read_to set record = ?", ("[" * 4000,))
        with pytest.raises(QueueError, match=r"^queue .*: damaged, or no queue at all"):
            queue.record()


def test_a_drink_is_given_to_a_destination_once_whatever_is_added(path: str) -> None:
    with closing(Queue(path, create=True)) as queue:
        assert queue.add([message(1)], BOTH[:1], record=None, unix_s=9.0) == 1
        assert queue.add([message(1), message(2)], BOTH, record=None, unix_s=9.0) == 2
        assert [(each.label, each.text) for each in queue.listed(done=True)] == [
            ("first", "text 1"), ("second", "text 1"), ("first", "text 2"), ("second", "text 2"),
        ]  # fmt: skip


def test_what_is_done_is_kept_for_a_while_and_what_is_not_for_ever(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "KEEP_DONE", 3)
    with closing(Queue(path, create=True)) as queue:
        queue.add([message(number) for number in range(1, 10)], BOTH[:1], record=None, unix_s=9.0)
        queue.finish(1, "given_up", "no", unix_s=9.0)
        for number in range(2, 9):
            assert queue.begin(number, AT) is not None
            queue.finish(number, "sent", unix_s=9.0)
        assert [each.id for each in queue.listed(done=True)] == [1, 6, 7, 8, 9]
        assert queue.attempts("one") == [AT] * 7
        assert queue.begin(8, AT) is None


def test_only_its_owner_can_read_it(path: str) -> None:
    with closing(Queue(path, create=True)) as queue:
        queue.add([message(1)], BOTH, record=None, unix_s=9.0)
        held = Held(path)
        found = {name: stat.S_IMODE(Path(name).stat().st_mode) for name in os.scandir(Path(path).parent)}
        held.close()
    assert len(found) == 6
    assert set(found.values()) == {0o600}


def test_what_is_no_queue_is_left_alone(path: str) -> None:
    Path(path).write_bytes(b"this is no database, whatever it is " * 100)
    with pytest.raises(QueueError, match="damaged, or no queue at all; it is left as it is"):
        Queue(path, create=True)
    Path(path).unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table t (x)")
    before = Path(path).read_bytes()
    with pytest.raises(QueueError, match="a database of another program"):
        Queue(path, create=True)
    assert Path(path).read_bytes() == before


def test_a_queue_of_the_first_version_is_brought_up_to_date_with_what_waits(path: str) -> None:
    with closing(Queue(path, create=True)) as queue:
        queue.add([message(1)], BOTH[:1], record=record(1), unix_s=9.0)
    with closing(sqlite3.connect(path)) as db:
        db.executescript("drop table attempt; create table bucket (x); pragma user_version = 1")
    with closing(Queue(path, create=True)) as queue:
        assert (queue.waiting("one"), queue.attempts("one")) == (1, [])
        assert queue.begin(1, AT) is not None
        assert queue.attempts("one") == [AT]


def test_a_newer_queue_is_left_alone(path: str) -> None:
    Queue(path, create=True).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 99")
    with pytest.raises(QueueError, match="written by a newer kegmaster"):
        Queue(path, create=True)


def test_without_a_publisher_nobody_is_woken(path: str) -> None:
    assert not wake(path)
    held = Held(path)
    assert wake(path)
    assert os.read(held.wake, 10) == b"!"
    held.close()
    assert not wake(path)


def test_by_whatever_link_it_is_named_it_has_one_publisher(path: str, tmp_path: Path) -> None:
    link = str(tmp_path / "link")
    Path(link).symlink_to(path)
    Queue(path, create=True).close()
    held = Held(link)
    assert wake(path)
    with pytest.raises(QueueError, match=f"process {os.getpid()} sends from it"):
        Held(path)
    held.close()
    assert not list(tmp_path.glob("link.*"))


def test_what_is_in_the_place_of_the_fifo_is_left_alone(path: str) -> None:
    Path(f"{path}.wake").write_text("mine")
    with pytest.raises(QueueError, match=r"queue\.sqlite\.wake: something else is there, and not a FIFO"):
        Held(path)
    assert Path(f"{path}.wake").read_text() == "mine"


def test_a_helper_whose_publisher_is_gone_writes_down_what_it_did_and_ends_and_half_an_order_is_none(
    path: str,
) -> None:
    sink = Sink()
    try:
        with closing(Queue(path, create=True)) as queue:
            queue.add([message(1), message(2)], BOTH[:1], record=None, unix_s=9.0)
            order = {"queue": path, "url": sink.url(), "timeout_s": 20.0, "wanted_by": "test"}
            task = {"id": 1}
            helper = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert helper.stdin is not None
            assert helper.stdout is not None
            helper.stdout.close()

            def end() -> None:
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    helper.send_signal(number)

            sink.hook = end
            helper.stdin.write(
                f"{json.dumps(order)}\n{json.dumps(task)}\n{json.dumps(task | {'id': 2})}".encode()
            )
            helper.stdin.close()
            assert helper.wait(DEADLINE_S) == 0
            assert {each.text: each.state for each in queue.listed(done=True)} == {
                "text 1": "sent", "text 2": "waiting",
            }  # fmt: skip
            assert sink.taken == ["text 1"]
    finally:
        sink.close()
