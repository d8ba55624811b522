"""Home Assistant's MQTT discovery: for each tap, relay and board a configuration that tells where its state is.

Knows taps, topics and Home Assistant's keys. Must not know connections.
Source: Home Assistant's documentation of MQTT discovery, MQTT sensor and MQTT binary sensor; which units and state
classes go with a device class: its sensor integration. Everything is read-only. A switch for a valve would be easy,
and wrong: whoever may write to the broker could pour for nothing, and a switch that is on says nothing of who pours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from kegapps.bridge.mqtt_topics import Topics, object_id
from kegapps.kegnet.taproom import TapFacts

MANUFACTURER: Final = "kegmaster"


def discovery(
    topics: Topics,
    *,
    prefix: str,
    version: str,
    taps: Iterable[TapFacts],
    relays: Iterable[str],
    boards: Iterable[str],
) -> dict[str, bytes]:
    """By topic below `prefix`: the configurations, to be retained."""
    node = object_id(topics.prefix)
    configs = _Configs(topics, prefix=prefix, node=node, version=version)
    configs.core()
    for tap in taps:
        configs.tap(tap)
    for relay in relays:
        configs.relay(relay)
    for board in boards:
        configs.board(board)
    return configs.found


class _Configs:
    def __init__(self, topics: Topics, *, prefix: str, node: str, version: str) -> None:
        self.found: dict[str, bytes] = {}
        self._topics = topics
        self._prefix = prefix
        self._node = node
        self._version = version

    def core(self) -> None:
        self._add(
            "binary_sensor",
            "core",
            self._core_device(),
            name="Core",
            state_topic=self._topics.core,
            payload_on="online",
            payload_off="offline",
            device_class="connectivity",
            entity_category="diagnostic",
            always_there=True,
        )

    def tap(self, tap: TapFacts) -> None:
        key, topic = f"tap_{object_id(tap.name)}", self._topics.tap(tap.name)
        device = {
            "identifiers": [f"{self._node}_{key}"],
            "name": tap.title,
            "manufacturer": MANUFACTURER,
            "model": "Tap",
            "via_device": f"{self._node}_core",
        }

        def sensor(what: str, name: str, template: str, **more: Any) -> None:
            self._add(
                "sensor",
                f"{key}_{what}",
                device,
                name=name,
                state_topic=topic,
                value_template=template,
                **more,
            )

        # A total that falls to 0 with each pour: Home Assistant takes that for a new meter, and adds up.
        sensor(
            "pour", "Pour", "{{ value_json.volume_ml }}",
            device_class="volume", state_class="total_increasing", unit_of_measurement="mL",
        )  # fmt: skip
        sensor(
            "last_drink", "Last drink",
            "{{ value_json.last_drink.volume_ml if value_json.last_drink else None }}",
            device_class="volume", unit_of_measurement="mL", json_attributes_topic=topic,
            json_attributes_template="{{ (value_json.last_drink or {}) | tojson }}",
        )  # fmt: skip
        sensor("username", "Drinker", "{{ value_json.username or '' }}", icon="mdi:account")
        sensor("beverage", "Beverage", "{{ value_json.beverage }}", icon="mdi:glass-mug-variant")
        sensor(
            "keg_left", "Keg left", "{{ value_json.keg_left_ml }}",
            device_class="volume_storage", state_class="measurement", unit_of_measurement="mL",
        )  # fmt: skip
        sensor(
            "keg_left_percent", "Keg left in percent", "{{ value_json.keg_left_percent }}",
            state_class="measurement", unit_of_measurement="%", icon="mdi:keg",
        )  # fmt: skip
        sensor(
            "temperature", "Temperature", "{{ value_json.temperature_c }}",
            device_class="temperature", state_class="measurement", unit_of_measurement="°C",
        )  # fmt: skip
        self._add(
            "binary_sensor", f"{key}_pouring", device, name="Pouring", state_topic=topic,
            value_template="{{ value_json.state }}", payload_on="pouring", payload_off="idle", device_class="running",
        )  # fmt: skip

    def relay(self, name: str) -> None:
        self._add(
            "binary_sensor", f"relay_{object_id(name)}", self._core_device(), name=f"Valve {name}",
            state_topic=self._topics.relay(name), payload_on="ON", payload_off="OFF", device_class="opening",
        )  # fmt: skip

    def board(self, name: str) -> None:
        self._add(
            "binary_sensor", f"board_{object_id(name)}", self._core_device(), name=f"Board {name}",
            state_topic=self._topics.board(name), value_template="{{ 'on' if value == 'online' else 'off' }}",
            payload_on="on", payload_off="off", device_class="connectivity", entity_category="diagnostic",
        )  # fmt: skip

    def _core_device(self) -> dict[str, Any]:
        return {
            "identifiers": [f"{self._node}_core"],
            "name": f"Kegerator {self._topics.prefix}" if self._topics.prefix != "kegbot" else "Kegerator",
            "manufacturer": MANUFACTURER,
            "model": "Core",
            "sw_version": self._version,
        }

    def _add(
        self, component: str, key: str, device: dict[str, Any], *, always_there: bool = False, **config: Any
    ) -> None:
        config = {
            **config,
            "unique_id": f"{self._node}_{key}",
            "device": device,
            "origin": {"name": MANUFACTURER, "sw_version": self._version},
            "qos": 1,
        }
        if not always_there:
            config["availability"] = [{"topic": self._topics.core}]
        topic = f"{self._prefix}/{component}/{self._node}/{key}/config"
        self.found[topic] = json.dumps(config, ensure_ascii=False).encode()
