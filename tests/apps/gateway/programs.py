"""The real gateway as a program, and a board that keeps the sender's duties of the event protocol."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from kegapps.core.ledger import Ledger
from kegapps.core.rows import DrinkRow
from tests.apps.core.programs import CoreProgram
from tests.apps.kegboard.programs import SCRIPTS, Program

DEADLINE_S: Final = 30.0
Seen = TypeVar("Seen")
ML_PER_TICK: Final = 0.185


class GatewayProgram:
    """`kegboard_gateway.py` in the foreground, on a port and with a store of its own."""

    def __init__(self, cwd: Path, *flags: str, core_port: int = 1, port: int = 0) -> None:
        self.cwd = cwd
        self.store = cwd / "gateway.sqlite"
        self.program = Program(
            "kegboard_gateway.py", f"--gateway_store={self.store}", f"--gateway_bind_addr=localhost:{port}",
            f"--kb_core_addr=localhost:{core_port}", *flags, cwd=cwd,
        )  # fmt: skip
        self.port = int(self.program.line("Listening for boards on").split()[-1].rpartition(":")[2])
        self.program.line("(daemon) ready")

    def word(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the program for a job on the same store."""
        return gateway_word(self.store, *words)

    def ask(
        self, body: object, token: str = "", path: str = "/api/kegboard-event", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """POST it as JSON, or as it is if it is bytes; status and answer."""
        return ask(self.port, body, token, path, **headers)

    def paired(self, device: str = "kb-1") -> str:
        """Let a board in; its token."""
        assert self.ask(batch([status(1)], device=device))[0] == 401
        done = self.word("allow", device)
        assert done.returncode == 0, done.stderr
        answer = self.ask(batch([status(1)], device=device))[1]
        return str(answer["pairing"]["token"])

    def kill(self) -> None:
        self.program.kill()


def gateway_word(store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "kegboard_gateway.py"), f"--gateway_store={store}", *words],
        cwd=store.parent, capture_output=True, text=True, check=False, timeout=DEADLINE_S,
    )  # fmt: skip


def ask(
    port: int, body: object, token: str = "", path: str = "/api/kegboard-event", **headers: str
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    with contextlib.closing(connection):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request("POST", path, data, sent | {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@contextlib.contextmanager
def gateway(cwd: Path, *flags: str, core_port: int = 1) -> Iterator[GatewayProgram]:
    program = GatewayProgram(cwd, *flags, core_port=core_port)
    try:
        yield program
    finally:
        program.kill()


@contextlib.contextmanager
def bar(
    cwd: Path, *flags: str, gateway_flags: tuple[str, ...] = ()
) -> Iterator[tuple[CoreProgram, GatewayProgram, str]]:
    """A core, a gateway at it, and the token of the board `kb-1`."""
    with (
        CoreProgram(cwd / "core.sqlite", *flags) as core,
        gateway(cwd, *gateway_flags, core_port=core.port) as gate,
    ):
        yield core, gate, gate.paired()


def drinks(core: CoreProgram, many: int) -> list[DrinkRow]:
    """The drinks in the core's store, oldest first, once there are so many."""
    return until(lambda: _drinks(core), lambda rows: len(rows) >= many)


def _drinks(core: CoreProgram) -> list[DrinkRow]:
    with contextlib.closing(Ledger(str(core.store))) as ledger:
        return list(reversed(ledger.drinks(limit=1000)))


def counted(core: CoreProgram, tap: str = "kb-1.flow0") -> int:
    """All ticks that the core has counted on this tap."""
    with contextlib.closing(Ledger(str(core.store))) as ledger:
        return next((row.counted_ticks for row in ledger.taps() if row.name == tap), 0)


def until(look: Callable[[], Seen], is_enough: Callable[[Seen], object]) -> Seen:
    """What there is to see, once it is enough; nothing tells of it, so this looks again and again."""
    end_s = time.monotonic() + DEADLINE_S
    while not is_enough(seen := look()):
        assert time.monotonic() < end_s, seen
        time.sleep(0.02)
    return seen


def batch(events: list[Any], *, device: str = "kb-1", boot_id: str = "b1", **more: Any) -> dict[str, Any]:
    return {"v": 1, "device": device, "boot_id": boot_id, "sent_uptime_ms": 1000, "events": events} | more


def event(number: int, kind: str, data: Any, *, age_s: float = 0.0) -> dict[str, Any]:
    return {"id": number, "type": kind, "age_ms": round(age_s * 1000), "data": data}


def pour(
    number: int,
    ticks: int,
    *,
    age_s: float = 0.0,
    meter: int = 0,
    took_s: float = 5.0,
    pour_id: str = "",
    **more: Any,
) -> dict[str, Any]:
    data = {
        "meter_number": meter, "pour_id": pour_id or str(uuid.uuid4()), "volume_ml": round(ticks * ML_PER_TICK, 1),
        "duration_ms": round(took_s * 1000), "ticks": ticks, "ml_per_tick": ML_PER_TICK,
    }  # fmt: skip
    return event(number, "pour", data | more, age_s=age_s)


def update(number: int, ticks: int, pour_id: str, *, took_s: float = 1.0, meter: int = 0) -> dict[str, Any]:
    data = {
        "meter_number": meter, "pour_id": pour_id, "volume_ml": round(ticks * ML_PER_TICK, 1),
        "duration_ms": round(took_s * 1000),
    }  # fmt: skip
    return event(number, "pour_update", data)


def status(number: int, meters: int = 1, **more: Any) -> dict[str, Any]:
    data = {
        "state": "boot", "fw_version": "2.0.0", "uptime_ms": 12345, "events_dropped": 0, "config": {},
        "meters": [{"meter_number": n, "total_ticks": 0, "ml_per_tick": ML_PER_TICK} for n in range(meters)],
    }  # fmt: skip
    return event(number, "status", data | more)


def shown(number: int, token: str, action: str = "attached", reader: str = "core.rfid") -> dict[str, Any]:
    return event(number, "token", {"auth_device": reader, "token": token, "action": action})


class Board:
    """An emulated board: queues events, pairs, sends again what was not answered, carries out commands once.

    Source: the column "sender's duty" of the protocol page, section 6. Waits are shortened.
    """

    def __init__(self, port: int, device: str = "kb-1", token: str = "") -> None:
        self.port = port
        self.device = device
        self.token = token
        self.boot_id = uuid.uuid4().hex[:8]
        self.queue: deque[tuple[dict[str, Any], float]] = deque()
        self.commands: dict[str, dict[str, Any]] = {}
        self.batches_lost = 0
        self._ids = itertools.count(1)

    def add(self, kind: str, data: dict[str, Any], *, age_s: float = 0.0) -> None:
        """Something happened."""
        made = {"id": next(self._ids), "type": kind, "data": data}
        self.queue.append((made, time.monotonic() - age_s))

    def pour(self, ticks: int, *, age_s: float = 0.0, **more: Any) -> str:
        """A pour has ended; its id."""
        made = pour(1, ticks, **more)
        self.add("pour", made["data"], age_s=age_s)
        return str(made["data"]["pour_id"])

    def send(self) -> bool:
        """One attempt with the oldest events; True if they are done."""
        taken = list(itertools.islice(self.queue, 16))
        if not taken:
            return True
        now_s = time.monotonic()
        events = [made | {"age_ms": max(0, round((now_s - at_s) * 1000))} for made, at_s in taken]
        try:
            code, answer = ask(self.port, batch(events, device=self.device, boot_id=self.boot_id), self.token)
        except (OSError, http.client.HTTPException, ValueError):
            return False
        if code == 401:
            self.token = answer["pairing"].get("token", "")
            return False
        if code >= 500:
            return False
        for _ in taken:
            self.queue.popleft()
        if code != 200:
            self.batches_lost += 1
            return False
        for command in answer["commands"]:
            if command["id"] not in self.commands:
                self.commands[command["id"]] = command
            self.add("command_result", {"command": command["id"], "result": "ok"})
        return True

    def flush(self) -> None:
        """Send until nothing is queued."""
        end_s = time.monotonic() + DEADLINE_S
        while self.queue:
            assert time.monotonic() < end_s, f"{len(self.queue)} events are not taken"
            if not self.send():
                time.sleep(0.05)


def raw(port: int, data: bytes) -> bytes:
    """Everything that comes for these bytes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as sock:
        sock.sendall(data)
        got = b""
        while piece := sock.recv(65536):
            got += piece
        return got
