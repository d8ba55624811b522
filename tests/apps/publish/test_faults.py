"""What happens to a publisher itself: killed helpers, ends in mid-delivery, full disks, files that changed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.apps.publish.conftest import Bar
from tests.apps.publish.programs import Publisher
from tests.apps.publish.sink import DEADLINE_S
from tests.apps.small_disk import mounted


def helpers(publisher: Publisher) -> list[int]:
    """The processes that send for it."""
    assert publisher.process is not None
    path = Path(f"/proc/{publisher.process.pid}/task/{publisher.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def test_told_to_end_it_waits_for_no_network_and_what_it_was_sending_is_sent_once(bar: Bar) -> None:
    go_on = threading.Event()

    def hold() -> None:
        go_on.wait(DEADLINE_S)

    bar.sink.hook = hold
    bar.start()
    bar.store.pour("a")
    bar.core.turn_until(lambda: bar.sink.requests == 1)
    assert bar.publisher.end() == 0
    bar.store.pour("b")
    bar.publisher.start()
    bar.publisher.says("waiting for what a run before is still sending", bar.core)
    go_on.set()
    bar.taken("a 300 mL", "b 300 mL")
    assert bar.sink.requests == 2


def test_what_a_killed_helper_was_sending_is_sent_again(bar: Bar) -> None:
    def kill() -> None:
        bar.sink.hook = lambda: None
        for pid in helpers(bar.publisher):
            os.kill(pid, signal.SIGKILL)

    bar.start()
    bar.sink.hook = kill
    bar.store.pour("a", "b")
    bar.taken("a 300 mL", "a 300 mL", "b 300 mL")


def test_a_network_without_an_answer_is_left_by_its_time(bar: Bar) -> None:
    bar.sink.mode = "hang"
    bar.start("--timeout_s=0.5", "--max_attempts=2")
    bar.store.pour("a", "b")
    said = bar.publisher.says("message 1 is given up", bar.core)
    assert "no answer within 0.5 s" in said or "Connection error" in said
    bar.sink.mode = "ok"
    bar.taken("b 300 mL")
    done = bar.publisher.run("queue", "retry", "1")
    assert (done.returncode, done.stdout) == (0, "done\n")
    bar.taken("b 300 mL", "a 300 mL")


def test_a_message_that_a_network_refuses_for_good_does_not_hold_up_those_behind_it(bar: Bar) -> None:
    bar.sink.refused = "b"
    bar.start("--retry_max_s=0.1")
    bar.store.pour("a", "b", "c", "d")
    bar.taken("a 300 mL", "c 300 mL", "d 300 mL")
    (row,) = bar.publisher.listed()
    assert (row["text"], row["state"]) == ("b 300 mL", "given_up")
    assert row["reason"] == "refused 6 times, and what was behind it was taken"


def test_a_network_that_refuses_everything_gets_everything_when_it_is_reconciled(bar: Bar) -> None:
    bar.sink.mode = "refuse"
    bar.start("--retry_max_s=0.1")
    bar.store.pour("a", "b", "c")
    bar.core.turn_until(lambda: bar.sink.requests >= 12)
    bar.sink.mode = "ok"
    bar.core.turn_until(lambda: len(bar.sink.taken) == 3)
    assert sorted(bar.sink.taken) == [
        "a 300 mL",
        "b 300 mL",
        "c 300 mL",
    ]  # the first two may have changed places


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KiB."""
    with mounted(tmp_path / "disk", 400) as path:
        yield path


def test_on_a_full_disk_nothing_is_lost_and_that_is_said(bar: Bar, small_disk: Path) -> None:
    bar.publisher.queue = small_disk / "queue.sqlite"
    bar.start()
    bar.store.pour("a")
    bar.taken("a 300 mL")
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    bar.store.pour(*(f"{number}{'x' * 50}" for number in range(90)))
    said = bar.publisher.says("no room left", bar.core)
    assert "the core keeps what is not announced yet" in said
    ballast.unlink()
    bar.taken("a 300 mL", *(f"{number}{'x' * 50} 300 mL" for number in range(90)))
    assert bar.publisher.end() == 0
    assert "Traceback" not in bar.publisher.output()


def test_two_publishers_do_not_share_a_queue(bar: Bar) -> None:
    bar.start()
    assert bar.publisher.process is not None
    first = bar.publisher.process
    bar.publisher.start()
    assert bar.publisher.process.wait(DEADLINE_S) == 1
    assert f"process {first.pid} sends from it; stop that, or name another file" in bar.publisher.output()
    bar.publisher.process = first


def test_a_destination_that_left_the_file_keeps_what_waits_for_it_and_gets_it_when_it_is_back(
    bar: Bar,
) -> None:
    other = bar.another_sink()
    bar.publisher.write_urls(f"first {bar.sink.url()}", f"second {other.url()}")
    other.mode = "error"
    bar.start()
    bar.store.pour("a")
    bar.taken("a 300 mL")
    bar.publisher.end()
    other.mode = "ok"
    bar.publisher.write_urls(f"first {bar.sink.url()}")
    bar.start()
    bar.publisher.says(
        "messages that wait for second (json): 1; --urls_file does not name that any more", bar.core
    )
    bar.publisher.end()
    bar.publisher.write_urls(f"second {other.url('with-a-new-password')}")
    bar.start()
    bar.taken("a 300 mL", sink=other)
