"""Two real bridges, a real Mosquitto, a real core and an emulated board: every tick once, whatever falls."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kegapps.bridge.mqtt_seal import Seals
from kegapps.core.ledger import Ledger
from kegapps.kegnet.events import FlowRequest
from tests.apps.bridge.mosquitto import Listener, needs_mosquitto, until
from tests.apps.bridge.rig import CELLAR, SECRET, Rig, rig
from tests.apps.core.bar import ALICE, FLOW0, added, reading
from tests.apps.core.programs import App

pytestmark = needs_mosquitto

BASE = 10  # what stands on the meter before anything is counted
POUR = ("--ticks_per_second=1000",)


@pytest.fixture
def bar(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as built:
        yield built


@pytest.fixture
def boards(bar: Rig) -> Rig:
    """The same with a machine with a board."""
    bar.start_boards_bridge()
    bar.start_board()
    return bar


def test_a_broker_that_was_killed_during_a_pour_costs_no_tick(boards: Rig) -> None:
    assert boards.board is not None
    poured = boards.board.begin("pour", "flow0", "1200", "--ticks_per_second=500")
    until(lambda: boards.counted() > 100)
    boards.broker.kill()
    until(lambda: boards.board is not None and boards.board.ticks()["counted"] > 900)
    boards.broker.start()
    poured()
    until(lambda: boards.reading() == BASE + 1200)
    assert (boards.counted(), boards.dropped()) == (1200, 0)


def test_kill_9_of_any_program_on_the_way_costs_no_tick_and_doubles_none(boards: Rig) -> None:
    assert boards.board is not None
    assert boards.boards_bridge is not None
    for times, which in enumerate(("core", "core bridge", "boards bridge")):
        poured = boards.board.begin("pour", "flow0", "500", *POUR)
        boards.until_counted(500 * times + 100)
        if which == "core":
            boards.core.end(signal.SIGKILL)
            boards.start_core()
        elif which == "core bridge":
            boards.kill(boards.core_bridge)
            boards.start_core_bridge()
        else:
            boards.kill(boards.boards_bridge)
            boards.start_boards_bridge()
        poured()
        boards.until_read(BASE + 500 * (times + 1))
        assert (boards.counted(), boards.dropped()) == (500 * (times + 1), 0), which


def test_what_was_told_while_no_broker_was_there_survives_kill_9(boards: Rig) -> None:
    assert boards.board is not None
    assert boards.boards_bridge is not None
    assert boards.daemon is not None
    boards.broker.kill()
    boards.boards_bridge.line("status: waiting for the broker at 127.0.0.1:")
    boards.board.verb("pour", "flow0", "200", *POUR)
    until(lambda: b'"reading": 210' in _bytes_of(boards.folder, "boards-bridge.sqlite"))
    boards.kill(boards.daemon)  # it has nothing to send again
    boards.kill(boards.boards_bridge)
    boards.broker.start()
    boards.start_boards_bridge()
    until(lambda: boards.reading() == BASE + 200)
    assert boards.counted() == 200


def _bytes_of(folder: Path, name: str) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(f"{name}*"))


def test_a_token_at_the_core_opens_the_valve_of_a_board_far_away_and_a_lost_link_closes_it(
    boards: Rig,
) -> None:
    board = boards.board
    assert board is not None
    app = App(boards.core.port)
    app.send(added(ALICE))
    until(lambda: board.state()["relays"]["relay0"], "for the valve to open")
    with Listener(boards.broker.port, "kegbot/relays/#") as listener:
        listener.until(lambda: listener.retained.get("kegbot/relays/kegboard.relay0") == b"ON")
    boards.broker.kill()
    until(lambda: not board.state()["relays"]["relay0"], "for the valve to close")
    app.close()


ORDER = b'{"event": "SetRelayOutputEvent", "data": {"output_name": "kegboard.relay0", "output_mode": "enabled"}, "stamp": "%s"}'
DOWN = f"kegbot/machines/{CELLAR}/down"
BEAT = f"kegbot/machines/{CELLAR}/beat"


def test_an_order_that_is_old_or_retained_opens_no_valve(boards: Rig) -> None:
    assert boards.board is not None
    assert boards.boards_bridge is not None
    seals = Seals(SECRET)
    with Listener(boards.broker.port, BEAT) as listener:
        listener.publish(DOWN, seals.seal(DOWN, ORDER % b""))
        listener.until(lambda: listener.heard, "for the stamp that is missed")
        listener.publish(DOWN, seals.seal(DOWN, ORDER % b"deadbeef 100.000"))
        listener.publish(DOWN, seals.seal(DOWN, ORDER % b""), retain=True)
        up = f"kegbot/machines/{CELLAR}/up"
        listener.publish(up, seals.seal(up, ORDER % b""))
        boards.core_bridge.line("SetRelayOutputEvent is not an app's to send")
        listener.publish("kegbot/relays/kegboard.relay0", b"ON", retain=True)
        # When all that has been read, this has:
        listener.publish(DOWN, seals.seal(DOWN, b'{"the": "end"}'))
        boards.boards_bridge.line('"event" must be the name')
    assert not boards.board.state()["relays"]["relay0"]


def test_whoever_reads_a_fresh_stamp_at_the_broker_opens_no_valve_without_the_secret(boards: Rig) -> None:
    board = boards.board
    assert board is not None
    assert boards.boards_bridge is not None
    app = App(boards.core.port)
    with Listener(boards.broker.port, BEAT, DOWN) as listener:
        app.send(added(ALICE))
        until(lambda: board.state()["relays"]["relay0"], "for the valve to open")
        app.send(replace(added(ALICE), status="removed"))
        until(lambda: not board.state()["relays"]["relay0"], "for the valve to close")
        listener.until(lambda: listener.on(BEAT))
        stamp = listener.on(BEAT)[-1]["stamp"].encode()
        seal = listener.on(DOWN)[0]["seal"].encode()
        listener.publish(DOWN, ORDER % stamp)
        boards.boards_bridge.line("bears no seal")
        listener.publish(DOWN, (ORDER % stamp)[:-1] + b', "seal": "' + seal + b'"}')
        boards.boards_bridge.line("its seal is wrong")
    assert not board.state()["relays"]["relay0"]
    app.close()


def test_without_the_secret_nobody_tells_readings_or_makes_a_machine_forget_what_it_has(boards: Rig) -> None:
    assert boards.board is not None
    assert boards.boards_bridge is not None
    up, taken = f"kegbot/machines/{CELLAR}/up", f"kegbot/machines/{CELLAR}/taken"
    with Listener(boards.broker.port, up) as listener:
        boards.board.verb("pour", "flow0", "100", *POUR)
        boards.until_read(BASE + 100)
        listener.until(lambda: listener.on(up))
        letter = listener.on(up)[-1]
        del letter["seal"]
        letter["number"] += 1
        letter["data"]["reading"] = 10_000
        listener.publish(up, json.dumps(letter).encode())
        boards.core_bridge.line("bears no seal")
        listener.publish(taken, json.dumps({"session": letter["session"], "took": letter["number"]}).encode())
        boards.boards_bridge.line("bears no seal")
        boards.board.verb("pour", "flow0", "100", *POUR)
        boards.until_read(BASE + 200)
    assert (boards.counted(), boards.dropped()) == (200, 0)


def test_machines_without_a_secret_count_ticks_and_keep_their_valves_closed_and_say_why(
    tmp_path: Path,
) -> None:
    with rig(tmp_path, secret=False) as boards:
        bridge = boards.start_boards_bridge()
        board = boards.start_board()
        app = App(boards.core.port)
        app.send(added(ALICE))
        bridge.line(
            "kegboard.relay0 stays closed: anybody at the broker may have given the order; give the bridges"
        )
        board.verb("pour", "flow0", "100", *POUR)
        boards.until_read(BASE + 100)
        assert not board.state()["relays"]["relay0"]
        assert sum("stays closed" in line for line in bridge.said()) <= 1
        app.close()


def test_the_tap_room_is_published_and_what_is_gone_is_cleared(bar: Rig) -> None:
    flow0, config = (
        "kegbot/taps/kegboard.flow0",
        "homeassistant/sensor/kegbot/tap_kegboard_2e_flow0_pour/config",
    )
    with Listener(bar.broker.port, "kegbot/#", "homeassistant/#") as listener:
        listener.until(lambda: config in listener.retained and flow0 in listener.retained)
        assert listener.retained["kegbot/core/availability"] == b"online"
        app = App(bar.core.port)
        app.send(reading(0, tap=FLOW0), reading(500, tap=FLOW0))
        listener.until(lambda: listener.json(flow0)["ticks"] == 500)
        assert listener.json(flow0)["state"] == "pouring"
        assert listener.json(flow0)["volume_ml"] == pytest.approx(227.3)
        app.send(FlowRequest(tap_name=FLOW0, request="stop_flow"))
        listener.until(lambda: listener.json(flow0)["state"] == "idle")
        listener.until(lambda: listener.json(flow0)["last_drink"])
        assert listener.json(flow0)["last_drink"] in listener.on("kegbot/drinks")
        app.close()
        bar.kill(bar.core_bridge)
        listener.until(
            lambda: listener.retained["kegbot/core/availability"] == b"offline", "for its last will"
        )
        ledger = Ledger(str(bar.store))
        ledger.remove_tap(FLOW0, now_unix_s=time.time())
        ledger.close()
        bar.start_core_bridge()
        listener.until(lambda: config not in listener.retained and flow0 not in listener.retained)
        assert [drink["ticks"] for drink in listener.on("kegbot/drinks")] == [500]  # once
        assert "kegbot/taps/kegboard.flow1" in listener.retained
        assert bar.core_bridge.end() == 0
        listener.until(lambda: listener.retained["kegbot/core/availability"] == b"offline")


def test_two_machines_whose_boards_have_one_name_are_told_and_not_mixed(bar: Rig) -> None:
    letter = b'{"event": "MeterUpdate", "data": {"tap_name": "kegboard.flow0", "reading": %d}, "session": "s", "number": 0, "first": 0, "run": "r", "sent_s": 1}'
    seals = Seals(SECRET)
    with Listener(bar.broker.port, "kegbot/machines/+/taken") as listener:
        listener.until(lambda: "broker at" in " ".join(bar.core_bridge.said()))
        for name, ticks in (("cellar", 100), ("garden", 7)):
            while not any(told["took"] == 1 for told in listener.on(f"kegbot/machines/{name}/taken")):
                up = f"kegbot/machines/{name}/up"
                listener.publish(up, seals.seal(up, letter % ticks))
        bar.core_bridge.line("machine cellar has a board of that name")
    assert bar.reading() == 100
