"""What a person can choose: who is mentioned, what is given up, what is tried without being sent, what is listed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.publish.conftest import Bar
from tests.apps.publish.programs import SCRIPTS, Publisher, drink
from tests.apps.publish.sink import DEADLINE_S


def test_who_wants_no_mention_gets_none_not_even_of_what_waits_already(bar: Bar, tmp_path: Path) -> None:
    optout = tmp_path / "optout"
    optout.write_text("Bob\n", encoding="utf-8")
    bar.sink.mode = "error"
    bar.start(f"--optout_file={optout}", "--noannounce_anonymous")
    bar.store.pour("alice", "bob", None, "carol")
    bar.publisher.says("error=500; trying on", bar.core)
    optout.write_text("alice\nbob\n", encoding="utf-8")
    bar.sink.mode = "ok"
    bar.taken("carol 300 mL")
    listed = {row["username"]: row["state"] for row in bar.publisher.listed("--all")}
    assert listed == {"alice": "withdrawn", "carol": "sent"}


def test_small_drinks_are_not_announced(bar: Bar) -> None:
    bar.start("--min_volume_ml=100")
    bar.store.add(drink(1, volume_ml=99.0))
    bar.store.add(drink(2, "bob", volume_ml=100.0))
    bar.taken("bob 100 mL")


def test_what_is_too_much_is_given_up_from_the_oldest_on_and_said(bar: Bar) -> None:
    bar.sink.mode = "error"
    bar.start("--max_waiting=2")
    bar.store.pour("a", "b", "c", "d")
    bar.publisher.says("messages given up by --max_waiting: ", bar.core)
    bar.core.turn_until(
        lambda: [row["state"] for row in bar.publisher.listed()] == ["given_up"] * 2 + ["waiting"] * 2
    )
    bar.sink.mode = "ok"
    bar.taken("c 300 mL", "d 300 mL")


def test_what_is_too_old_is_given_up_and_said(bar: Bar) -> None:
    bar.start("--max_age_h=1")
    bar.store.pour("a")  # of some time ago, by its own clock
    bar.publisher.says("messages given up by --max_age_h: 1", bar.core)
    assert [row["reason"] for row in bar.publisher.listed()] == ["too old"]
    assert bar.sink.requests == 0


def test_a_rehearsal_shows_the_newest_drinks_and_what_comes_and_sends_and_keeps_nothing(bar: Bar) -> None:
    bar.store.pour(*(str(number) for number in range(9)))
    bar.publisher.start("--dry_run", "--message={user} from {tap}")
    bar.publisher.says("would be sent to json of line 1: 8 from ", bar.core)
    bar.store.pour("alice")
    said = bar.publisher.says("would be sent to json of line 1: alice from the left tap", bar.core)
    assert [f": {number} from" in said for number in range(9)] == [False] * 4 + [True] * 5
    assert bar.publisher.end() == 0
    assert (bar.sink.requests, bar.publisher.queue.exists()) == (0, False)


def test_the_queue_can_be_listed_and_mended_beside_a_publisher_that_runs(bar: Bar) -> None:
    bar.sink.mode = "error"
    bar.start("--retry_first_s=3600", "--retry_max_s=3600")
    bar.store.pour("a", "b")
    bar.publisher.says("error=500; trying on", bar.core)
    bar.core.turn_until(lambda: len(bar.publisher.listed()) == 2)
    table = bar.publisher.run("queue").stdout.splitlines()
    assert table[0].split() == ["number", "state", "tries", "poured", "destination", "message"]
    assert "waiting" in table[1]
    assert table[1].endswith(
        "json of line 1  a 300 mL  [Failed to send JSON POST notification: Internal server error., error=500]"
    )
    first = bar.publisher.listed()[0]
    assert {key: first[key] for key in ("id", "label", "username", "attempts")} == {
        "id": 1, "label": "json of line 1", "username": "a", "attempts": 1,
    }  # fmt: skip
    bar.sink.mode = "ok"
    assert bar.publisher.run("queue", "dismiss", "1").stdout == "done\n"  # and it does not wait for an hour
    bar.taken("b 300 mL")
    done = bar.publisher.run("queue", "dismiss", "1", "77")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == "publisher.py: queue dismiss: 1, 77: no such message, or it is not one to dismiss; see: queue --all\n"
    )


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["queue", "show"], 2, "show: expected: queue, queue retry NUMBER"),
        (["queue", "retry"], 2, "queue retry: expected numbers of messages, or --all"),
        (["queue", "retry", "1", "--all"], 2, "queue retry: expected numbers of messages, or --all"),
        (["queue", "dismiss", "one"], 2, "one: expected the number of a message"),
        (["kew"], 2, "unexpected word: kew"),
        (["queue"], 1, "no queue at"),
        (["--message={user"], 2, "--message has a single {"),
        (["--message_anonymous={usre}"], 2, "--message_anonymous has no meaning for {usre}, perhaps {user}?"),
        (["--rate_limit=often"], 2, "--rate_limit=often: expected COUNT/SECONDS"),
        ([], 1, "nowhere to send to: give --urls_file"),
        (["--urls_file=missing"], 1, "--urls_file: "),
        (["--optout_file=missing"], 1, "--optout_file: "),
    ],
)
def test_what_cannot_work_is_said_on_one_line(
    tmp_path: Path, words: list[str], status: int, reason: str
) -> None:
    done = Publisher(tmp_path, ("127.0.0.1", 1), "json://h").run(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("publisher.py: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_url_that_apprise_cannot_use_is_named_by_its_line_and_not_shown(bar: Bar) -> None:
    bar.publisher.write_urls("# ours", bar.sink.url(), "discord://only-s3cret")
    bar.publisher.start()
    assert bar.publisher.process is not None
    assert bar.publisher.process.wait(DEADLINE_S) == 1
    assert "line 3: Apprise cannot use this URL" in bar.publisher.output()
    assert "s3cret" not in bar.publisher.output()


def test_no_secret_of_a_url_is_in_the_log_or_in_the_list(bar: Bar) -> None:
    bar.publisher.write_urls(
        f"json://user:passw0rd@127.0.0.1:{bar.sink.port}/h00k/s3cret-path?+Auth=t0ken-t0ken"
    )
    bar.sink.mode = "error"
    bar.start("--verbose")
    bar.store.pour("a")
    bar.publisher.says("trying on", bar.core)
    bar.sink.die()
    bar.core.turn_until(lambda: bar.publisher.listed()[0]["attempts"] > 2)
    said = bar.publisher.output() + json.dumps(bar.publisher.listed())
    for secret in ("passw0rd", "s3cret", "t0ken"):
        assert secret not in said


def test_fb_publisher_says_to_the_network_what_a_page_wants_to_hear(bar: Bar) -> None:
    from kegapps.publish.networks import facebook

    url = facebook(
        "facebook", "facebook://1234567890/EAAB|a-page-token", host=f"127.0.0.1:{bar.sink.port}", form="form"
    )
    bar.publisher.write_urls(url)
    bar.start()
    bar.store.pour("alice & bob")
    bar.taken("alice & bob 300 mL")
    ((path, body),) = bar.sink.bodies
    assert path == "/1234567890/feed"
    assert sorted(body.split("&")) == ["access_token=EAAB%7Ca-page-token", "message=alice+%26+bob+300+mL"]


@pytest.mark.parametrize("script", ["fb_publisher.py", "kegbot_twitter.py"])  # publisher.py: tests/contract
def test_without_apprise_one_line_names_what_helps(tmp_path: Path, script: str) -> None:
    # A venv with this very code, its needs, and no extra: what a plain `pip install kegmaster` gives.
    (tmp_path / "apprise.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'apprise'\", name='apprise')\n"
    )
    publisher = Publisher(tmp_path, ("127.0.0.1", 1), "json://h", script=script)
    publisher.start(env={"PYTHONPATH": str(tmp_path)})
    assert publisher.process is not None
    assert publisher.process.wait(DEADLINE_S) == 1
    assert (
        publisher.output() == f"{script}: {script} needs an extra, for apprise is not installed: "
        f"{sys.executable} -m pip install 'kegmaster[publish]'\n"
    )


def test_nothing_of_apprise_is_in_the_resident_program_and_it_takes_less_than_25_mb(bar: Bar) -> None:
    bar.start()
    bar.store.pour("a")
    bar.taken("a 300 mL")
    assert bar.publisher.process is not None
    pid = bar.publisher.process.pid
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "_ssl" not in maps
    status = Path(f"/proc/{pid}/status").read_text()
    assert int(status.partition("VmRSS:")[2].split()[0]) * 1024 < 25_000_000
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, kegapps.publish.program; print('apprise' in sys.modules)"],
        capture_output=True, text=True, check=True, cwd=SCRIPTS,
    )  # fmt: skip
    assert loaded.stdout == "False\n"
