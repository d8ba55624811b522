"""Seals on letters: made with the secret, and for one topic; whatever else comes is refused."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.bridge.mqtt_letters import Down, LetterError, Took, read_down, read_took, write_down, write_took
from kegapps.bridge.mqtt_seal import Seals
from kegapps.kegnet.events import SetRelayOutputEvent

TOPIC = "kegbot/machines/cellar/down"
SEALS = Seals("a secret of both")
ORDER = Down(event=SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled"), stamp="r 1.000")
SEALED = SEALS.seal(TOPIC, write_down(ORDER))


def test_a_sealed_letter_is_read_as_it_was_written_and_is_json_for_any_mqtt_tool_still() -> None:
    assert read_down(SEALS.check(TOPIC, SEALED)) == ORDER
    key = hashlib.blake2s(b"a secret of both").digest()
    made = hashlib.blake2s(TOPIC.encode() + b"\0" + write_down(ORDER), key=key, digest_size=16).hexdigest()
    assert json.loads(SEALED) == {**json.loads(write_down(ORDER)), "seal": made}
    took = Took(session="s", took=7)
    assert read_took(SEALS.check("t", SEALS.seal("t", write_took(took)))) == took


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (TOPIC, write_down(ORDER)),
        (TOPIC, Seals("another").seal(TOPIC, write_down(ORDER))),
        (TOPIC, SEALED.replace(b"relay0", b"relay1")),
        (TOPIC, SEALED.replace(b"r 1.000", b"r 2.000")),
        (TOPIC, SEALED.replace(b'"seal": "', b'"seal": "0')),
        (TOPIC, SEALED[:-1] + b', "stamp": "r 2.000"}'),
        (TOPIC, b'{"seal": "' + b"\xff" * 32 + b'"}'),
        (TOPIC, b', "seal": "' + b"\xff" * 32 + b'"}'),
        (TOPIC, b""),
        ("kegbot/machines/garden/down", SEALED),
        ("kegbot/machines/cellar/up", SEALED),
        ("pub/machines/cellar/down", SEALED),
    ],
)
def test_what_was_not_sealed_for_this_topic_is_refused(topic: str, payload: bytes) -> None:
    with pytest.raises(LetterError, match="the same --mqtt_secret_file"):
        SEALS.check(topic, payload)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_no_bytes_whatever_have_a_seal(start: bytes, end: bytes) -> None:
    for payload in (start + end, start + SEALED[-45:] + end, start + SEALED[-45:]):
        if payload != SEALED:
            with pytest.raises(LetterError):
                SEALS.check(TOPIC, payload)


def test_without_a_secret_nothing_is_sealed_and_all_is_taken() -> None:
    assert not Seals()
    assert Seals().seal(TOPIC, write_down(ORDER)) == write_down(ORDER)
    assert read_down(Seals().check(TOPIC, SEALED)) == ORDER
