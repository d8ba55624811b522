"""Boxes with kegmaster in them, not booted yet: a test may still write to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.boxes import box as boxes
from tests.boxes import inits, product
from tests.boxes.box import Box, BoxError


def _furnished(make: Callable[[], Box]) -> Iterator[Box]:
    if reason := boxes.why_not() or product.why_not():
        pytest.skip(reason)
    try:
        box = make()
    except BoxError as error:
        pytest.skip(str(error))
    try:
        product.install(box)
        product.configure(box)
        yield box
    finally:
        box.close()


def _with_packages(make: Callable[[], Box]) -> Callable[[], Box]:
    if os.environ.get("BOXES") != "all":
        pytest.skip("takes Debian's packages and some seconds: python -m tests.boxes")
    return make


@pytest.fixture
def systemd() -> Iterator[Box]:
    """A machine with systemd."""
    if not os.path.exists(inits.SYSTEMD.words[0]):
        pytest.skip("no systemd")
    yield from _furnished(lambda: Box(inits.SYSTEMD))


@pytest.fixture
def plain() -> Iterator[Box]:
    """A machine without systemd: pid 1 runs the scripts of /etc/rc2.d and /etc/rc0.d."""
    yield from _furnished(lambda: Box(inits.PLAIN))


@pytest.fixture
def sysvinit() -> Iterator[Box]:
    """A machine with Debian's System V init."""
    yield from _furnished(_with_packages(inits.sysvinit))


@pytest.fixture
def openrc() -> Iterator[Box]:
    """A machine with OpenRC."""
    yield from _furnished(_with_packages(inits.openrc))
