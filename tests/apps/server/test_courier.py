"""The courier's thread: answers come in the loop, in order, and neither a server nor a call holds up the process."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from kegapps.daemon.loop import Loop
from kegapps.server import form_api
from kegapps.server.calls import Answer, Call
from kegapps.server.courier import Courier
from kegapps.server.url import parse_api_url
from tests.apps.server.emulators import Emulator, Fault, Faults
from tests.apps.server.support import ask, pour

ROOT = Path(__file__).parents[3]


def test_answers_come_in_the_thread_of_the_loop_and_in_the_order_of_the_calls() -> None:
    with Emulator() as emulator:
        loop = Loop()
        courier = Courier(loop, parse_api_url(emulator.url), emulator.key)
        got: list[tuple[str, int | None, int]] = []

        def perform(call: Call) -> None:
            courier.perform(
                call, lambda answer: got.append((call.path, answer.status, threading.get_ident()))
            )

        calls = [form_api.get_taps(), form_api.get_token("core.rfid", "1"), form_api.get_events()] * 5
        for call in calls:
            perform(call)
        assert courier.waiting == 15
        while len(got) < 15:
            loop.run_once(5.0)
        assert [path for path, _, _ in got] == [call.path for call in calls]
        assert {ident for _, _, ident in got} == {threading.get_ident()}
        assert [status for _, status, _ in got] == [200, 404, 200] * 5
        assert courier.waiting == 0
        courier.close()
        loop.close()


def test_an_answer_may_lead_to_the_next_call_or_to_the_end() -> None:
    with Emulator() as emulator:
        loop = Loop()
        courier = Courier(loop, parse_api_url(emulator.url), emulator.key)
        got: list[Answer] = []

        def again(answer: Answer) -> None:
            got.append(answer)
            if len(got) == 3:
                courier.close()
                loop.stop()
            else:
                courier.perform(form_api.get_taps(), again)

        courier.perform(form_api.get_taps(), again)
        loop.run()
        assert [answer.status for answer in got] == [200] * 3
        courier.perform(form_api.get_taps(), again)  # after its end nothing happens
        assert courier.waiting == 0
        loop.close()


def test_closed_in_the_middle_of_a_call_it_hands_back_nothing_and_leaves_no_descriptor() -> None:
    process = psutil.Process()
    with Emulator(faults=Faults([Fault.HANG] * 9)) as emulator:
        before = process.num_fds()
        handed_back: list[Answer] = []
        for _ in range(3):
            loop = Loop()
            courier = Courier(loop, parse_api_url(emulator.url), emulator.key)
            courier.perform(Call(method="GET", path="taps", timeout_s=0.2), handed_back.append)
            courier.close()
            courier.close()
            loop.run_once(0.0)
            loop.close()
        end_s = time.monotonic() + 10
        while process.num_fds() > before or any(one.name == "courier" for one in threading.enumerate()):
            assert time.monotonic() < end_s
            gc.collect()
            time.sleep(0.01)
        assert handed_back == []


def test_a_call_that_fails_in_a_way_nobody_thought_of_is_answered_and_the_next_performed() -> None:
    with Emulator() as emulator:
        broken = Call(method="POST", path="x", json={"x": object()})
        failed, well = ask(emulator.url, emulator.key, broken, form_api.get_taps())
    assert (failed.error, failed.sent) == ("this call failed here: TypeError", True)
    assert well.status == 200


def test_a_loop_that_sleeps_is_woken_by_the_answer_and_by_nothing_else() -> None:
    with Emulator() as emulator:
        loop = Loop()
        courier = Courier(loop, parse_api_url(emulator.url), emulator.key)
        loop.run_once(0.0)
        got: list[Answer] = []
        courier.perform(form_api.get_taps(), got.append)
        loop.run_once(10.0)  # one turn: it returns when something is ready
        assert len(got) == 1
        begin_s = time.monotonic()
        loop.run_once(0.2)
        assert time.monotonic() - begin_s > 0.15
        courier.close()
        loop.close()


PROGRAM = """
import sys
from kegapps.daemon.loop import Loop
from kegapps.server import form_api
from kegapps.server.courier import Courier
from kegapps.server.url import parse_api_url
loop = Loop()
courier = Courier(loop, parse_api_url(sys.argv[1]), None)
courier.perform(form_api.get_taps(), print)
loop.call_later(float(sys.argv[2]), loop.stop)
print("waiting", flush=True)
loop.run()
assert not {"ssl", "http.client", "email"} & set(sys.modules)  # megabytes that plain http has no use for
"""


def program(url: str, runs_s: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, str(runs_s)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_server_that_hangs_delays_the_end_of_the_process_by_nothing() -> None:
    with Emulator(faults=Faults([Fault.HANG] * 2)) as emulator:
        with program(emulator.url, 0.3) as process:
            out, err = process.communicate(timeout=10)  # of the 20 s a call may take
            assert (process.returncode, out, err) == (0, "waiting\n", "")
        with program(emulator.url, 60.0) as process:
            assert process.stdout
            assert process.stdout.readline() == "waiting\n"
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(10) == -signal.SIGTERM


def test_a_backlog_of_a_thousand_drinks_is_carried_in_order() -> None:
    with Emulator() as emulator:
        calls = [form_api.post_drink(pour(ticks), now_unix_s=time.time()) for ticks in range(1, 1001)]
        answers = ask(emulator.url, emulator.key, *calls)
        assert all(answer.status == 200 for answer in answers)
        assert [drink.ticks for drink in emulator.memory.drinks] == list(range(1, 1001))
