"""What is said to a serial display and when, in no time: answers lost, refused, late, damaged; changes, often."""

from __future__ import annotations

import pytest

from kegapps.lcd import cfa635, mtxorb
from kegapps.lcd.cfa635_talk import Cfa635Talk
from kegapps.lcd.mtxorb_talk import MatrixOrbitalTalk
from kegapps.lcd.picture import Picture
from kegapps.lcd.talk import Talk
from tests.apps.lcd.emulators import CfaGlass, MatrixGlass, cfa_packet

OPENING = 3  # packets before the first row: clear, no cursor, light
KEY = cfa_packet(0x80, b"\x05")


class Conversation:
    """A talk and a glass; time goes on as told."""

    def __init__(self, glass: CfaGlass | MatrixGlass) -> None:
        self.glass = glass
        is_cfa = isinstance(glass, CfaGlass)
        codes = cfa635.CODES if is_cfa else mtxorb.CODES
        self.picture = Picture(rows=4, columns=20, codes=codes)
        self.talk: Talk = Cfa635Talk(self.picture) if is_cfa else MatrixOrbitalTalk(self.picture)
        self.now_s = 0.0
        self.talk.opened()
        self.sent: list[tuple[float, bytes]] = []

    def go_on(self) -> None:
        """Until nothing is to be sent at this moment."""
        while data := self.talk.run(self.now_s):
            self.sent.append((self.now_s, data))
            self.talk.heard(self.glass.take(data))

    def until(self, now_s: float) -> None:
        self.go_on()
        while (wake_s := self.talk.wake_s()) is not None and wake_s <= now_s:
            self.now_s = max(self.now_s, wake_s)
            self.go_on()
        self.now_s = now_s

    def show(self, *rows: str) -> None:
        self.picture.show(rows)
        self.go_on()


@pytest.fixture
def cfa() -> Conversation:
    """Just opened, all blank."""
    made = Conversation(CfaGlass())
    made.go_on()
    return made


def glass_of(conversation: Conversation) -> CfaGlass:
    assert isinstance(conversation.glass, CfaGlass)
    assert conversation.glass.violations == []
    return conversation.glass


def test_a_cfa635_is_cleared_its_cursor_hidden_its_light_lit_and_every_row_written(cfa: Conversation) -> None:
    glass = glass_of(cfa)
    assert [packet[0] for packet in glass.packets] == [6, 12, 14, 31, 31, 31, 31]
    assert (glass.cursor_style, glass.light, glass.written) == (0, True, [1, 1, 1, 1])
    assert cfa.talk.ready
    assert cfa.talk.wake_s() is None  # nothing more, until something changes


def test_only_rows_that_changed_are_sent(cfa: Conversation) -> None:
    cfa.until(1)
    cfa.show("kegbot", "", "user: alice")
    assert glass_of(cfa).written == [2, 1, 2, 1]
    cfa.until(2)
    cfa.show("kegbot", "", "user: alice")
    cfa.until(3)
    cfa.show("kegbot", "", "user: bob")
    assert glass_of(cfa).written == [2, 1, 3, 1]
    assert glass_of(cfa).text[2] == "user: bob".ljust(20)


def test_the_light_alone_is_one_packet(cfa: Conversation) -> None:
    cfa.until(1)
    sent = len(cfa.sent)
    cfa.picture.light(False)
    cfa.go_on()
    assert [data.hex(" ") for _, data in cfa.sent[sent:]] == ["0e 01 00 0f cf"]
    assert glass_of(cfa).light is False


@pytest.mark.parametrize("glass", [CfaGlass(), MatrixGlass()], ids=["cfa635", "mtxorb"])
def test_a_hundred_changes_a_second_are_ten_refreshes_and_the_last_is_shown(
    glass: CfaGlass | MatrixGlass,
) -> None:
    talk = Conversation(glass)
    talk.until(1)
    before = glass.written[0]
    for at in range(101):
        talk.until(1 + at / 100)
        talk.show(f"oz: {at}")
    assert 9 <= glass.written[0] - before <= 12
    talk.until(5)
    assert glass.text[0] == "oz: 100".ljust(20)
    assert glass.violations == []


@pytest.mark.parametrize("glass", [CfaGlass(), MatrixGlass()], ids=["cfa635", "mtxorb"])
def test_with_the_first_change_after_a_minute_everything_is_sent_and_before_that_nothing(
    glass: CfaGlass | MatrixGlass,
) -> None:
    talk = Conversation(glass)
    talk.until(30)
    talk.show("a", "b", "c", "d")
    talk.until(600)
    assert glass.written == [2, 2, 2, 2]
    glass.blank()  # its power failed for a moment
    talk.show("a", "b", "c", "e")
    assert glass.text == [letter.ljust(20) for letter in "abce"]
    assert glass.written == [3, 3, 3, 3]


@pytest.mark.parametrize("fault", ["lose", "spoil", "refuse"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_packet_without_its_answer_is_sent_again_after_250_ms(
    cfa: Conversation, fault: str, times: int
) -> None:
    cfa.until(1)
    setattr(glass_of(cfa), fault, times)
    sent = len(cfa.sent)
    cfa.show("x")
    cfa.until(2)
    packet = cfa.sent[sent][1]
    assert cfa.sent[sent:] == [(1 + n * 0.25, packet) for n in range(times + 1)]
    assert glass_of(cfa).text[0] == "x".ljust(20)
    assert cfa.talk.ready
    assert cfa.talk.wake_s() is None


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [("lose", "no answer"), ("spoil", "no answer"), ("refuse", "it refuses command 31")],
)
def test_after_the_third_time_there_is_no_point_in_going_on(
    cfa: Conversation, fault: str, trouble: str
) -> None:
    cfa.until(1)
    setattr(glass_of(cfa), fault, 99)
    sent = len(cfa.sent)
    cfa.show("x", "y")
    cfa.until(60)
    assert [at for at, _ in cfa.sent[sent:]] == [1, 1.25, 1.5]
    assert (cfa.talk.ready, cfa.talk.trouble) == (False, trouble)
    assert cfa.talk.wake_s() is None
    # Opened again, it begins from nothing.
    setattr(glass_of(cfa), fault, 0)
    cfa.talk.opened()
    cfa.go_on()
    assert cfa.talk.ready
    assert glass_of(cfa).text[:2] == ["x".ljust(20), "y".ljust(20)]


def test_a_key_pressed_between_a_command_and_its_answer_is_nobodys_answer() -> None:
    glass = CfaGlass()
    glass.before = KEY + KEY
    conversation = Conversation(glass)
    conversation.go_on()
    assert len(glass.packets) == OPENING + 4
    glass.lose, before = 1, len(conversation.sent)
    conversation.until(1)
    conversation.show("x")
    conversation.talk.heard(KEY)
    conversation.go_on()
    assert len(conversation.sent) == before + 1  # still awaited
    conversation.until(1.25)
    assert len(conversation.sent) == before + 2


def test_an_answer_to_another_command_is_not_this_ones(cfa: Conversation) -> None:
    cfa.until(1)
    glass_of(cfa).lose = 1
    cfa.show("x")
    for stranger in (cfa_packet(0x46), cfa_packet(0x4E), cfa_packet(0xC6), cfa_packet(0x1F)):
        cfa.talk.heard(stranger)
    assert cfa.talk.run(1.1) == b""
    assert cfa.talk.run(1.25) != b""


def test_one_packet_is_under_way_at_a_time(cfa: Conversation) -> None:
    cfa.until(1)
    glass = glass_of(cfa)
    glass.hold = True
    sent = len(cfa.sent)
    cfa.show("a", "b", "c", "d")
    cfa.show("e", "f", "g", "h")
    assert len(cfa.sent) == sent + 1
    cfa.talk.heard(glass.release())
    cfa.until(2)
    assert glass_of(cfa).text == [letter.ljust(20) for letter in "efgh"]


def test_a_late_answer_to_the_first_attempt_is_not_taken_for_that_to_the_next_row(cfa: Conversation) -> None:
    cfa.until(1)
    glass = glass_of(cfa)
    glass.hold = True
    sent = len(cfa.sent)
    cfa.show("a", "b")
    cfa.now_s = 1.25
    cfa.go_on()  # the same again
    cfa.now_s = 1.3
    both = glass.release()
    cfa.talk.heard(both[:4])
    cfa.go_on()
    assert len(cfa.sent) == sent + 2  # the second answer may come yet
    cfa.talk.heard(both[4:])
    cfa.go_on()
    assert len(cfa.sent) == sent + 3
    assert glass_of(cfa).text[:2] == ["a".ljust(20), "b".ljust(20)]


def test_an_answer_behind_noise_that_looks_like_a_packet_counts(cfa: Conversation) -> None:
    cfa.until(1)
    glass = glass_of(cfa)
    glass.before = b"\x41\x16"
    sent = len(cfa.sent)
    cfa.show("a")
    cfa.until(2)
    assert len(cfa.sent) == sent + 1
    assert cfa.talk.ready


def test_a_matrix_orbital_that_another_program_left_in_the_middle_of_a_command_is_set_right() -> None:
    for begun in (
        b"",
        b"\xfe",
        b"\xfe\x47",
        b"\xfe\x47\x01",
        b"\xfe\x42",
        b"\xfe\x4e",
        b"\xfe\x4e123",
        b"rubbish" * 20,
    ):
        glass = MatrixGlass()
        glass.take(begun)
        conversation = Conversation(glass)
        conversation.show("a", "b", "c", "x" * 20)
        conversation.until(1)
        glass.violations.clear()  # of the other program's making
        conversation.until(100)
        conversation.show("a", "b", "c", "y" * 20)
        assert glass.text == [*(letter.ljust(20) for letter in "abc"), "y" * 20], begun
        assert (glass.wrap, glass.scroll, glass.underline, glass.blinking) == (False,) * 4, begun
        assert (glass.light, glass.violations) == (True, []), begun
