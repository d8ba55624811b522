"""The bridge between a real core and a real Redis, on which somebody speaks as pycore's programs do."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from kegapps.bridge.redis_address import RedisAddress
from kegapps.bridge.redis_bridge import SAVE_AGAIN_S, Directions, RedisBridge
from kegapps.bridge.redis_cursor import CursorFile
from kegapps.core.ledger import Ledger
from kegapps.daemon.loop import Loop
from kegapps.kegnet.drinks_record import read_record
from kegapps.kegnet.events import Drinks, DrinksRequest, FlowRequest, MeterUpdate
from kegapps.kegnet.hub import Hub
from tests.apps.bridge.redis_programs import REDIS_SERVER, BridgeProgram, Peer, RedisServer
from tests.apps.bridge.test_redis_dialect import DRINK
from tests.apps.core.programs import DEADLINE_S, App, CoreProgram, furnish
from tests.apps.core.swapped_stores import SwappedStores

pytestmark = pytest.mark.skipif(REDIS_SERVER is None, reason="redis-server is not installed")
FLOW0 = "kegboard.flow0"
RUNS = "<-> kegnet of Redis at"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as made:
        yield made


@pytest.fixture
def core(tmp_path: Path) -> Iterator[CoreProgram]:
    furnish(tmp_path / "core.sqlite")
    with CoreProgram(tmp_path / "core.sqlite") as made:
        yield made


def bridge_for(folder: Path, core: CoreProgram, server: RedisServer, *flags: str) -> BridgeProgram:
    return BridgeProgram(folder, f"--kb_core_addr=localhost:{core.port}", f"--redis_url={server.url}", *flags)


def drinks_in(core: CoreProgram) -> list[Any]:
    ledger = Ledger(str(core.store))
    try:
        return list(ledger.drinks(limit=1000))
    finally:
        ledger.close()


def pour_at_the_core(core: CoreProgram, *readings: int) -> None:
    """One drink after another, by a board that hangs on the core itself."""
    app = App(core.port)
    for at, reading in enumerate(readings, 1):
        app.send(MeterUpdate(tap_name="kegboard.flow1", reading=reading))
        app.send(FlowRequest(tap_name="kegboard.flow1", request="stop_flow"))
        app.listen_until(lambda at=at: sum(line.startswith("drink") for line in app.lines()) == at - 1)  # type: ignore[misc]
    app.close()


def test_a_pour_told_on_redis_is_a_drink_and_its_flow_is_told_there(
    tmp_path: Path, core: CoreProgram, server: RedisServer
) -> None:
    with bridge_for(tmp_path, core, server) as bridge:
        bridge.wait_for(RUNS)
        peer = Peer(server)
        for reading in (1000, 1250, 1500, 2000):
            peer.pour(reading)
        peer.stop()
        peer.listen_until(lambda: peer.heard("DrinkCreatedEvent"))
        flows = peer.heard("FlowUpdate")
        assert [(flow["state"], flow["ticks"]) for flow in flows] == [
            ("active", 250), ("active", 500), ("active", 1000), ("completed", 1000),
        ]  # fmt: skip
        assert {flow["meter_name"] for flow in flows} == {FLOW0}
        assert all("tap_name" not in text for text in peer.texts)
        assert peer.heard("DrinkCreatedEvent")[0]["username"] == "guest"
        assert [drink.ticks for drink in drinks_in(core)] == [1000]
        # A token opens a valve, and that is told, too.
        peer.publish("TokenAuthEvent", auth_device_name="core.rfid", token_value="deadbeef00", status="added")
        opened = {"output_name": "kegboard.relay0", "output_mode": "enabled"}
        peer.listen_until(lambda: opened in peer.heard("SetRelayOutputEvent"))
        began_s = time.monotonic()
        assert bridge.end() == 0
        assert time.monotonic() - began_s < 1
        assert "skipped" not in bridge.output  # what came back of our own was known
        peer.close()


def test_from_redis_nobody_opens_a_valve_or_makes_up_a_drink(
    tmp_path: Path, core: CoreProgram, server: RedisServer
) -> None:
    with bridge_for(tmp_path, core, server) as bridge:
        bridge.wait_for(RUNS)
        peer, app = Peer(server), App(core.port)
        time_ = "2026-11-21T12:00:00Z"
        peer.publish("SetRelayOutputEvent", output_name="kegboard.relay0", output_mode="enabled")
        peer.publish(
            "FlowUpdate", flow_id=1, meter_name=FLOW0, state="completed", username=None, start_time=time_,
            last_activity_time=time_, ticks=1000, volume_ml=500.0,
        )  # fmt: skip
        peer.publish(
            "DrinkCreatedEvent", flow_id=1, drink_id=1, meter_name=FLOW0, start_time=time_, end_time=time_, username="bob"
        )  # fmt: skip
        for name in ("SetRelayOutputEvent", "FlowUpdate", "DrinkCreatedEvent"):
            bridge.wait_for(f"skipped a message: {name} is the core's own")
        peer.publish("QuitEvent")
        peer.publish_text(b"\xff" * 10)
        peer.publish_text("x" * 3_000_000)
        peer.publish_text("[" * 60_000)
        peer.publish("MeterUpdate", meter_name=FLOW0, reading="many")
        for reading in (0, 500):
            peer.pour(reading)
        peer.stop()
        app.listen_until(lambda: any(line.startswith("drink") for line in app.lines()))
        assert [line for line in app.lines() if "enabled" in line or "bob" in line] == []
        assert [drink.ticks for drink in drinks_in(core)] == [500]
        bridge.wait_for("skipped a message: QuitEvent is the core's own")
        app.close()
        peer.close()


def test_a_second_bridge_is_recognised_and_said_once(
    tmp_path: Path, core: CoreProgram, server: RedisServer
) -> None:
    (tmp_path / "second").mkdir()
    with (
        bridge_for(tmp_path, core, server) as bridge,
        bridge_for(tmp_path / "second", core, server) as second,
    ):
        for each in (bridge, second):
            each.wait_for(RUNS)
        pour_at_the_core(core, 0, 200, 400, 600)
        for each in (bridge, second):
            each.wait_for("another bridge publishes to kegnet what this core tells")
        peer = Peer(server)
        peer.publish("MeterUpdate", meter_name=FLOW0, reading="many")
        for each in (bridge, second):
            each.wait_for("skipped a message")  # all before is read, too
            assert each.output.count("another bridge") == 1
            assert "is the core's own" not in each.output
        peer.close()


def test_a_redis_that_is_killed_in_mid_pour_costs_no_tick_and_no_drink(
    tmp_path: Path, core: CoreProgram, server: RedisServer
) -> None:
    with bridge_for(tmp_path, core, server) as bridge:
        bridge.wait_for(RUNS)
        peer = Peer(server)
        peer.pour(0)
        peer.pour(400)
        peer.listen_until(lambda: peer.heard("FlowUpdate"))
        server.kill()
        bridge.wait_for("waiting for Redis at")
        peer.close()
        # Meanwhile the board counts on, and at the core itself drinks are poured.
        pour_at_the_core(core, 0, 1000, 2000, 3000)
        time.sleep(2)  # of beer; 1500 ticks in no time would be a fault indeed
        server.begin()
        bridge.wait_for(RUNS, times=2)
        peer = Peer(server)
        peer.pour(1900)  # 1500 more, 682 mL: the core takes as much in one step only if it knows why
        peer.stop()
        peer.listen_until(lambda: [flow for flow in peer.heard("FlowUpdate") if flow["state"] == "completed"])
        peer.listen_until(lambda: len(drinks_in(core)) == 4)
        assert sorted(drink.ticks for drink in drinks_in(core)) == [1000, 1000, 1000, 1900]
        peer.close()


def test_drinks_poured_while_redis_is_away_are_published_once_it_is_back_and_those_without_the_bridge_too(
    tmp_path: Path, core: CoreProgram, server: RedisServer
) -> None:
    pour_at_the_core(core, 0, 1000)  # history
    with bridge_for(tmp_path, core, server) as bridge:
        bridge.wait_for(RUNS)
        peer = Peer(server)
        pour_at_the_core(core, 1000, 2000)
        peer.listen_until(lambda: peer.heard("DrinkCreatedEvent"))
        server.kill(signal.SIGSTOP)  # it is there, and answers nobody
        pour_at_the_core(core, 2000, 3000, 4000)
        bridge.wait_for("no answer for 5 s")
        server.kill(signal.SIGCONT)
        peer.listen_until(lambda: len({drink["drink_id"] for drink in peer.heard("DrinkCreatedEvent")}) == 3)
        bridge.wait_for(RUNS, times=2)
        bridge.process.kill()
        bridge.process.wait()
    pour_at_the_core(core, 4000, 5000, 6000, 7000)
    with bridge_for(tmp_path, core, server) as bridge:
        peer.listen_until(lambda: len({drink["drink_id"] for drink in peer.heard("DrinkCreatedEvent")}) == 6)
    ids = [drink["drink_id"] for drink in peer.heard("DrinkCreatedEvent")]
    assert sorted(set(ids)) == [drink.id for drink in sorted(drinks_in(core), key=lambda drink: drink.id)][1:]
    peer.close()


def test_whatever_becomes_of_the_store_each_drink_is_published_once(
    tmp_path: Path, server: RedisServer
) -> None:
    with SwappedStores(tmp_path) as stores:
        flags = (f"--kb_core_addr=localhost:{stores.port}", f"--redis_url={server.url}")
        with BridgeProgram(tmp_path, *flags) as bridge:
            bridge.wait_for(RUNS)
            peer = Peer(server)
            stores.run_through(
                told=lambda: peer.poll(0.1) and len(peer.heard("DrinkCreatedEvent")), wait_for=bridge.wait_for
            )
        ids = [drink["drink_id"] for drink in peer.heard("DrinkCreatedEvent")]
        assert ids == [1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 21]
        peer.close()


def test_a_password_is_wanted_shown_and_in_no_log(tmp_path: Path, core: CoreProgram) -> None:
    with RedisServer(tmp_path, "--requirepass", "sesame-open") as server:
        with bridge_for(tmp_path, core, server) as bridge:
            bridge.wait_for("it refused us: NOAUTH")
            bridge.end()
        url = f"redis://:sesame-open@localhost:{server.port}/0"
        flag = f"--kb_core_addr=localhost:{core.port}"
        with BridgeProgram(tmp_path, flag, environment={"KEGBOT_REDIS_URL": url}) as bridge:
            bridge.wait_for(RUNS)
            bridge.end()
            assert "sesame" not in bridge.output


def test_a_redis_that_forbids_publishing_is_told_once_and_has_the_drinks_when_it_allows_it(
    tmp_path: Path, core: CoreProgram, server: RedisServer
) -> None:
    rights = redis.Redis(port=server.port)
    version = str(rights.info("server")["redis_version"])
    if tuple(map(int, version.split(".")[:2])) < (6, 2):
        pytest.skip(f"Redis {version} knows no rights to channels")
    rights.execute_command("ACL", "SETUSER", "bar", "on", ">sesame", "+@all", "resetchannels")  # type: ignore[no-untyped-call]
    url = f"--redis_url=redis://bar:sesame@localhost:{server.port}/0"
    to_redis = "--redis_direction=to_redis"
    with BridgeProgram(tmp_path, f"--kb_core_addr=localhost:{core.port}", url, to_redis) as bridge:
        bridge.wait_for("-> kegnet of Redis at")
        pour_at_the_core(core, 0, 1000, 2000)
        bridge.wait_for("it refused a message: NOPERM")
        peer = Peer(server)
        rights.execute_command("ACL", "SETUSER", "bar", "allchannels")  # type: ignore[no-untyped-call]
        peer.listen_until(lambda: len(peer.heard("DrinkCreatedEvent")) == 2)
        bridge.wait_for("-> kegnet of Redis at", times=2)
        assert bridge.output.count("NOPERM") == 1
        assert [drink["drink_id"] for drink in peer.heard("DrinkCreatedEvent")] == [1, 2]
        peer.close()
    rights.close()


@pytest.mark.parametrize(("direction", "status"), [("to_core", "<- kegnet"), ("to_redis", "-> kegnet")])
def test_one_direction_alone_is_one_connection(
    tmp_path: Path, core: CoreProgram, server: RedisServer, direction: str, status: str
) -> None:
    with bridge_for(tmp_path, core, server, f"--redis_direction={direction}") as bridge:
        bridge.wait_for(status)
        peer = Peer(server, channel="kegnet")
        heard = peer.publish("Ping")
        assert heard == (2 if direction == "to_core" else 1)  # we hear ourselves
        peer.close()


class Services:
    """In the place of the runner's: a loop whose clock can be turned forward, and what was said."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self.loop = Loop(lambda: time.monotonic() + self.ahead_s)
        self.statuses: list[str] = []

    def status(self, text: str) -> None:
        self.statuses.append(text)

    def until(self, condition: Callable[[], object]) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, self.statuses
            self.loop.run_once(0.02)


def test_a_core_of_2012_is_asked_for_drinks_in_vain_and_what_it_tells_is_published(
    tmp_path: Path, server: RedisServer
) -> None:
    services = Services()
    asked: list[object] = []
    hub = Hub(services.loop, ("127.0.0.1", 0), on_event=lambda event, _peer: asked.append(event))
    bridge = RedisBridge(
        services,  # type: ignore[arg-type]
        core=("127.0.0.1", hub.address[1]),
        token="",
        address=RedisAddress(host="localhost", port=server.port),
        channel="kegnet",
        directions=Directions(to_core=False, to_redis=True),
        cursor=CursorFile(str(tmp_path / "bridge.json"), flag="redis_state"),
    )
    services.until(lambda: "-> kegnet of Redis" in bridge.status)
    services.until(lambda: asked == [DrinksRequest(after=-1, limit=100)])
    peer = Peer(server)
    hub.broadcast(DRINK)
    services.ahead_s += 5  # without an answer
    services.until(lambda: peer.poll() and peer.heard("DrinkCreatedEvent"))
    hub.broadcast(replace(DRINK, drink_id=2))
    services.until(lambda: peer.poll() and len(peer.heard("DrinkCreatedEvent")) == 2)
    bridge.close()
    assert not (tmp_path / "bridge.json").exists()  # nothing is known of what it stores
    peer.close()
    hub.close()
    services.loop.close()


def test_a_state_file_that_cannot_be_written_is_named_and_tried_again(
    tmp_path: Path, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    services = Services()
    state = tmp_path / "bridge.json"

    def answer(event: object, peer: str) -> None:
        if isinstance(event, DrinksRequest):
            hub.send_to(peer, Drinks(drinks=(), last_id=0, store_id="a"))

    hub = Hub(services.loop, ("127.0.0.1", 0), on_event=answer)
    bridge = RedisBridge(
        services,  # type: ignore[arg-type]
        core=("127.0.0.1", hub.address[1]),
        token="",
        address=RedisAddress(host="localhost", port=server.port),
        channel="kegnet",
        directions=Directions(to_core=False, to_redis=True),
        cursor=CursorFile(str(state), flag="redis_state"),
    )
    in_the_way = tmp_path / "bridge.json.new"
    in_the_way.mkdir()
    services.until(lambda: f"cannot keep which drinks were published: {state}: " in caplog.text)
    in_the_way.rmdir()
    services.ahead_s += SAVE_AGAIN_S + 1
    services.until(state.exists)
    assert [cursor.store_id for cursor in read_record(state.read_bytes())] == ["a"]
    bridge.close()
    hub.close()
    services.loop.close()
