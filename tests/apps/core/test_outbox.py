"""The real kegbot_core and a Kegbot Server with every kind of trouble: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apps.core.bar import added, reading, removed, request, temperature
from tests.apps.core.customer import admin, core_for, disturb, drinks, outbox, pour, until
from tests.apps.core.programs import App, CoreProgram, furnish
from tests.apps.server.emulators import Emulator, Fault, Recorded, Site, Tap, Token
from tests.apps.server.emulators.form_api import FormApi

DANA = ("core.onewire", "00000000000000d1")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "kegbot.sqlite"
    furnish(path)
    return path


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def test_a_drink_is_delivered_once_with_its_own_time(store: Path, server: Emulator) -> None:
    server.site.skew_s = 3600.0  # the clocks need not agree
    with core_for(store, server) as core:
        app = App(core.port)
        app.send(added(("core.onewire", "0000000000000001")))
        pour(app)
        until(lambda: drinks(server), core)
        core.wait_for("Drink 1 is on the Kegbot Server as 1")
        assert core.end() == 0
    (drink,) = drinks(server)
    (row,) = admin(store, "drinks")
    assert (drink.ticks, drink.username, drink.meter_name) == (1000, "alice", "kegboard.flow0")
    assert abs(drink.time_unix_s - 3600.0 - time.time()) < 10.0
    assert "volume_ml" not in drink.form
    assert outbox(store) == []
    (done,) = outbox(store, "--all")
    assert (done["drink_id"], done["state"], done["server_drink_id"]) == (row["id"], "delivered", "1")


@pytest.mark.parametrize(
    "fault", [Fault.FAIL_500, Fault.LOST_500, Fault.PROXY_502, Fault.LOST_504, Fault.CUT, Fault.LOST, Fault.CLOSE_UNREAD]
)  # fmt: skip
def test_after_a_failure_a_drink_is_delivered_once(fault: Fault, store: Path, server: Emulator) -> None:
    with core_for(store, server) as core:
        disturb(server, core, fault)
        pour(App(core.port))
        core.wait_for("is on the Kegbot Server as 1")
    assert [drink.ticks for drink in drinks(server)] == [1000]
    assert server.memory.faults[fault.value] == 1


def test_a_server_that_says_odd_things_beside_what_is_needed_gets_each_drink_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap_of, drink_of = FormApi._tap, FormApi._drink

    def odd_tap(api: FormApi, tap: Tap) -> dict[str, Any]:
        odd = {
            1: {},
            2: {"name": "Hell\u00a0Lager\n", "ml_per_tick": "0,45"},
            3: {"name": "Pride \U0001f3f3\u200d IPA"},
        }
        return tap_of(api, tap) | odd[tap.id]

    def odd_drink(api: FormApi, drink: Recorded, *, full: bool = False) -> dict[str, Any]:
        odd = {"user_id": 5, "ticks": float(drink.ticks), "volume_ml": "?", "time": "garbage", "keg_id": {}}
        return drink_of(api, drink, full=full) | odd

    monkeypatch.setattr(FormApi, "_tap", odd_tap)
    monkeypatch.setattr(FormApi, "_drink", odd_drink)
    taps = [
        Tap(id=n, name="", meter_name=meter)
        for n, meter in ((1, "kegboard.flow0"), (2, "b.flow0"), (3, None))
    ]
    with Emulator(site=Site(taps=taps)) as server, core_for(store, server) as core:
        app = App(core.port)
        pour(app)
        core.wait_for("Drink 1 is on the Kegbot Server as 1")
        disturb(server, core, Fault.LOST_500)
        pour(app)
        core.wait_for("Drink 2 is on the Kegbot Server as 2 (it was there already")
        assert [drink.ticks for drink in drinks(server)] == [1000, 1000]
        (said,) = [line for line in core.output.splitlines() if "is not used" in line]
        assert "Tap 'Hell Lager' of the Kegbot Server, meter 'b.flow0'" in said
        assert "mend it on the server" in said


def test_a_server_that_is_away_gets_all_drinks_when_it_is_back_with_their_times(
    store: Path, tmp_path: Path
) -> None:
    with Emulator(state=tmp_path / "state") as gone:
        pass
    with core_for(store, gone) as core:
        core.wait_for("drinks wait in the outbox")
        app = App(core.port)
        for ticks in (100, 200, 300):
            pour(app, ticks)
        rows = outbox(store)
        assert [(row["ticks"], row["state"], row["attempts"]) for row in rows] == [
            (100, "waiting", 0), (200, "waiting", 0), (300, "waiting", 0)
        ]  # fmt: skip
        with Emulator(port=gone.port, state=tmp_path / "state") as server:
            core.wait_for("is back, after")
            core.wait_for("Drink 3 is on the Kegbot Server as 3")
            assert [drink.ticks for drink in drinks(server)] == [100, 200, 300]
        assert core.output.count("drinks wait in the outbox") == 1
        assert core.end() == 0


def test_killed_while_the_server_hangs_the_next_core_looks_and_posts_once(
    store: Path, server: Emulator
) -> None:
    core = core_for(store, server)
    with core:
        disturb(server, core, Fault.HANG)
        pour(App(core.port))
        until(lambda: server.memory.faults["hang"] == 1, core)
        core.end(signal.SIGKILL)
    assert [row["state"] for row in outbox(store)] == ["looking"]
    with core_for(store, server) as core:
        core.wait_for("is on the Kegbot Server as 1")
    assert [drink.ticks for drink in drinks(server)] == [1000]


def test_killed_after_the_server_took_it_the_next_core_finds_it_there(store: Path, server: Emulator) -> None:
    core = core_for(store, server)
    with core:
        disturb(server, core, Fault.LOST)
        pour(App(core.port))
        until(lambda: drinks(server), core)
        core.end(signal.SIGKILL)
    with core_for(store, server) as core:
        core.wait_for("is on the Kegbot Server as 1 (it was there already: the answer had been lost)")
    assert len(drinks(server)) == 1


def test_it_ends_at_once_while_the_server_hangs(store: Path, server: Emulator) -> None:
    with core_for(store, server) as core:
        disturb(server, core, Fault.HANG)
        pour(App(core.port))
        until(lambda: server.memory.faults["hang"] == 1, core)
        begin_s = time.monotonic()
        assert core.end() == 0
        assert time.monotonic() - begin_s < 5.0


def test_a_wrong_key_is_said_once_and_when_it_is_right_all_goes_on_by_itself(
    store: Path, server: Emulator
) -> None:
    with core_for(store, server, key="e" * 32) as core:
        app = App(core.port)
        pour(app)
        core.wait_for("drinks wait in the outbox")
        pour(app)
        assert drinks(server) == []
        assert "e" * 32 not in core.output
        server.site.keys.add("e" * 32)
        until(lambda: _pours_until(app, server, 2), core)
    assert core.output.count("drinks wait in the outbox") == 1


def test_a_person_who_retries_does_not_wait_for_the_next_probe_of_a_server_in_trouble(
    store: Path, server: Emulator
) -> None:
    with core_for(store, server, key="e" * 32) as core:
        pour(App(core.port))
        core.wait_for("drinks wait in the outbox")
        server.site.keys.add("e" * 32)
        admin(store, "outbox", "retry", "--all", f"--kb_core_addr=localhost:{core.port}")
        until(lambda: drinks(server), core)  # the next probe would come in 45 s at the earliest


def _pours_until(app: App, server: Emulator, count: int) -> bool:
    """A new drink is worth another try, but not more often than every 5 s."""
    if len(drinks(server)) >= count:
        return True
    time.sleep(1.0)
    pour(app, 50)
    return False


def test_a_drink_without_a_keg_is_held_and_delivered_with_its_time_when_one_is_on(
    store: Path, server: Emulator
) -> None:
    server.site.taps[0].keg_id = None
    with core_for(store, server) as core:
        app = App(core.port)
        hour_s = 3600.0  # a board that could not reach its core for so long
        app.send(reading(0, age_s=hour_s + 5), reading(1000, age_s=hour_s), request("stop_flow"))
        core.wait_for("Drink 1 is held: ")
        app.send(reading(0, tap="kegboard.flow1"), reading(500, tap="kegboard.flow1"))
        app.send(request("stop_flow", tap="kegboard.flow1"))
        core.wait_for("Drink 2 is on the Kegbot Server as 1")  # the one held does not hold up others
        (row,) = outbox(store)
        assert (row["state"], row["attempts"]) == ("held", 1)
        assert "No active keg at this tap" in row["reason"]
        server.site.taps[0].keg_id = 5
        admin(store, "outbox", "retry", "1", f"--kb_core_addr=localhost:{core.port}")
        core.wait_for("Drink 1 is on the Kegbot Server as 2")
    assert [drink.ticks for drink in drinks(server)] == [500, 1000]
    assert abs(time.time() - hour_s - drinks(server)[1].time_unix_s) < 30.0


def test_a_user_the_server_does_not_know_costs_the_user_and_not_the_drink(
    store: Path, server: Emulator
) -> None:
    server.site.users.discard("alice")
    with core_for(store, server) as core:
        app = App(core.port)
        app.send(added(("core.onewire", "0000000000000001")))
        pour(app)
        core.wait_for("Drink 1 waits: the server failed")
        core.end(signal.SIGKILL)
    with sqlite3.connect(store) as db:  # as after another failure, a while later
        db.execute("update outbox set errors = 2, attempts = 0, next_unix_s = 0")
    db.close()
    with core_for(store, server) as core:
        core.wait_for("Drink 1 is sent without its user alice")
        core.wait_for(
            "Drink 1 is on the Kegbot Server as 1 (without its user alice, whom the server refuses)"
        )
    (drink,) = drinks(server)
    assert drink.username is None


def test_a_wrong_url_is_said_with_the_right_one(store: Path, server: Emulator) -> None:
    with core_for(store, server, url=f"{server.origin}/api/") as core:
        core.wait_for(f"set --api_url={server.url}")
        pour(App(core.port))
        assert core.output.count("WARNING") == 1, core.output
    assert len(outbox(store)) == 1


def test_the_servers_taps_are_used_and_kept(store: Path) -> None:
    with Emulator() as server:
        server.site.taps = [
            Tap(
                id=1, name="Left", meter_name="kegboard.flow0", ticks_per_ml=4.0, relay_name="kegboard.relay5"
            ),
            Tap(id=2, name="No Meter", meter_name=None),
            Tap(id=3, name="Slip", meter_name="kegboard.flow1", ticks_per_ml=0.0022),
        ]
        with core_for(store, server) as core:
            core.wait_for("mend it on the server")
            app = App(core.port)
            until(lambda: admin(store, "taps")[0]["source"] == "server", core)
            pour(app)
            core.wait_for("a drink of 250.0 mL")
            core.wait_for("is on the Kegbot Server as 1")
    left, right = admin(store, "taps")
    assert (left["ml_per_tick"], left["relay_name"], left["description"]) == (0.25, "kegboard.relay5", "Left")
    assert right["source"] == "local"
    with core_for(store, server) as core:
        app = App(core.port)
        app.send(reading(1100), request("stop_flow"))
        core.wait_for("a drink of 25.0 mL")


def test_a_token_of_the_server_works_and_still_does_while_the_server_is_away(
    store: Path,
) -> None:
    with Emulator() as server:
        server.site.tokens.append(Token(device=DANA[0], value=DANA[1], username="alice"))
        with core_for(store, server) as core:
            core.wait_for("the API key is right; taps: 2")
            app = App(core.port)
            app.send(added(DANA))
            app.listen_until(lambda: "FU initial alice 0" in app.lines())
            app.send(removed(DANA))
            app.send(added(("core.onewire", "00000000000000ff")))
            core.wait_for("00000000000000ff' is nobody's")
            core.end()
    with core_for(store, server) as core:
        core.wait_for("drinks wait in the outbox")
        app = App(core.port)
        app.send(added(DANA))
        app.listen_until(lambda: "FU initial alice 0" in app.lines())
        app.send(added(("core.onewire", "00000000000000fe")))
        core.wait_for("00000000000000fe' is not known here, and the Kegbot Server could not be asked")


def test_a_temperature_is_told_once_a_minute(store: Path, server: Emulator) -> None:
    with core_for(store, server) as core:
        core.wait_for("the API key is right; taps: 2")
        App(core.port).send(temperature(4.25), temperature(4.5))
        until(lambda: server.memory.temperatures, core)
    assert list(server.memory.temperatures.values()) == [4.25]


def test_drinks_of_before_can_be_sent_and_what_cannot_be_is_exported(
    store: Path, server: Emulator, tmp_path: Path
) -> None:
    with CoreProgram(store) as core:
        pour(App(core.port))
    with core_for(store, server) as core:
        core.wait_for("drinks to be sent: 0")
        here = f"--kb_core_addr=localhost:{core.port}"
        assert admin(store, "outbox", "add", "--since=1h", here) == {"done": "1 drink put into the outbox"}
        core.wait_for("Drink 1 is on the Kegbot Server as 1")
    exported = tmp_path / "outbox.jsonl"
    admin(store, "outbox", "export", str(exported), "--all")
    (line,) = exported.read_text().splitlines()
    assert json.loads(line)["server_drink_id"] == "1"
    assert exported.stat().st_mode & 0o777 == 0o600


def test_an_edit_is_taken_up_at_once_by_a_core_that_wants_a_token(store: Path, server: Emulator) -> None:
    token_file = store.parent / "kegnet-token"
    token_file.write_text("0123456789abcdef\n")
    token_file.chmod(0o600)
    with CoreProgram(store) as core:
        pour(App(core.port))
    with core_for(store, server, f"--kegnet_token_file={token_file}") as core:
        core.wait_for("the API key is right")
        flags = (f"--kb_core_addr=localhost:{core.port}", f"--kegnet_token_file={token_file}")
        admin(store, "outbox", "add", "1", *flags)
        core.wait_for("Drink 1 is on the Kegbot Server as 1")


def test_all_files_of_the_store_are_private(store: Path, server: Emulator) -> None:
    old = os.umask(0)
    try:
        with core_for(store, server) as core:
            pour(App(core.port))
            names = [path.name for path in store.parent.iterdir()]
            assert {"kegbot.sqlite-wal", "kegbot.sqlite.lock"} <= set(names)
            assert [p.name for p in store.parent.iterdir() if p.is_file() and p.stat().st_mode & 0o077] == []
    finally:
        os.umask(old)


def test_two_generations_take_the_same_drinks(store: Path) -> None:
    for generation in ("2012", "1.x"):
        with Emulator(generation, site=Site()) as server, core_for(store, server) as core:
            app = App(core.port)
            app.send(reading(0), reading(5))
            pour(app)
            core.wait_for("is on the Kegbot Server as 1")
