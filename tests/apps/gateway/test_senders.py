"""The project's own sender of the event protocol, made for a Kegbot Server, talks to the gateway."""

from __future__ import annotations

import time
from pathlib import Path

from kegapps.daemon.loop import Loop
from kegapps.server import event_api
from kegapps.server.calls import Answer, Call, Pour
from kegapps.server.commands import Authorize, Deny
from kegapps.server.courier import Courier
from kegapps.server.event_api import DeviceEvent, Pairing
from kegapps.server.url import parse_api_url
from kegapps.server.verdicts import Kind
from tests.apps.gateway.programs import DEADLINE_S, GatewayProgram, bar, drinks, until

URL = "http://127.0.0.1:{}/api/v1/"


class Sender:
    """The courier's thread and one device of the event protocol."""

    def __init__(self, gate: GatewayProgram) -> None:
        self.loop = Loop()
        self.url = parse_api_url(URL.format(gate.port))
        self.courier = Courier(self.loop, self.url, None)
        self.token: str | None = None

    def ask(self, call: Call) -> Answer:
        answers: list[Answer] = []
        self.courier.perform(call, answers.append)
        end_s = time.monotonic() + DEADLINE_S
        while not answers:
            assert time.monotonic() < end_s
            self.loop.run_once(0.05)
        return answers[0]

    def post(self, *events: DeviceEvent) -> event_api.Reception:
        call = event_api.post_events(
            self.url, device="cellar", boot_id="b", events=events, now_unix_s=time.time(), uptime_s=5.0, token=self.token
        )  # fmt: skip
        return event_api.receive(self.ask(call))


def test_it_finds_the_endpoint_pairs_and_its_pours_are_drinks(tmp_path: Path) -> None:
    with bar(tmp_path) as (core, gate, _):
        sender = Sender(gate)
        assert event_api.is_there(sender.ask(event_api.probe_call(sender.url)))
        now_s = time.time()
        poured = [
            Pour(
                uuid=f"u{n}", meter_name="cellar.flow2", ticks=1000 + n, ml_per_tick=0.25, volume_ml=(1000 + n) / 4,
                username=None, start_unix_s=now_s - 100 * n - 6, end_unix_s=now_s - 100 * n,
            )
            for n in (3, 2, 1)
        ]  # fmt: skip
        events = [event_api.pour_event(n, pour) for n, pour in enumerate(poured, start=1)]
        events.append(event_api.temperature_event(4, "thermo-1", 4.5, now_s - 60))
        events.append(event_api.status_event(5, now_s, boot=True, version="0.1", uptime_s=5.0))
        reception = sender.post(*events)
        assert (reception.pairing, reception.verdict.kind) == (Pairing.PENDING, Kind.RETRY)
        assert gate.word("allow", "cellar").returncode == 0
        reception = sender.post(*events)
        assert reception.pairing is Pairing.ALLOWED
        sender.token = reception.token
        for _ in range(2):
            assert sender.post(*events).verdict.kind is Kind.DONE
        assert [(row.tap_name, row.ticks) for row in drinks(core, 3)] == [
            ("cellar.flow2", 1003), ("cellar.flow2", 1002), ("cellar.flow2", 1001),
        ]  # fmt: skip
        too_new = DeviceEvent(
            id=6, type="token", at_unix_s=now_s, data={"auth_device": "core.rfid", "token": "ff", "action": "attached"}
        )  # fmt: skip
        (command,) = until(lambda: sender.post(too_new).commands, len)
        assert isinstance(command, Deny)
        assert not isinstance(command, Authorize)
        done = event_api.command_result(7, command.id, time.time())
        assert sender.post(done).commands == ()
        gate.word("deny", "cellar")
        assert sender.post(done).pairing is Pairing.DENIED
        sender.courier.close()
