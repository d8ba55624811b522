from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kegapps.kbsp.codec import Decoder, encode
from kegapps.kbsp.messages import Message, OutputStatus, Ping, SetOutput
from kegapps.kegboard.pacing import Pacer
from tests.apps.kegboard.bench import Bench


def commands(data: bytes) -> list[Message]:
    return list(Decoder().feed(data))


def set_output(output: int, mode: int) -> SetOutput:
    return SetOutput(output_id=output, output_mode=mode)


def drain(pacer: Pacer, now_s: float) -> list[tuple[float, bytes]]:
    """Everything that waits, taken as soon as it may be."""
    taken = []
    while (next_s := pacer.next_s) is not None:
        now_s = max(now_s, next_s)
        taken.append((now_s, pacer.take(now_s)))
    return taken


def test_a_command_goes_at_once_when_nothing_was_sent() -> None:
    pacer = Pacer()
    pacer.set_output(1, enabled=True)
    assert commands(pacer.take(10.0)) == [set_output(1, 1)]
    assert pacer.next_s is None
    assert pacer.take(11.0) == b""


def test_a_newer_command_for_an_output_replaces_the_older() -> None:
    pacer = Pacer()
    for enabled in (True, False, True, False):
        pacer.set_output(1, enabled=enabled)
    assert commands(pacer.take(10.0)) == [set_output(1, 0)]


def test_nothing_follows_a_ping_for_300_ms() -> None:
    pacer = Pacer()
    pacer.ping()
    pacer.set_output(1, enabled=True)
    assert commands(pacer.take(10.0)) == [Ping()]
    assert pacer.take(10.29) == b""
    assert commands(pacer.take(10.3)) == [set_output(1, 1)]


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(-1, 5), st.booleans()), max_size=40))
def test_never_are_more_than_63_bytes_under_way_while_the_board_may_be_deaf(
    wishes: list[tuple[float, int, bool]],
) -> None:
    pacer, now_s = Pacer(), 100.0
    sent: list[tuple[float, bytes]] = []
    for wait_s, output, enabled in wishes:
        now_s += wait_s
        if output < 0:
            pacer.ping()
        else:
            pacer.set_output(output, enabled=enabled)
        sent.append((now_s, pacer.take(now_s)))
    sent += drain(pacer, now_s)
    for start_s, _ in sent:
        assert sum(len(data) for time_s, data in sent if start_s <= time_s < start_s + 0.4) <= 63


def test_all_six_outputs_get_through_to_a_board_that_plays_its_tune() -> None:
    pacer, bench = Pacer(), Bench()
    bench.tell(encode(Ping()))
    bench.wait(0.001)
    for output in range(6):
        pacer.set_output(output, enabled=True)
    for time_s, data in drain(pacer, bench.now_s):
        bench.wait(time_s - bench.now_s)
        bench.tell(data)
    bench.wait(1)
    assert len(bench.times_s(OutputStatus)) == 6
    assert all(bench.board.outputs_enabled)
    assert bench.board.overrun_bytes == 0


def test_in_a_hurry_six_outputs_are_off_within_200_ms() -> None:
    pacer = Pacer()
    pacer.set_output(0, enabled=True)
    pacer.take(10.0)
    pacer.ping()
    pacer.hurry()
    for output in range(6):
        pacer.set_output(output, enabled=False)
    sent = drain(pacer, 10.0)
    assert commands(b"".join(data for _, data in sent)) == [set_output(output, 0) for output in range(6)]
    assert sent[-1][0] < 10.2


def test_another_line_starts_afresh() -> None:
    pacer = Pacer()
    pacer.ping()
    pacer.take(10.0)
    pacer.set_output(0, enabled=True)
    pacer.forget()
    assert pacer.next_s is None
    pacer.set_output(1, enabled=True)
    assert commands(pacer.take(10.0)) == [set_output(1, 1)]
