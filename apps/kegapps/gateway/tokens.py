"""The tokens that boards show: how they are made, and what is kept of them.

Knows randomness and a hash. Must not know boards, requests or the store.
A token has 160 random bits, so that its plain hash says nothing about it. `hashlib` and `secrets` would do the same
and bring OpenSSL into the process: 3.5 MB in a program that has 25.
"""

from __future__ import annotations

import importlib
import os
from _operator import _compare_digest
from collections.abc import Callable
from typing import Any, Final

PREFIX: Final = "kbe_"
LENGTH: Final = len(PREFIX) + 40


def new_token() -> str:
    """`kbe_` and 40 hexadecimal digits."""
    return PREFIX + os.urandom(20).hex()


def digest(token: str) -> str:
    """What is kept of a token."""
    return str(_sha256()(token.encode("utf-8", "replace")).hexdigest())


def matches(token: str, kept: str) -> bool:
    """Whether `kept` is what is kept of `token`; takes as long whatever is wrong with it."""
    return _compare_digest(digest(token), kept)


def _sha256() -> Callable[[bytes], Any]:
    """Python's own, wherever this version of it has it."""
    for module in ("_sha2", "_sha256", "hashlib"):
        try:
            return importlib.import_module(module).sha256  # type: ignore[no-any-return]
        except ImportError:
            continue
    raise AssertionError("hashlib is part of Python")
