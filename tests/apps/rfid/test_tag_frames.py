from __future__ import annotations

import pytest

from kegapps.rfid.tag_frames import TagDecoder
from tests.apps.rfid.readers import ALICES, BOBS, id12, rdm6300

# As recorded: the tag of the protocol page, 04^15^ab^96^c3 = ef.
RECORDED = b"\x020415AB96C3EF\r\n\x03"


def test_a_recorded_frame_is_its_token() -> None:
    assert id12(ALICES) == RECORDED
    assert list(TagDecoder().feed(RECORDED)) == ["0415ab96c3"]


@pytest.mark.parametrize(
    ("data", "tokens"),
    [
        (rdm6300(ALICES), [ALICES]),
        (rdm6300(ALICES) * 3, [ALICES] * 3),
        (id12(ALICES) + rdm6300(BOBS), [ALICES, BOBS]),
        (RECORDED.lower(), [ALICES]),
        (b"noise\0\xff" + RECORDED + b"noise", [ALICES]),
        (RECORDED[:9] + RECORDED, [ALICES]),
        (b"\x02" * 100 + RECORDED, [ALICES]),
    ],
)
def test_good_frames_are_found_among_anything(data: bytes, tokens: list[str]) -> None:
    assert list(TagDecoder().feed(data)) == tokens


@pytest.mark.parametrize(
    ("data", "counter"),
    [
        (RECORDED.replace(b"EF", b"EE"), "bad_checksums"),
        (RECORDED.replace(b"0415", b"1415"), "bad_checksums"),
        (RECORDED.replace(b"EF", b""), "malformed"),
        (RECORDED.replace(b"EF", b"EFEF"), "malformed"),
        (RECORDED.replace(b"A", b"G"), "malformed"),
        (RECORDED.replace(b"A", b"\0"), "malformed"),
        (RECORDED.replace(b"\r\n", b"\n\r"), "malformed"),
        (RECORDED.replace(b"\r", b""), "malformed"),
        (b"\x02\x03", "malformed"),
        (b"\x03" * 5, "garbage_bytes"),
        (RECORDED[1:], "garbage_bytes"),
    ],
)
def test_damage_is_no_token_is_counted_and_costs_nothing_behind_it(data: bytes, counter: str) -> None:
    decoder = TagDecoder()
    assert list(decoder.feed(data)) == []
    assert getattr(decoder, counter) > 0
    assert list(decoder.feed(RECORDED)) == [ALICES]


def test_how_the_bytes_are_cut_makes_no_difference() -> None:
    data = RECORDED + b"x\x02" + rdm6300(BOBS)
    for cut in range(len(data)):
        decoder = TagDecoder()
        assert [*decoder.feed(data[:cut]), *decoder.feed(data[cut:])] == [ALICES, BOBS]


def test_an_endless_frame_is_given_up() -> None:
    decoder = TagDecoder()
    assert list(decoder.feed(b"\x02" + b"0" * 1_000_000)) == []
    assert (decoder.malformed, decoder.garbage_bytes) == (1, 1_000_000 - 13)
