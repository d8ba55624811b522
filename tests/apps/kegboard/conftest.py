from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.kegboard.programs import Bar, bar_in


@pytest.fixture
def bar(tmp_path: Path) -> Iterator[Bar]:
    yield from bar_in(tmp_path)
