"""From a pour on the bus to the network: kegbot_core.py, test_flow.py and publisher.py, all real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kegapps.core.ledger import Ledger
from tests.apps.core.bar import ALICE_RFID
from tests.apps.core.programs import CoreProgram, furnish
from tests.apps.core.swapped_stores import SwappedStores
from tests.apps.publish.programs import SCRIPTS, Publisher
from tests.apps.publish.sink import DEADLINE_S, Sink


def pour(port: int, *flags: str) -> None:
    done = subprocess.run(
        [
            sys.executable, str(SCRIPTS / "test_flow.py"), f"--kb_core_addr=localhost:{port}", "--step_wait=0",
            "--explicit_start_stop", "--wait_for_drink", *flags,
        ],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_pour_is_announced_with_user_volume_beverage_and_tap_also_one_of_while_it_was_away(
    tmp_path: Path,
) -> None:
    store = tmp_path / "core.sqlite"
    furnish(store)
    ledger = Ledger(str(store))
    ledger.set_tap("kegboard.flow0", description="the left tap")
    ledger.tap_keg("kegboard.flow0", beverage="Stout", volume_ml=50_000.0, now_unix_s=0.0)
    ledger.close()
    sink = Sink()
    device, token = ALICE_RFID
    with CoreProgram(store) as core:
        publisher = Publisher(tmp_path, ("127.0.0.1", core.port), sink.url())
        publisher.flags = ("--rate_limit=100/1", "--units=pint")
        try:
            publisher.start()
            publisher.says("announced from now on")
            pour(core.port, "--ticks=1041", f"--auth_token={device}:{token}")
            sink.wait_for(lambda: len(sink.taken) == 1, publisher.output())
            assert publisher.end() == 0
            pour(core.port, "--ticks=2082")
            publisher.start()
            sink.wait_for(lambda: len(sink.taken) == 2, publisher.output())
            assert sink.taken == [
                "alice poured 1.00 pints of Stout from the left tap",
                "Somebody poured 2.00 pints of Stout from the left tap",
            ]
            assert publisher.end() == 0
        finally:
            publisher.close()
            sink.close()


def test_whatever_becomes_of_the_core_s_store_each_drink_is_announced_once(tmp_path: Path) -> None:
    sink = Sink()
    with SwappedStores(tmp_path) as stores:
        publisher = Publisher(tmp_path, ("127.0.0.1", stores.port), sink.url())
        publisher.flags = ("--rate_limit=100/1", "--message_anonymous={drink}")
        try:
            publisher.start()
            publisher.says("announced from now on")
            stores.run_through(told=lambda: len(sink.taken), wait_for=publisher.says_times)
            assert publisher.end() == 0
            assert sink.taken == [str(number) for number in (1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 21)]
        finally:
            publisher.close()
            sink.close()
