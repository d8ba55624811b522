"""The form API of all three generations: section 3 and the causes in section 4."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from tests.apps.server.emulators.memory import Memory, Recorded
from tests.apps.server.emulators.replies import FormError, Reply, Request, moment, reply, web_page
from tests.apps.server.emulators.site import STAFFLESS_KEY, Site, Tap, Token

TODAY = re.compile(
    r"status|auth-tokens/.*|cancel-drink|controllers|events|flow-meters|taps(/.*)?|thermo-sensors/.*"
)
USERNAME = re.compile(r"[\w.@+-]{1,30}", re.ASCII)


class FormApi:
    """`now` is the server's clock."""

    def __init__(self, generation: str, site: Site, memory: Memory, now: Callable[[], float]) -> None:
        self.generation = generation
        self.site = site
        self.memory = memory
        self.now = now

    def answer(self, request: Request, endpoint: str) -> Reply:
        endpoint = endpoint.strip("/")
        if self.generation == "2012" and re.fullmatch(r"taps/[^/]*[^\w.][^/]*", endpoint, re.ASCII):
            return web_page(404)  # no path of the API: found by Django, before the API could say so
        try:
            if self.generation == "today" and not TODAY.fullmatch(endpoint):
                raise FormError("GoneError", "This endpoint has been removed.")
            if not self.site.set_up:
                raise FormError("BadRequestError", "Setup required")
            return self._route(request, [unquote(part) for part in endpoint.split("/")])
        except FormError as error:
            return error.reply(self.generation)

    def _route(self, request: Request, parts: list[str]) -> Reply:
        match request.method, parts:
            case "GET", ["taps"]:
                self._check_key(request, needed=self.site.private)
                return self._list(
                    [self._tap(tap) for tap in sorted(self.site.taps, key=lambda tap: tap.name)]
                )
            case "GET", ["taps", name]:
                return self._one(self._tap(self._find_tap(name)))
            case "GET", ["events"]:
                self._check_key(request, needed=self.site.private)
                return self._list(self._events(request.query.get("since", ""), full=True))
            case "GET", ["drinks"] if self.generation != "today":
                self._check_key(request, needed=self.site.private)
                if self.generation == "2012" and not self.memory.drinks:
                    raise FormError("ServerError", "list index out of range")  # so it is
                return self._list([self._drink(drink) for drink in self.memory.drinks[-100:][::-1]])
            case "GET", ["status"] if self.generation != "2012":
                self._check_key(request)
                return self._one(self._status())
            case "GET", ["auth-tokens", device, value]:
                self._check_key(request)
                return self._one(self._token(device, value))
            case "POST", ["taps", name]:
                self._check_key(request)
                return self._one(self._record(name, request.form))
            case "POST", ["thermo-sensors", sensor]:
                self._check_key(request)
                return self._one(self._log_temperature(sensor, request.form))
        raise FormError("NotFoundError", f"Not an API endpoint: {request.path[:100]}")

    def _one(self, data: Any) -> Reply:
        return reply({"object": data, "meta": {"result": "ok"}})

    def _list(self, data: Any) -> Reply:
        return reply({"objects": data, "meta": {"result": "ok"}})

    def _check_key(self, request: Request, *, needed: bool = True) -> None:
        if not needed:
            return
        given = request.headers.get("x-kegbot-api-key")
        key = given or request.form.get("api_key") or request.query.get("api_key")
        if not key:
            raise FormError("NoAuthTokenError", "An API key is required.")
        if key == STAFFLESS_KEY:
            raise FormError("PermissionDeniedError", "Not a staff member.")
        if key not in self.site.keys:
            raise FormError("BadApiKeyError", "Invalid API key.")

    def _find_tap(self, name: str) -> Tap:
        if self.generation != "2012" and name.isdecimal():
            found = next((tap for tap in self.site.taps if tap.id == int(name)), None)
        else:
            found = self.site.tap_of(name)
        if found is None:
            raise FormError(
                "NotFoundError", "Meter is inactive" if name in self.site.meters else "Not found."
            )
        return found

    def _record(self, name: str, form: dict[str, str]) -> dict[str, Any]:
        errors = {}
        if not re.fullmatch(r"\d{1,18}", form.get("ticks", "")):
            errors["ticks"] = ["This field is required." if "ticks" not in form else "Enter a whole number."]
        username = form.get("username") or None
        if username and self.generation != "2012" and not USERNAME.fullmatch(username):
            errors["username"] = ["Enter a valid value."]
        if errors:
            raise FormError("BadRequestError", errors)
        tap = self._find_tap(name)
        if username and username not in self.site.users:
            if self.generation != "2012":
                raise FormError("ServerError", "User matching query does not exist.")
            username = None
        if tap.keg_id is None and self.generation != "2012":
            raise FormError("BadRequestError", "No active keg at this tap")
        now_s = self.now()
        age_s = int(form["now"]) - int(form["pour_time"]) if "now" in form and "pour_time" in form else 0
        ticks = int(form["ticks"])
        drink = self.record(
            tap,
            ticks=ticks,
            volume_ml=float(form["volume_ml"]) if form.get("volume_ml") else ticks / tap.ticks_per_ml,
            time_unix_s=now_s - age_s,
            duration_s=int(form.get("duration", "0")),
            username=username,
            form=form,
        )
        return self._drink(drink, full=True)

    def record(
        self,
        tap: Tap,
        *,
        ticks: int,
        volume_ml: float,
        time_unix_s: float,
        duration_s: int,
        username: str | None,
        form: dict[str, str],
        pour_id: str | None = None,
        taken: tuple[str, str, int] | None = None,
    ) -> Recorded:
        last = self.memory.drinks[-1] if self.memory.drinks else None
        now_s = self.now()
        event_id = last.event_id + 1 if last else 1
        new_session = last is None or now_s - last.arrived_unix_s > 3 * 3600
        drink = Recorded(
            id=last.id + 1 if last else 1,
            meter_name=tap.meter_name or "",
            ticks=ticks,
            volume_ml=volume_ml,
            time_unix_s=time_unix_s,
            duration_s=duration_s,
            keg_id=tap.keg_id,
            username=username,
            pour_id=pour_id,
            arrived_unix_s=now_s,
            form=form,
            first_event_id=event_id,
            event_id=event_id + new_session,
        )
        self.memory.add_drink(drink, taken)
        return drink

    def _log_temperature(self, sensor: str, form: dict[str, str]) -> dict[str, Any]:
        try:
            celsius = float(form["temp_c"])
        except (KeyError, ValueError):
            raise FormError("BadRequestError", {"temp_c": ["This field is required."]}) from None
        if not -20.0 <= celsius <= 80.0:
            raise FormError("BadRequestError", "Temperature out of bounds")
        minute = int(self.now() // 60)
        self.memory.add_temperature(sensor, minute, celsius)
        time = moment(self.generation, minute * 60)
        return {"id": len(self.memory.temperatures), "sensor_id": 1, "temperature_c": celsius, "time": time}

    def _token(self, device: str, value: str) -> dict[str, Any]:
        if self.generation == "2012" and device in ("core.onewire", "core.rfid"):
            value = value.lower()
        found: Token | None = next(
            (token for token in self.site.tokens if (token.device, token.value) == (device, value)), None
        )
        if found is None:
            raise FormError("NotFoundError", "Not found.")
        data: dict[str, Any] = {
            "id": 1,
            "auth_device": found.device,
            "token_value": found.value,
            "created_time": moment(self.generation, 0),
            "enabled": found.enabled,
        }
        if found.username:
            data |= {"username": found.username, "user": {"username": found.username}}
        if found.expire_unix_s is not None:
            data["expire_time"] = moment(self.generation, found.expire_unix_s)
        return data

    def _tap(self, tap: Tap) -> dict[str, Any]:
        data: dict[str, Any] = {
            "id": tap.id,
            "name": tap.name,
            "meter_name": tap.meter_name or f"unknown.{tap.id}",
            "ml_per_tick": 1 / tap.ticks_per_ml if tap.meter_name else 0,
            "relay_name": tap.relay_name,
        }
        if tap.keg_id is not None:
            data["current_keg_id"] = tap.keg_id
        if tap.keg_id is not None and tap.beverage:
            data["current_keg"] = self._keg(tap)
        if tap.sensor_name:
            data |= self._sensor(tap.sensor_name)
        if self.generation != "2012":
            data["sort_order"] = 0
            if tap.meter_name:
                board, _, port = tap.meter_name.partition(".")
                controller = {"id": 1, "name": board, "model_name": "kegboard"}
                data["meter"] = {"id": tap.id, "name": tap.meter_name, "controller": controller}
                data["meter"] |= {"port_name": port, "ticks_per_ml": tap.ticks_per_ml}
        return data

    def _keg(self, tap: Tap) -> dict[str, Any]:
        served_ml = sum(drink.volume_ml for drink in self.memory.drinks if drink.keg_id == tap.keg_id)
        left_ml = tap.keg_volume_ml - served_ml
        beverage = {"id": 1, "name": tap.beverage}
        old = {
            "id": tap.keg_id, "type_id": "1", "type": beverage, "size_id": 0, "size_volume_ml": tap.keg_volume_ml,
            "size": {"id": 0, "name": "half-barrel", "volume_ml": tap.keg_volume_ml}, "volume_ml_remain": left_ml,
            "percent_full": 100 * left_ml / tap.keg_volume_ml, "spilled_ml": 0.0,
        }  # fmt: skip
        new = {
            "id": tap.keg_id, "keg_type": "half-barrel", "full_volume_ml": tap.keg_volume_ml,
            "remaining_volume_ml": left_ml, "served_volume_ml": served_ml, "spilled_volume_ml": 0.0,
            "percent_full": 100 * left_ml / tap.keg_volume_ml,
            "beverage": beverage | {"producer": {"id": 1, "name": "Alice's"}},
        }  # fmt: skip
        return {"2012": old, "1.x": old | new, "today": new}[self.generation]

    def _sensor(self, sensor_name: str) -> dict[str, Any]:
        data: dict[str, Any] = {"thermo_sensor_id": 1}
        if self.generation != "2012":
            data["thermo_sensor"] = {"id": 1, "sensor_name": sensor_name, "nice_name": "Keezer"}
        logs = [(minute, c) for (name, minute), c in self.memory.temperatures.items() if name == sensor_name]
        if logs:
            minute, celsius = max(logs)
            time = moment(self.generation, minute * 60)
            data["last_temperature"] = {"id": 1, "sensor_id": 1, "temperature_c": celsius, "time": time}
        return data

    def _drink(self, drink: Recorded, *, full: bool = False) -> dict[str, Any]:
        data: dict[str, Any] = {
            "id": drink.id,
            "url": f"/drinks/{drink.id}/",
            "ticks": drink.ticks,
            "volume_ml": drink.volume_ml,
            "session_id": 1,
            "time": moment(self.generation, drink.time_unix_s),
            "duration": drink.duration_s,
        }
        if drink.keg_id is not None:
            data["keg_id"] = drink.keg_id
        if drink.username or self.generation == "today":
            data["user_id"] = drink.username or "guest"
            if full:
                data["user"] = {"username": data["user_id"], "is_active": True}
        return data

    def _events(self, since: str, *, full: bool) -> list[dict[str, Any]]:
        after = int(since) if since.isdecimal() else 0
        found = []
        for drink in self.memory.drinks[-10:]:
            for event_id in range(drink.first_event_id, drink.event_id + 1):
                kind = "drink_poured" if event_id == drink.event_id else "session_started"
                event: dict[str, Any] = {
                    "id": event_id,
                    "kind": kind,
                    "time": moment(self.generation, drink.time_unix_s),
                    "drink_id": drink.id,
                }
                if full:
                    event["drink"] = self._drink(drink, full=True)
                if event_id > after:
                    found.append(event)
        return found[::-1][:10]

    def _status(self) -> dict[str, Any]:
        return {
            "site_info": {"title": "My Kegbot", "server_version": "1.3.0"},
            # Of their kegs only the numbers; the kegs themselves are among the active ones.
            "taps": [self._tap(tap) | {"current_keg": None} for tap in self.site.taps],
            # By the time of the pour: a drink delivered late is not among them.
            "drinks": [
                self._drink(one) for one in sorted(self.memory.drinks, key=lambda one: -one.time_unix_s)[:5]
            ],
            "events": self._events("", full=False)[:5],
            "meters": [], "toggles": [], "controllers": [], "active_kegs": [], "active_users": [],
        }  # fmt: skip
