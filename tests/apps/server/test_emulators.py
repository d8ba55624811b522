"""The emulated server as a process: killed and started again, it has what it had answered."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kegapps.server import form_api
from kegapps.server.url import parse_api_url
from tests.apps.server.emulators import Emulator, Fault, Faults, Memory
from tests.apps.server.support import ask, pour

ROOT = Path(__file__).parents[3]


@contextmanager
def server(*flags: str) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    """URL, key and process of an emulated server."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.apps.server.emulators", *flags],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        try:
            yield process.stdout.readline().strip(), process.stdout.readline().strip(), process
        finally:
            process.kill()


def test_a_killed_server_comes_back_at_its_address_with_every_drink_it_answered(tmp_path: Path) -> None:
    state = tmp_path / "server"
    post = form_api.post_drink(pour(1000), now_unix_s=time.time())
    with server(f"--state={state}", "--faults=1", "--fault_kinds=LOST", "--fault_rate=0.5") as (
        url,
        key,
        process,
    ):
        answers = ask(url, key, *[post] * 20)
        answered = [form_api.read_drink(answer.body).id for answer in answers if answer.status == 200]
        process.kill()
    port = parse_api_url(url).port
    memory = Memory(state)
    assert {str(drink.id) for drink in memory.drinks} >= set(answered)
    assert len(memory.drinks) == 20  # the lost answers were to drinks too
    assert memory.faults["answer lost drink"] == 20 - len(answered) > 0
    with server(f"--state={state}", f"--port={port}") as (same_url, key, _):
        assert same_url == url
        (answer,) = ask(url, key, post)
        assert form_api.read_drink(answer.body).id == "21"


def test_a_stopped_server_is_gone_at_once_and_may_be_stopped_again() -> None:
    with Emulator() as emulator:
        emulator.stop()
        (answer,) = ask(emulator.url, emulator.key, form_api.get_taps())
        assert not answer.sent
        emulator.stop()


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
def test_an_emulated_server_takes_a_drink_and_tells_of_it(generation: str) -> None:
    with Emulator(generation) as emulator:
        posted, events = ask(
            emulator.url,
            emulator.key,
            form_api.post_drink(pour(1000), now_unix_s=time.time()),
            form_api.get_events(),
        )
        drink = form_api.read_drink(posted.body)
        assert (drink.ticks, drink.username) == (1000, None)
        assert form_api.read_drinks(events.body) == ((drink,), False)


def test_faults_are_told_one_by_one_or_drawn_from_a_seed() -> None:
    script = Faults([Fault.HANG, None, Fault.CUT])
    assert [script.next("POST") for _ in range(4)] == [Fault.HANG, None, Fault.CUT, None]
    drawn = [[Faults(seed=7).next("POST") for _ in range(1)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert all(Faults(seed=7, rate=1.0, only_posts=True).next("GET") is None for _ in range(9))
