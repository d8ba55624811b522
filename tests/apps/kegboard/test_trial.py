"""The trial of a board's outputs, on emulated boards with faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from kegapps.kbsp.messages import Hello, Message, OutputStatus
from kegapps.kegboard.board import BoardConfig
from kegapps.kegboard.trial import Trial
from tests.apps.kegboard.bench import ON, Bench, set_output

Fault = Callable[[Bench, list[Message]], Iterable[Message]]
END_S = 100.0


def healthy(_bench: Bench, messages: list[Message]) -> Iterable[Message]:
    return messages


def tried(
    fault: Fault = healthy, config: BoardConfig | None = None, **how: float
) -> tuple[Trial, list[str], Bench]:
    """A whole trial: the trial, what it told, and the board afterwards."""
    bench = Bench(config)
    trial = Trial(
        (0, 1), cycles=int(how.get("cycles", 2)), interval_s=how.get("interval_s", 1.0), now_s=bench.now_s
    )
    told: list[str] = []
    while not trial.is_done:
        assert bench.now_s < 100.0 + END_S, told
        told += [step.text for step in trial.wake(bench.now_s)]
        if data := trial.take(bench.now_s):
            bench.tell(data)
        wait_s = 0.01 if trial.next_s is None else min(max(0.001, trial.next_s - bench.now_s), 0.01)
        told += [step.text for step in trial.heard(fault(bench, bench.wait(wait_s)), bench.now_s)]
    return trial, told, bench


def test_a_healthy_board_answers_every_command_and_lives_and_everything_is_off() -> None:
    trial, told, bench = tried()
    assert trial.faults == []
    assert (trial.asked, trial.answered, trial.on) == (8, 8, set())
    switched = [line.partition(":")[0] for line in told if line.startswith("relay")]
    assert switched == ["relay0 on", "relay0 off", "relay1 on", "relay1 off"] * 2
    assert [line.partition(",")[0] for line in told if "hello" in line] == ["hello: firmware 18"] * 2
    assert not any(bench.board.outputs_enabled)
    assert bench.board.overrun_bytes == 0


def test_one_that_stays_on_for_longer_than_the_boards_watchdog_is_fed() -> None:
    trial, _, _ = tried(cycles=1, interval_s=15.0)
    assert (trial.faults, trial.answered) == ([], 4)


def test_firmware_without_heartbeat_is_tried_as_well() -> None:
    trial, _, _ = tried(config=BoardConfig(firmware_version=8))
    assert (trial.faults, trial.answered) == ([], 8)


def test_what_was_on_before_is_switched_off_first() -> None:

    def was_on(bench: Bench, messages: list[Message]) -> Iterable[Message]:
        if not bench.heard:
            bench.tell(set_output(1, ON))
        return messages

    trial, told, _ = tried(was_on)
    assert "relay1 was on, and is off now" in told
    assert trial.faults == []


def deaf(_bench: Bench, _messages: list[Message]) -> Iterable[Message]:
    return ()


def silent_about_relay_1(_bench: Bench, messages: list[Message]) -> Iterable[Message]:
    return [m for m in messages if not (isinstance(m, OutputStatus) and m.output_name == "relay1")]


def silent_about_all(_bench: Bench, messages: list[Message]) -> Iterable[Message]:
    return [m for m in messages if not isinstance(m, OutputStatus)]


def reboots_at_relay_1(bench: Bench, messages: list[Message]) -> Iterable[Message]:
    if any(isinstance(m, OutputStatus) and m.output_name == "relay1" and m.enabled for m in messages):
        bench.board.reset(bench.now_s)
    return messages


def hangs_later(bench: Bench, messages: list[Message]) -> Iterable[Message]:
    return [m for m in messages if not isinstance(m, Hello)] if bench.now_s > 105.0 else messages


def falls_off(bench: Bench, messages: list[Message]) -> Iterable[Message]:
    off = [OutputStatus(output_name="relay0", enabled=False)]
    return [*messages, *off] if any(isinstance(m, OutputStatus) and m.enabled for m in messages) else messages


def is_old(_bench: Bench, messages: list[Message]) -> Iterable[Message]:
    return [Hello(firmware_version=5) if isinstance(m, Hello) else m for m in messages]


@pytest.mark.parametrize(
    ("fault", "firmware", "first"),
    [
        (deaf, 18, "nothing on it says hello"),
        (silent_about_relay_1, 18, "relay1 on: no answer within 1 s"),
        (silent_about_all, 18, "relay0 on: no answer within 1 s"),
        (reboots_at_relay_1, 18, "the board rebooted"),
        (reboots_at_relay_1, 8, "the board rebooted"),
        (hangs_later, 18, "no hello when it was asked for one at the end"),
        (falls_off, 18, "relay0 went off, though nobody asked for that"),
        (is_old, 18, "firmware 5 knows no relays"),
    ],
)
def test_a_fault_is_found_and_named(fault: Fault, firmware: int, first: str) -> None:
    trial, told, _ = tried(fault, BoardConfig(firmware_version=firmware))
    assert trial.faults[0].startswith(first), told


def test_an_answer_that_comes_too_late_is_one_fault() -> None:
    kept: list[Message] = []

    def late_once(bench: Bench, messages: list[Message]) -> Iterable[Message]:
        told = [m for m in messages if isinstance(m, OutputStatus)]
        if told and not kept:
            kept.extend(told)
            return [m for m in messages if m not in told]
        if len(kept) == 1 and bench.now_s > bench.times_s(OutputStatus)[0] + 100.0 + 1.2:
            kept.append(kept[0])
            return [kept[0], *messages]
        return messages

    trial, told, _ = tried(late_once)
    assert "relay0 on: answered too late" in told
    assert trial.faults == ["relay0 on: no answer within 1 s"]


def test_a_board_that_answers_nothing_is_given_up_soon() -> None:
    trial, _, _ = tried(silent_about_all, cycles=50)
    assert (trial.asked, trial.faults[-1]) == (3, "3 commands in a row were not answered")


def test_at_any_end_everything_is_told_to_be_off_what_is_on_first() -> None:
    trial = Trial((0, 1, 2, 3), cycles=1, interval_s=1.0, now_s=0.0)
    trial.on.add(3)
    trial.close()
    sent = trial.take(0.0) + trial.take(1.0) + trial.take(2.0)
    bench = Bench()

    bench.tell(set_output(3, ON))
    bench.tell(sent)
    assert not any(bench.board.outputs_enabled)
    assert sent.index(b"\x01\x01\x03") < sent.index(b"\x01\x01\x00")
