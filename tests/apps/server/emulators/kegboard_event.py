"""Today's `POST /api/kegboard-event`: section 6 with its idempotency and its limits."""

from __future__ import annotations

import json
import secrets
from typing import Any

from tests.apps.server.emulators.form_api import FormApi
from tests.apps.server.emulators.memory import Device
from tests.apps.server.emulators.replies import Reply, Request, reply

MAX_BYTES = 16384


class KegboardEvents:
    """`allow_at_once`: a device that pairs needs no admin."""

    def __init__(self, form_api: FormApi, *, allow_at_once: bool = False) -> None:
        self._api = form_api
        self._memory = form_api.memory
        self.allow_at_once = allow_at_once
        self.commands: list[dict[str, Any]] = []  # to be repeated until acknowledged
        self.grants: dict[str, str] = {}  # grant id -> username
        self.acknowledged: list[dict[str, Any]] = []

    def allow(self, device: str) -> None:
        """What an admin does in the dashboard; a new token each time."""
        self._memory.pair(device, "allowed", f"kbe_{secrets.token_hex(20)}")

    def deny(self, device: str) -> None:
        self._memory.pair(device, "denied", None)

    def answer(self, request: Request) -> Reply:
        if request.method != "POST":
            return reply({"detail": f'Method "{request.method}" not allowed.'}, 405)
        if len(request.body) > MAX_BYTES:
            return reply({"error": "too_large"}, 413)
        if not self._api.site.set_up:
            return reply({"error": "setup_required"}, 503)
        try:
            batch = json.loads(request.body)
            problem = self._problem(batch)
        except ValueError:
            problem = "not JSON"
        if problem == "unsupported_version":
            return reply({"error": problem}, 400)
        if problem:
            return reply({"error": "invalid", "detail": problem}, 400)
        if (refusal := self._pairing(request, batch["device"])) is not None:
            return refusal
        for event in batch["events"]:
            self._take(batch["device"], batch["boot_id"], event)
        return reply({"commands": self.commands})

    def _problem(self, batch: Any) -> str:
        if not isinstance(batch, dict):
            return "not an object"
        for name in ("v", "sent_uptime_ms"):
            if type(batch.get(name)) is not int:
                return name
        for name, most in (("device", 64), ("boot_id", 32)):
            if not isinstance(batch.get(name), str) or not 0 < len(batch[name]) <= most:
                return name
        events = batch.get("events")
        if not isinstance(events, list) or not 1 <= len(events) <= 16:
            return "events"
        last = 0
        for event in events:
            if (
                type(event.get("id")) is not int
                or event["id"] <= last
                or not isinstance(event.get("type"), str)
            ):
                return "events: id"
            if type(event.get("age_ms")) is not int or event["age_ms"] < 0:
                return "events: age_ms"
            if not isinstance(event.get("data"), dict):
                return "events: data"
            last = event["id"]
        return "" if batch["v"] == 1 else "unsupported_version"

    def _pairing(self, request: Request, name: str) -> Reply | None:
        device = self._memory.devices.get(name)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if device is not None and device.state == "allowed" and device.token and given == device.token:
            return None
        if device is None:
            self._memory.pair(name, "pending", None)
            if self.allow_at_once:
                self.allow(name)
            return reply({"pairing": {"state": "pending"}}, 401)
        if device.state == "allowed" and device.token and not device.handed_out and not given:
            self._memory.pair(name, "allowed", device.token, handed_out=True)
            return reply({"pairing": {"state": "allowed", "token": device.token}}, 401)
        if device.state == "allowed" and self.allow_at_once:
            self.allow(name)  # the token was lost on its way, or on a disk that was
        state = "denied" if device.state == "denied" else "pending"
        return reply({"pairing": {"state": state}}, 401)

    def _take(self, name: str, boot_id: str, event: dict[str, Any]) -> None:
        device = self._memory.devices.setdefault(name, Device())
        if event["id"] <= device.done_ids.get(boot_id, 0):
            return
        data: Any = event.get("data")
        try:
            if event["type"] == "pour" and self._pour(name, boot_id, event, data):
                return
            if event["type"] == "temperature":
                minute = int((self._api.now() - event["age_ms"] / 1000) // 60)
                self._memory.add_temperature(f"{name}.{data['sensor']}", minute, float(data["temp_c"]))
            elif event["type"] == "status":
                self._memory.statuses.append(data)
            elif event["type"] == "command_result":
                self.acknowledged.append(data)
                self.commands = [one for one in self.commands if one["id"] != data["command"]]
        except (KeyError, TypeError, ValueError):
            pass  # malformed data: this event is dropped with 200
        self._memory.take(name, boot_id, event["id"])

    def _pour(self, name: str, boot_id: str, event: dict[str, Any], data: Any) -> bool:
        tap = self._api.site.tap_of(f"{name}.flow{int(data['meter_number'])}")
        pour_id, volume_ml, duration_ms = (
            str(data["pour_id"]),
            float(data["volume_ml"]),
            int(data["duration_ms"]),
        )
        if tap is None or tap.keg_id is None or self._memory.has_pour(pour_id):
            return False
        self._api.record(
            tap,
            ticks=int(data.get("ticks", 0)),
            volume_ml=volume_ml,
            time_unix_s=self._api.now() - event["age_ms"] / 1000,
            duration_s=duration_ms // 1000,
            username=self.grants.get(str(data.get("grant_id"))),
            form={},
            pour_id=pour_id,
            taken=(name, boot_id, event["id"]),
        )
        return True
