"""What most tests of publishers need: a core that tells its drinks, a network, and a publisher that knows both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.kegnet.support import Core, running_core
from tests.apps.publish.programs import Publisher, Store
from tests.apps.publish.sink import Sink


class Bar:
    """A core with a store, a network, and a publisher that knows both."""

    def __init__(self, core: Core, folder: Path) -> None:
        self.core = core
        self.store = Store(core)
        self.sink = Sink()
        self.sinks = [self.sink]
        self.publisher = Publisher(folder, core.hub.address, self.sink.url())

    def another_sink(self) -> Sink:
        self.sinks.append(Sink())
        return self.sinks[-1]

    def start(self, *flags: str) -> None:
        """Start it, and wait until it has asked the core; the first time also until it has begun to announce."""
        before, first = len(self.store.asked), not self.publisher.log.exists()
        self.publisher.start(*flags)
        self.core.turn_until(lambda: len(self.store.asked) > before, self.publisher.output())
        if first:
            self.publisher.says("announced from now on", self.core)

    def taken(self, *messages: str, sink: Sink | None = None) -> None:
        """Exactly these were taken, in this order."""
        sink = sink or self.sink
        self.core.turn_until(lambda: len(sink.taken) >= len(messages), self.publisher.output())
        assert sink.taken == list(messages)

    def close(self) -> None:
        self.publisher.close()
        for sink in self.sinks:
            sink.close()


@pytest.fixture
def bar(tmp_path: Path) -> Iterator[Bar]:
    with running_core() as core:
        made = Bar(core, tmp_path)
        yield made
        made.close()
