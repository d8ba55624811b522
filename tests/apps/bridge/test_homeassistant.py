"""Home Assistant's discovery: what we publish is what it documents, and each configuration leads to a state."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kegapps.bridge.homeassistant import discovery
from kegapps.bridge.mqtt_topics import Topics
from kegapps.bridge.mqtt_views import TapRoom
from kegapps.kegnet.events import DrinkFacts, SetRelayOutputEvent
from kegapps.kegnet.taproom import SensorFacts, TapFacts, Taproom

SCHEMA = json.loads(Path(__file__).with_name("homeassistant.schema.json").read_text(encoding="utf-8"))
TOPICS = Topics(prefix="kegbot")
TAPS = (
    TapFacts(
        name="kegboard.flow0", description="Left", beverage="Märzen", keg_volume_ml=50_000.0, keg_left_ml=12_500.0,
        relay_name="kegboard.relay0", sensor_name="kegboard.thermo-1", temperature_c=4.25,
    ),
    TapFacts(name="kegboard.flow1"),
    TapFacts(name="odd/name #+ ä"),
)  # fmt: skip
CONFIGS = {
    topic: json.loads(payload)
    for topic, payload in discovery(
        TOPICS,
        prefix="homeassistant",
        version="1",
        taps=TAPS,
        relays=["kegboard.relay0"],
        boards=["kegboard"],
    ).items()
}
DRINK = DrinkFacts(
    drink_id=3, uuid="u", flow_id=7, tap_name="kegboard.flow0", username="alice", ticks=1000, volume_ml=454.545,
    start_unix_s=1.0, end_unix_s=2.0, beverage="Märzen",
)  # fmt: skip


def component(topic: str) -> str:
    return topic.split("/")[1]


@pytest.mark.parametrize("topic", CONFIGS)
def test_each_configuration_is_as_home_assistant_documents_it(topic: str) -> None:
    schema = {**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{component(topic)}"}]}
    jsonschema.Draft202012Validator(schema).validate(CONFIGS[topic])
    assert re.fullmatch(r"homeassistant/(binary_)?sensor/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)


@pytest.mark.parametrize(
    "change",
    [
        {"state_topic": None},
        {"state_topic": "a/#"},
        {"unknown_key": 1},
        {"unit_of_measurement": "pints"},
        {"state_class": "measurement"},
        {"device": {"name": "Left"}},
        {"command_topic": "kegbot/relays/kegboard.relay0"},
    ],
)
def test_the_schema_would_notice(change: dict[str, Any]) -> None:
    config = {**CONFIGS["homeassistant/sensor/kegbot/tap_kegboard_2e_flow0_pour/config"], **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(config)


def test_every_id_is_there_once() -> None:
    ids = [config["unique_id"] for config in CONFIGS.values()]
    assert len(set(ids)) == len(ids)


def test_a_tap_has_its_sensors_and_a_board_and_a_valve_theirs() -> None:
    found = {topic.split("/")[3] for topic in CONFIGS}
    tap = {
        "pour",
        "last_drink",
        "username",
        "beverage",
        "keg_left",
        "keg_left_percent",
        "temperature",
        "pouring",
    }
    assert {f"tap_kegboard_2e_flow0_{what}" for what in tap} <= found
    assert {"relay_kegboard_2e_relay0", "board_kegboard", "core"} <= found


def test_nothing_can_be_switched_from_there() -> None:
    assert {component(topic) for topic in CONFIGS} == {"sensor", "binary_sensor"}
    assert not any("command_topic" in config for config in CONFIGS.values())


def room() -> TapRoom:
    known = TapRoom(TOPICS)
    known.use(
        Taproom(
            taps=TAPS,
            sensors=(SensorFacts(sensor_name="kegboard.thermo-1", temperature_c=4.25, unix_s=1.0),),
            last_drink=DRINK,
        ),
        {"kegboard": "online"},
    )
    known.order(SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled"))
    return known


def test_each_configuration_leads_to_a_topic_that_is_published_and_a_field_that_is_there() -> None:
    payloads = room().payloads()
    for config in CONFIGS.values():
        topic = config["state_topic"]
        if topic == TOPICS.core:
            continue
        state = payloads[topic]
        for field in re.findall(r"value_json\.(\w+)", config.get("value_template", "")):
            assert field in json.loads(state), (topic, field)


def test_a_taps_state_is_all_there_is_to_know() -> None:
    assert json.loads(room().payloads()["kegbot/taps/kegboard.flow0"]) == {
        "tap_name": "kegboard.flow0", "title": "Left", "beverage": "Märzen", "state": "idle", "flow_id": None,
        "username": None, "ticks": None, "volume_ml": 0.0, "keg_volume_ml": 50_000.0, "keg_left_ml": 12_500.0,
        "keg_left_percent": 25.0, "temperature_c": 4.25, "relay_name": "kegboard.relay0",
        "last_drink": {
            "drink_id": 3, "uuid": "u", "flow_id": 7, "tap_name": "kegboard.flow0", "username": "alice", "ticks": 1000,
            "volume_ml": 454.5, "start_unix_s": 1.0, "end_unix_s": 2.0, "beverage": "Märzen",
        },
    }  # fmt: skip


def test_without_a_core_nobody_pours_and_no_valve_is_open() -> None:
    known = room()
    assert known.payloads()["kegbot/relays/kegboard.relay0"] == b"ON"
    known.lose()
    assert known.payloads()["kegbot/relays/kegboard.relay0"] == b"OFF"


def test_a_tap_that_is_gone_is_not_published_any_more() -> None:
    known = room()
    known.use(Taproom(taps=TAPS[1:]), {})
    assert set(known.payloads()) == {"kegbot/taps/kegboard.flow1", TOPICS.tap("odd/name #+ ä")}
