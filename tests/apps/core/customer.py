"""A real core that is the customer of an emulated Kegbot Server, and what to look at there and here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.apps.core.bar import reading, request
from tests.apps.core.programs import DEADLINE_S, SCRIPTS, App, CoreProgram
from tests.apps.server.emulators import Emulator, Fault, Faults
from tests.apps.server.emulators.memory import Recorded


def core_for(
    store: Path, server: Emulator, *flags: str, url: str = "", key: str = "", events: str = "never"
) -> CoreProgram:
    """A core that has this server; the key's file lies beside the store."""
    key_file = store.parent / "api_key"
    key_file.write_text((key or server.key) + "\n")
    key_file.chmod(0o600)
    return CoreProgram(
        store,
        f"--api_url={url or server.url}",
        f"--api_key_file={key_file}",
        f"--api_events={events}",
        *flags,
    )


def disturb(server: Emulator, core: CoreProgram, fault: Fault) -> None:
    """The next drink that is posted meets this."""
    core.wait_for("the API key is right")
    server.faults = Faults([fault], only_posts=True)


def pour(app: App, ticks: int = 1000) -> None:
    """One drink, done at once."""
    counter: list[int] = app.__dict__.setdefault("counter", [0])
    before = len([line for line in app.lines() if line.startswith("drink")])
    if not counter[0]:
        app.send(reading(0))
    counter[0] += ticks
    app.send(reading(counter[0]), request("stop_flow"))
    app.listen_until(lambda: len([line for line in app.lines() if line.startswith("drink")]) > before)


def until(condition: Callable[[], object], core: CoreProgram) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s, core.output
        time.sleep(0.02)


def admin(store: Path, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "kegbot_admin.py"), f"--store={store}", "--json", *words],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def outbox(store: Path, *words: str) -> list[dict[str, Any]]:
    rows = admin(store, "outbox", *words)
    assert isinstance(rows, list)
    return rows


def drinks(server: Emulator) -> list[Recorded]:
    return list(server.memory.drinks)
