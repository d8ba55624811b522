"""Seals on the letters of two bridges that share a secret: who does not know it can neither write nor change one.

Knows letters as bytes, topics and a hash. Must not know connections, clocks or what letters say.
A seal is the last key of the letter, a keyed BLAKE2s (RFC 7693) over the topic and all of the letter before it; so one
machine's letters are not another's, and those to a machine are not those from it. It says nothing of when a letter was
written: an order's stamp, and the numbers of events, do.
"""

from __future__ import annotations

# Not by hashlib and hmac, which bring in all of OpenSSL: 4 MB.
from _blake2 import blake2s
from _operator import _compare_digest
from typing import Final

from kegapps.bridge.mqtt_letters import LetterError

_SEAL_BYTES: Final = 16
_BEFORE: Final = b', "seal": "'
_AFTER: Final = b'"}'
_LENGTH: Final = len(_BEFORE) + 2 * _SEAL_BYTES + len(_AFTER)


class Seals:
    """With the secret of both bridges; with an empty one nothing is sealed, and every letter taken."""

    def __init__(self, secret: str = "") -> None:
        self._key = blake2s(secret.encode()).digest() if secret else b""

    def __bool__(self) -> bool:
        """True with a secret."""
        return bool(self._key)

    def seal(self, topic: str, letter: bytes) -> bytes:
        """`letter`, a JSON object, as it is published to `topic`."""
        if not self._key:
            return letter
        return letter[:-1] + _BEFORE + self._of(topic, letter) + _AFTER

    def check(self, topic: str, payload: bytes) -> bytes:
        """`payload` as it came, if it was sealed for `topic`. Raises LetterError."""
        if self._key:
            end = payload[-_LENGTH:]
            if not (end.startswith(_BEFORE) and end.endswith(_AFTER)):
                raise LetterError("it bears no seal; the bridges need the same --mqtt_secret_file")
            seal = end[len(_BEFORE) : -len(_AFTER)]
            if not _compare_digest(seal, self._of(topic, payload[:-_LENGTH] + b"}")):
                raise LetterError("its seal is wrong; the bridges need the same --mqtt_secret_file")
        return payload

    def _of(self, topic: str, letter: bytes) -> bytes:
        # A topic has no NUL: what is sealed can be read in one way only.
        digest = blake2s(b"%s\0%s" % (topic.encode(), letter), key=self._key, digest_size=_SEAL_BYTES)
        return digest.hexdigest().encode()
