from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from kegapps.kbsp.codec import MAX_FRAME_BYTES, PREFIX, Decoder, encode
from kegapps.kbsp.messages import Message
from tests.apps.kbsp.strategies import messages, noise

streams = st.lists(st.binary(max_size=200) | messages.map(encode) | st.just(PREFIX), max_size=12).map(
    b"".join
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


@given(messages)
def test_a_message_survives_the_wire(message: Message) -> None:
    decoder = Decoder()
    assert list(decoder.feed(encode(message))) == [message]
    assert (decoder.garbage_bytes, decoder.pending_bytes) == (0, 0)


@given(streams, st.lists(st.integers(0, 5000), max_size=30))
def test_any_chunking_gives_the_same_messages_and_counts(data: bytes, places: list[int]) -> None:
    whole, pieces = Decoder(), Decoder()
    expected = list(whole.feed(data))
    assert [message for piece in cut(data, places) for message in pieces.feed(piece)] == expected
    assert vars(pieces) == vars(whole)


@given(st.lists(st.tuples(noise, messages), max_size=8), noise)
def test_noise_between_frames_costs_no_message(parts: list[tuple[bytes, Message]], last: bytes) -> None:
    decoder = Decoder()
    stream = b"".join(before + encode(message) for before, message in parts) + last
    assert list(decoder.feed(stream)) == [message for _, message in parts]
    assert decoder.garbage_bytes == sum(len(before) for before, _ in parts) + len(last)


@settings(max_examples=300)
@given(streams)
def test_every_byte_is_in_a_frame_or_garbage_or_pending(data: bytes) -> None:
    decoder = Decoder()
    found = list(decoder.feed(data))
    assert decoder.pending_bytes < MAX_FRAME_BYTES
    in_frames = len(data) - decoder.garbage_bytes - decoder.pending_bytes
    assert in_frames >= 16 * (len(found) + decoder.unknown_messages + decoder.malformed)


@given(messages, st.binary(max_size=60), messages)
def test_a_good_frame_is_never_lost_to_what_stands_before_it_once_the_line_is_quiet(
    first: Message, junk: bytes, last: Message
) -> None:
    decoder = Decoder()
    stream = encode(first) + junk + encode(last)
    found = [*decoder.feed(stream), *decoder.settle()]
    assert found[0] == first
    assert found[-1] == last
