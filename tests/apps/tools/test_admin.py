"""kegbot_admin as people run it: lists and edits beside a running core, and the live view."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.core.store import Store
from tests.apps.core.bar import ALICE_RFID, added, reading, removed, request, temperature
from tests.apps.core.programs import SCRIPTS, App, CoreProgram

ADMIN = [sys.executable, str(SCRIPTS / "kegbot_admin.py")]
DEADLINE_S = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "kegbot.sqlite"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ADMIN, *words], capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def told(store: Path, *words: str) -> str:
    """What it prints when all is well."""
    done = run(f"--store={store}", *words)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def rows(store: Path, *words: str) -> list[dict[str, object]]:
    answer: list[dict[str, object]] = json.loads(told(store, *words, "--json"))
    return answer


def test_a_missing_store_is_one_line_with_the_cure(store: Path) -> None:
    done = run(f"--store={store}", "drinks")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"kegbot_admin.py: no store at {store}: start kegbot_core once, or name another file with --store\n"
    )
    assert not store.exists()


def test_edits_take_effect_in_the_running_core(store: Path) -> None:
    with CoreProgram(store) as core:
        app = App(core.port)
        app.send(reading(0), temperature(4.25))
        core.wait_for("New temperature sensor")
        assert "tap kegboard.flow0 changed" in told(
            store,
            "taps",
            "set",
            "kegboard.flow0",
            "--ml_per_tick=0.5",
            "--relay=kegboard.relay0",
            "--description=left",
        )
        assert "user alice added" in told(store, "users", "add", "alice")
        assert "core.rfid token 0415AB96C3 is alice's" in told(
            store, "tokens", "add", "core.rfid", "0415AB96C3", "alice"
        )
        assert "Altbier is on kegboard.flow0" in told(
            store, "kegs", "tap", "kegboard.flow0", "--beverage=Altbier"
        )
        app.send(added(ALICE_RFID), removed(ALICE_RFID), reading(1000), request("stop_flow"))
        app.listen_until(lambda: "drink alice" in app.lines())
        assert "relay0 enabled" in app.lines()
        (drink,) = rows(store, "drinks", "--limit=5", "--user=alice", "--since=1h")
        assert (drink["volume_ml"], drink["beverage"], drink["username"]) == (500.0, "Altbier", "alice")
        assert rows(store, "drinks", "--user=bob") == []
        assert rows(store, "temperatures")[0]["celsius"] == 4.25
        assert rows(store, "kegs")[0]["served_ml"] == 500.0
        assert rows(store, "taps")[0]["counted_ticks"] == 1000
        assert "alice may pour no more" in told(store, "users", "disable", "alice")
        app.send(added(ALICE_RFID), removed(ALICE_RFID), request("start_flow"))
        app.listen_until(lambda: app.lines()[-1] == "FU initial None 0")
        for noun in ("taps", "drinks", "users", "tokens", "kegs", "temperatures"):
            assert len(told(store, noun).splitlines()) >= 2
        assert told(store, "tokens", "remove", "core.rfid", "0415ab96c3").startswith("core.rfid token")
        assert told(store, "tokens", "list") == "no tokens\n"


def test_an_edit_reaches_a_running_core_at_once_and_its_valves(store: Path) -> None:
    with CoreProgram(store) as core:
        app, here = App(core.port), f"--kb_core_addr=localhost:{core.port}"
        app.send(reading(0))
        core.wait_for("New tap: kegboard.flow0")
        told(store, "taps", "set", "kegboard.flow0", "--relay=kegboard.relay0", here)
        told(store, "users", "add", "alice", here)
        told(store, "tokens", "add", *ALICE_RFID, "alice", here)
        app.send(added(ALICE_RFID))
        app.listen_until(lambda: "relay0 enabled" in app.lines())
        told(store, "taps", "set", "kegboard.flow0", "--relay=kegboard.relay1", here)
        app.listen_until(lambda: "relay1 enabled" in app.lines())
        assert "relay0 disabled" in app.lines()
        told(store, "users", "disable", "alice", here)
        app.listen_until(lambda: "relay1 disabled" in app.lines())


def test_the_store_can_be_edited_while_the_core_does_not_run(store: Path) -> None:
    with CoreProgram(store) as core:
        assert core.end() == 0
    told(store, "taps", "add", "kegboard.flow1", "--ml_per_tick=0.2")
    assert json.loads(told(store, "users", "add", "bob", "--json"))["done"].startswith("user bob added")
    with CoreProgram(store) as core:
        assert "Registering tap kegboard.flow1: 0.2 mL per tick" in core.output


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (
            (),
            2,
            "nothing to do: expected taps, drinks, users, tokens, kegs, temperatures, outbox, export, backup or watch",
        ),
        (("beers",), 2, "beers: expected taps, drinks"),
        (("drinks", "add"), 2, "drinks add: expected list"),
        (("users", "add"), 2, "users add: expected NAME"),
        (("tokens", "add", "core.rfid", "00"), 2, "tokens add: expected DEVICE TOKEN NAME"),
        (
            ("taps", "set", "kegboard.flow0"),
            2,
            "taps set: give --ml_per_tick, --relay, --sensor or --description",
        ),
        (("drinks", "--since=yesterday"), 2, "--since='yesterday' is no time: expected 90m"),
        (("outbox", "retry"), 2, "outbox retry: expected numbers of drinks, or --all"),
        (("outbox", "retry", "-1"), 2, "-1: no such flag; if it is none, write -- before it"),
        (("watch", "--timeout_s=nan"), 2, "flag --timeout_s: expected a number, found 'nan'"),
        (("outbox", "retry", "x"), 2, "x: expected the number of a drink"),
        (("outbox", "edit", "1"), 2, "outbox edit: give --username or --tap"),
        (("outbox", "edit"), 2, "outbox edit: expected DRINK"),
        (("outbox", "add"), 2, "outbox add: expected numbers of drinks, or --since"),
        (("outbox", "add", "1"), 1, "start it with --api_url first"),
        (("outbox", "done", "1"), 1, "--reason=TEXT"),
        (("outbox", "done", "1", "--reason=so"), 1, "drink 1 is not in the outbox"),
        (("outbox", "drop", "1"), 2, "outbox drop: expected list, retry, edit, done, add, export"),
        (("watch", "this"), 2, "watch this: unexpected word"),
        (("users", "disable", "nobody"), 1, "no user nobody; first: users add nobody"),
        (
            ("taps", "set", "x.flow9", "--relay="),
            1,
            "no tap x.flow9; there are: none yet; make it with: taps add x.flow9",
        ),
        (("taps", "add", "x.flow9", "--ml_per_tick=0"), 1, "0 mL per tick is no calibration"),
    ],
)
def test_a_mistake_is_one_line_with_what_would_be_right(
    words: tuple[str, ...], status: int, reason: str, furnished: Path
) -> None:
    done = run(f"--store={furnished}", *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "kegbot.sqlite"
    Store(str(path), boot_id="").close()
    return path


def test_the_help_tells_every_verb_and_exits_0() -> None:
    done = run("--helpshort")
    assert done.returncode == 0
    for word in (
        "taps",
        "drinks",
        "users",
        "tokens",
        "kegs",
        "temperatures",
        "watch",
        "--[no]json",
        "--[no]until_drink",
    ):
        assert word in done.stdout
    assert "--daemon" not in done.stdout


# Watching


@contextlib.contextmanager
def _closed_port() -> Iterator[int]:
    """A port on which nobody listens, and that nobody else is given meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


class Watcher:
    """`kegbot_admin watch` with its two outputs."""

    def __init__(self, port: int, *flags: str) -> None:
        self.process = subprocess.Popen(
            [*ADMIN, f"--kb_core_addr=localhost:{port}", *flags, "watch"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def wait_until_it_watches(self) -> None:
        assert self.process.stderr is not None
        assert select.select([self.process.stderr], [], [], DEADLINE_S)[0]
        assert b"watching localhost:" in os.read(self.process.stderr.fileno(), 4096)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out.decode(), err.decode()


def test_until_drink_ends_with_0_after_the_drink_with_one_line_an_event(store: Path) -> None:
    with CoreProgram(store) as core:
        app, watcher = App(core.port), Watcher(core.port, "--until_drink", f"--timeout_s={DEADLINE_S}")
        watcher.wait_until_it_watches()
        app.send(reading(0), reading(500), reading(1000), request("stop_flow"))
        status, out, _ = watcher.end()
        assert status == 0
        assert [line.partition(" ")[2] for line in out.splitlines()] == [
            "kegboard.flow0 begins: 0.0 mL (0 ticks) by (guest)",
            "kegboard.flow0 pouring: 227.3 mL (500 ticks) by (guest)",
            "kegboard.flow0 pouring: 454.5 mL (1000 ticks) by (guest)",
            "kegboard.flow0 ended: 454.5 mL (1000 ticks) by (guest)",
            "drink 1: 454.5 mL from kegboard.flow0 for guest",
        ]


def test_json_is_one_object_a_line(store: Path) -> None:
    with CoreProgram(store) as core:
        app, watcher = App(core.port), Watcher(core.port, "--until_drink", "--json")
        watcher.wait_until_it_watches()
        app.send(reading(0), reading(1000), request("stop_flow"))
        status, out, _ = watcher.end()
        assert status == 0
        events = [json.loads(line) for line in out.splitlines()]
        assert [event["event"] for event in events] == ["FlowUpdate"] * 3 + ["DrinkCreatedEvent"]


def test_no_drink_in_time_is_a_failure_with_the_reason() -> None:
    with _closed_port() as port:
        status, out, err = Watcher(port, "--until_drink", "--timeout_s=0.3").end()
    assert (status, out) == (1, "")
    assert err.splitlines()[0] == f"no core at localhost:{port}: Connection refused; waiting for it"
    assert "no drink within 0.3 s (no core at localhost:" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ((), "its first message shows no token (--kegnet_token_file)"),
        (("--kegnet_token_file=wrong",), "it showed another token than the one in --kegnet_token_file"),
    ],
)
def test_a_core_that_refuses_the_watcher_is_quoted_and_ends_it(
    flags: tuple[str, ...], reason: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    for name, content in (("right", "0123456789abcdef"), ("wrong", "fedcba9876543210")):
        Path(name).write_text(content)
        Path(name).chmod(0o600)
    with CoreProgram(store, "--kegnet_token_file=right") as core:
        status, out, err = Watcher(core.port, *flags).end()
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == f"kegbot_admin.py: the core at localhost:{core.port} refused us: {reason}"


VERBS = [
    "taps", "drinks", "users", "tokens", "kegs", "temperatures", "outbox", "export drinks", "--json drinks",
]  # fmt: skip


@pytest.mark.parametrize(
    ("redirection", "reason"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")]
)
def test_output_that_goes_nowhere_is_a_failure(redirection: str, reason: str, furnished: Path) -> None:
    for verb in VERBS if redirection == ">/dev/full" else VERBS[1:2]:
        command = f'exec "$@" {redirection}'
        done = subprocess.run(
            ["sh", "-c", command, "sh", *ADMIN, f"--store={furnished}", *verb.split()],
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, f"kegbot_admin.py: standard output: {reason}\n"), verb


def test_a_file_name_that_is_no_utf_8_is_written_out(furnished: Path) -> None:
    folder = os.fsencode(furnished.parent)
    done = subprocess.run(
        [*ADMIN, f"--store={furnished}", "--json", "backup", folder + b"/\xff.sqlite"],
        capture_output=True, text=True, timeout=DEADLINE_S, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["done"].endswith("\\xff.sqlite, and the copy checked")
    assert os.path.exists(folder + b"/\xff.sqlite")


def test_watching_for_a_while_only_is_no_failure(store: Path) -> None:
    with CoreProgram(store) as core:
        assert Watcher(core.port, "--timeout_s=0.3").end()[:2] == (0, "")


def test_on_a_terminal_a_pour_is_one_line_that_runs(store: Path) -> None:
    leader, follower = pty.openpty()
    with CoreProgram(store) as core:
        app = App(core.port)
        watcher = subprocess.Popen(
            [*ADMIN, f"--kb_core_addr=localhost:{core.port}", "--until_drink", "watch"],
            stdin=subprocess.DEVNULL, stdout=follower, stderr=follower, env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        os.close(follower)
        screen = _Reader(leader)
        screen.wait_for("watching localhost:")
        app.send(reading(0))
        for ticks in (100, 200, 1000):
            app.send(reading(ticks))
            screen.wait_for(f"({ticks} ticks)")
        app.send(request("stop_flow"))
        assert watcher.wait(DEADLINE_S) == 0
        screen.wait_for("drink 1: 454.5 mL")
        assert screen.text.count("\x1b[1F\x1b[J") >= 4
    os.close(leader)


class _Reader:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.text = ""

    def wait_for(self, words: str) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while words not in self.text:
            assert select.select([self.fd], [], [], max(0.0, end_s - time.monotonic()))[0], self.text
            self.text += os.read(self.fd, 4096).decode()


def test_a_core_that_comes_later_is_waited_for(store: Path) -> None:
    with CoreProgram(store) as core:
        port = core.port
        assert core.end() == 0
    watcher = Watcher(port, "--until_drink")
    assert watcher.process.stderr is not None
    assert b"no core at localhost:" in watcher.process.stderr.readline()
    with CoreProgram(store, address=f"localhost:{port}") as core:
        watcher.wait_until_it_watches()
        app = App(core.port)
        app.send(reading(0), reading(1000), request("stop_flow"))
        status, out, _ = watcher.end()
    assert status == 0
    assert "drink 1" in out


def test_a_reader_that_goes_away_does_no_harm(store: Path) -> None:
    with CoreProgram(store) as core:
        app, watcher = App(core.port), Watcher(core.port)
        watcher.wait_until_it_watches()
        assert watcher.process.stdout is not None
        watcher.process.stdout.close()
        stop = threading.Event()

        def pour() -> None:
            ticks = 0
            while not stop.wait(0.02):
                ticks += 10
                app.send(reading(ticks))

        pouring = threading.Thread(target=pour)
        pouring.start()
        watcher.process.wait(DEADLINE_S)
        stop.set()
        pouring.join()
        assert watcher.process.stderr is not None
        assert b"Traceback" not in watcher.process.stderr.read()
        watcher.process.stderr.close()
