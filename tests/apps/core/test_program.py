"""kegbot_core as a process: its start, its log, its end, and the recorded session through the real hub."""

from __future__ import annotations

import os
import select
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kegapps.core.ledger import Ledger
from kegapps.core.rows import DrinkRow
from kegapps.kegnet.events import DrinkCreatedEvent, FlowUpdate
from tests.apps.core.bar import ALICE, ALICE_RFID, added, reading, removed, request, temperature
from tests.apps.core.programs import SCRIPTS, App, CoreProgram, furnish


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "kegbot.sqlite"


def drinks(store: Path) -> list[DrinkRow]:
    ledger = Ledger(str(store))
    try:
        return ledger.drinks(limit=1000)
    finally:
        ledger.close()


def test_the_recorded_session_through_the_real_hub(store: Path) -> None:
    furnish(store)
    with CoreProgram(store) as core:
        app, listener = App(core.port), App(core.port)
        app.send(added(ALICE), removed(ALICE), added(ALICE), reading(0), reading(250), reading(500))
        listener.listen_until(lambda: "FU active alice 500" in listener.lines())
        app.send(reading(750))
        app.send(reading(1000))
        listener.listen_until(lambda: "FU active alice 1000" in listener.lines())
        app.send(removed(ALICE))
        listener.listen_until(lambda: "drink alice" in listener.lines())
        app.listen_until(lambda: "drink alice" in app.lines())
        assert listener.lines() == app.lines() == [
            "FU initial alice 0", "relay0 enabled", "relay0 disabled", "FU completed alice 0",
            "FU initial alice 0", "relay0 enabled", "FU active alice 250", "FU active alice 500",
            "FU active alice 750", "FU active alice 1000", "relay0 disabled", "FU completed alice 1000",
            "drink alice",
        ]  # fmt: skip
        assert listener.heard == app.heard
        drink = app.heard[-1]
        assert isinstance(drink, DrinkCreatedEvent)
        assert (drink.drink_id, drink.start_time) == (1, drink.end_time)
        (row,) = drinks(store)
        assert (row.username, row.ticks, f"{row.volume_ml:.1f}") == ("alice", 1000, "454.5")
        first = app.heard[0]
        assert isinstance(first, FlowUpdate)
        assert abs(first.flow_id - time.time()) < 60


def test_an_unfurnished_core_makes_a_drink_of_454_and_a_half_ml_of_1000_ticks(store: Path) -> None:
    with CoreProgram(store) as core:
        app = App(core.port)
        app.send(
            request("start_flow"), *(reading(ticks) for ticks in range(0, 1001, 100)), request("stop_flow")
        )
        app.listen_until(lambda: "drink guest" in app.lines())
        (row,) = drinks(store)
        assert (row.username, row.ticks, f"{row.volume_ml:.1f} mL") == (None, 1000, "454.5 mL")


def test_the_log_tells_the_start_in_the_familiar_order(store: Path) -> None:
    furnish(store)
    with CoreProgram(store, "--api_url=http://localhost/api", "--api_key=secret") as core:
        app = App(core.port)
        app.send(temperature(4.25))
        core.wait_for("New temperature sensor")
        assert core.end() == 0
        words = [
            "--api_key can be read by every user", "Store is", "Kegbot Server is http://localhost/api/", "Taps found: 2",
            "Registering tap kegboard.flow0: 0.4545 mL per tick, relay kegboard.relay0", "Registering tap kegboard.flow1",
            "Listening for apps on localhost:", "All threads started.", "ready: listening on localhost:",
        ]  # fmt: skip
        places = [core.output.index(word) for word in words]
        assert places == sorted(places)
        assert "secret" not in core.output
        for text in core.output.splitlines():
            assert text[:4].isdigit(), text
            assert ",".join(text.split(",")[:1])[4] == "-", text


def test_sigterm_ends_it_within_a_second_and_closes_the_valves(store: Path) -> None:
    furnish(store)
    with CoreProgram(store) as core:
        app = App(core.port)
        app.send(added(ALICE), reading(0), reading(300))
        app.listen_until(lambda: "FU active alice 300" in app.lines())
        began_s = time.monotonic()
        assert core.end(signal.SIGTERM) == 0
        assert time.monotonic() - began_s < 1.0
        app.listen_until(lambda: "relay0 disabled" in app.lines())
        assert app.lines()[-1] == "relay0 disabled"
    with CoreProgram(store) as core:
        core.wait_for("goes on: 300 ticks so far, of alice")
        app = App(core.port)
        app.send(reading(400), removed(ALICE))
        app.listen_until(lambda: "drink alice" in app.lines())
        assert [row.ticks for row in drinks(store)] == [400]


def test_everything_it_makes_is_private(store: Path) -> None:
    with CoreProgram(store):
        for name in os.listdir(store.parent):
            assert stat.S_IMODE(os.stat(store.parent / name).st_mode) == 0o600, name


def run(*flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "kegbot_core.py"), *flags],
        cwd=cwd, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_a_port_that_is_taken_is_named_with_the_cure(store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(
            f"--store={store}", f"--kb_core_bind_addr=localhost:{port}", "--nolog_to_stdout", cwd=store.parent
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"kegbot_core.py: cannot listen on localhost:{port}: Address already in use; perhaps another kegbot_core runs: "
        "stop it, or choose another --kb_core_bind_addr"
    ]
    assert list(store.parent.iterdir()) == []  # nothing was made that nobody will use


@pytest.mark.parametrize(
    ("flag", "status", "words"),
    [
        ("--kb_core_bind_addr=0.0.0.0:0", 2, "other machines could reach that"),
        ("--kb_core_bind_addr=beer", 2, "--kb_core_bind_addr='beer' is no address"),
        ("--idle_timeout_s=soon", 2, "idle_timeout_s"),
        ("--max_step_ml=nan", 2, "flag --max_step_ml: expected a number, found 'nan'"),
        ("--min_drink_ml=-1", 2, "min_drink_ml"),
        ("--temperature_min_c=90", 2, "--temperature_min_c is above --temperature_max_c"),
        ("--guest_username=", 2, "--guest_username: expected 1 to 64 printable characters"),
        ("--store=/dev/null", 1, "store /dev/null: not a file; name a file with --store"),
        ("surplus", 2, "unexpected word: surplus"),
    ],
)
def test_a_start_that_cannot_be_says_so_in_one_line(
    flag: str, status: int, words: str, tmp_path: Path
) -> None:
    done = run("--store=x.sqlite", "--kb_core_bind_addr=0", "--nolog_to_stdout", flag, cwd=tmp_path)
    assert done.returncode == status
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_damaged_store_is_named_and_left_as_it_is(store: Path) -> None:
    store.write_bytes(b"beer " * 5000)
    done = run(f"--store={store}", "--kb_core_bind_addr=0", "--nolog_to_stdout", cwd=store.parent)
    assert done.returncode == 1
    assert f"store {store}: damaged, or no store at all; it is left as it is: restore a backup" in done.stderr
    assert store.read_bytes() == b"beer " * 5000


def test_a_relative_store_is_where_the_person_stood(tmp_path: Path) -> None:
    pidfile = tmp_path / "core.pid"
    done = run(
        "--store=here/kegbot.sqlite", "--kb_core_bind_addr=0", "--daemon", f"--pidfile={pidfile}", "--log_to_file",
        "--logfile=core.log", "--nolog_to_stdout", cwd=tmp_path,
    )  # fmt: skip
    try:
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "here" / "kegbot.sqlite").exists()
        assert "All threads started." in (tmp_path / "core.log").read_text()
    finally:
        pid = int(pidfile.read_text())
        pidfd = os.pidfd_open(pid)
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        _wait_for_end(pidfd)


def _wait_for_end(pidfd: int) -> None:
    assert select.select([pidfd], [], [], 20.0)[0]
    os.close(pidfd)


def test_the_help_names_every_number_of_the_rules(tmp_path: Path) -> None:
    done = run("--helpshort", cwd=tmp_path)
    assert done.returncode == 0
    for flag in (
        "idle_timeout_s", "rfid_idle_timeout_s", "onewire_idle_timeout_s", "max_step_ml", "min_drink_ml",
        "relay_repeat_s", "temperature_min_c", "temperature_max_c", "default_ml_per_tick", "guest_username",
        "store", "api_url", "api_key", "api_key_file", "api_events", "token_cache_s", "kb_core_bind_addr", "noncaptive_devices", "max_taps",
    ):  # fmt: skip
        assert f"--{flag}=" in done.stdout, flag


def test_a_store_held_locked_by_another_program_is_said_waited_for_and_loses_nothing(store: Path) -> None:
    with CoreProgram(store, "--idle_timeout_s=0.5") as core:
        app = App(core.port)
        app.send(reading(0), reading(100))
        app.listen_until(lambda: "FU active None 100" in app.lines())
        other = sqlite3.connect(store, isolation_level=None)
        other.execute("begin immediate")
        app.send(reading(400))
        core.wait_for("status: nothing can be stored: store")
        assert "another program holds it locked" in core.output
        assert "FU active None 400" not in app.lines()
        App(core.port).close()  # it accepts clients all the time
        other.execute("rollback")
        other.close()
        app.listen_until(lambda: "drink guest" in app.lines())
        core.wait_for("storing again")
        core.wait_for("status: listening on localhost:")
    assert [row.ticks for row in drinks(store)] == [400]


def test_a_contactless_flow_ends_by_idleness_in_the_recorded_order(store: Path) -> None:
    furnish(store)
    with CoreProgram(store, "--rfid_idle_timeout_s=1.2", "--relay_repeat_s=0.5") as core:
        app = App(core.port)
        app.send(added(ALICE_RFID), removed(ALICE_RFID), reading(0), reading(500))
        app.listen_until(lambda: "drink alice" in app.lines())
        assert app.lines()[:3] == ["FU initial alice 0", "relay0 enabled", "FU active alice 500"]
        assert app.lines()[3:5] == ["relay0 enabled"] * 2
        assert app.lines()[-4:] == [
            "FU idle alice 500",
            "relay0 disabled",
            "FU completed alice 500",
            "drink alice",
        ]
