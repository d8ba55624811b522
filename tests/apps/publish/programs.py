"""publisher.py as a process, beside a core that tells its drinks, and networks on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kegapps.kegnet.address import shown_address
from kegapps.kegnet.events import (
    CoreStatus,
    DrinkCreatedEvent,
    DrinkFacts,
    Drinks,
    DrinksRequest,
    Event,
    StatusRequest,
)
from tests.apps.kegnet.support import Core
from tests.apps.publish.sink import DEADLINE_S

SCRIPTS = Path(__file__).parents[3] / "scripts"
FAST = ("--rate_limit=1000/1", "--retry_first_s=0.1", "--retry_max_s=0.3", "--message={user} {volume}")
START_UNIX_S = 1_790_000_000.0


def drink(
    number: int, username: str | None = "alice", *, uuid: str = "", volume_ml: float = 300.0
) -> DrinkFacts:
    return DrinkFacts(
        drink_id=number, uuid=uuid or f"uuid-{number}", flow_id=number, tap_name="kegboard.flow0",
        username=username, ticks=660, volume_ml=volume_ml, start_unix_s=START_UNIX_S + number * 60,
        end_unix_s=START_UNIX_S + number * 60 + 20, beverage="stout",
    )  # fmt: skip


class Store:
    """A core's drinks, told as a core of ours tells them."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.drinks: list[DrinkFacts] = []
        self.asked: list[DrinksRequest] = []
        self.answers = True
        core.on_event = self._on_event

    def pour(self, *usernames: str | None) -> None:
        """A drink for each, stored and announced."""
        for username in usernames:
            self.add(drink(len(self.drinks) + 1, username))

    def add(self, made: DrinkFacts) -> None:
        self.drinks.append(made)
        self.announce(made)

    def announce(self, made: DrinkFacts) -> None:
        self.core.hub.broadcast(
            DrinkCreatedEvent(
                flow_id=made.flow_id, drink_id=made.drink_id, tap_name=made.tap_name,
                start_time=datetime.fromtimestamp(made.start_unix_s, UTC),
                end_time=datetime.fromtimestamp(made.end_unix_s, UTC), username=made.username or "guest",
            )
        )  # fmt: skip

    def _on_event(self, event: Event) -> None:
        peer = self.core.from_peers[-1]
        if not self.answers:
            return
        if isinstance(event, DrinksRequest):
            self.asked.append(event)
            self.core.hub.send_to(peer, drinks_for(self.drinks, event))
        elif isinstance(event, StatusRequest):
            report: dict[str, Any] = {"taps": [{"name": "kegboard.flow0", "description": "the left tap"}]}
            self.core.hub.send_to(peer, CoreStatus(report=report))


def drinks_for(drinks: list[DrinkFacts], request: DrinksRequest) -> Drinks:
    found = (
        drinks[-request.limit :] if request.after == -1 else [d for d in drinks if d.drink_id > request.after]
    )
    return Drinks(drinks=tuple(found[: request.limit]), last_id=max((d.drink_id for d in drinks), default=0))


class Publisher:
    """One publisher with a queue and a file of destinations of its own; may be killed and started again."""

    def __init__(
        self, folder: Path, address: tuple[str, int], *lines: str, script: str = "publisher.py"
    ) -> None:
        self.folder = folder
        self.script = script
        self.address = address
        self.queue = folder / "queue.sqlite"
        self.urls = folder / "urls"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"
        self.flags: tuple[str, ...] = FAST
        self.write_urls(*lines)

    def write_urls(self, *lines: str) -> None:
        self.urls.write_text("".join(f"{line}\n" for line in lines))
        self.urls.chmod(0o600)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(SCRIPTS / self.script), f"--queue={self.queue}", *words]

    def start(self, *flags: str, env: dict[str, str] | None = None) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(
                    f"--kb_core_addr={shown_address(*self.address)}", f"--urls_file={self.urls}", *self.flags, *flags
                ),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                env={**os.environ, **(env or {})},
            )  # fmt: skip

    def says(self, text: str, core: Core | None = None) -> str:
        """Its log, once `text` is in it."""
        end_s = time.monotonic() + DEADLINE_S
        while text not in self.output():
            assert time.monotonic() < end_s, f"{text!r} not in: {self.output()}"
            if core is not None:
                core.loop.run_once(0.02)
            else:
                time.sleep(0.02)
        return self.output()

    def says_times(self, text: str, times: int) -> None:
        """Wait until `text` is in its log so often."""
        end_s = time.monotonic() + DEADLINE_S
        while self.output().count(text) < times:
            assert time.monotonic() < end_s, f"{text!r} not {times} times in: {self.output()}"
            time.sleep(0.02)

    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command beside it."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
            cwd=self.folder,
        )

    def listed(self, *words: str) -> list[dict[str, Any]]:
        done = self.run("queue", "--json", *words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
