"""The session that Kegbot's people know, from the first start to the drink on the server, as the logs tell it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.apps.server.emulators import Emulator
from tests.master.conftest import eventually

from .conftest import Kegerator

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) +\([\w.]+\) .*")


def in_order(text: str, *words: str) -> None:
    place = 0
    for word in words:
        found = text.find(word, place)
        assert found >= 0, f"no {word!r} behind what came before it in:\n{text}"
        place = found + len(word)


def test_core_board_and_a_server_elsewhere_tell_of_a_pour_as_people_are_used_to(tmp_path: Path) -> None:
    with Emulator(host="127.0.0.2") as server:
        kegerator = Kegerator(tmp_path)
        key = tmp_path / "api_key"
        key.write_text(server.key + "\n")
        key.chmod(0o600)
        text = kegerator.config.read_text().replace(
            "[kegbot_core]\n",
            f"[kegbot_core]\napi_url = {server.url}\napi_key_file = {key}\napi_events = never\n",
        )
        kegerator.config.write_text(text)
        try:
            kegerator.master("start")
            kegerator.wait_for_board()
            kegerator.board("pour", "flow0", "1000")
            eventually(lambda: [drink for drink in server.memory.drinks if drink.ticks == 1000])
            core, daemon = kegerator.log / "kegbot_core.log", kegerator.log / "kegboard_daemon.log"
            eventually(lambda: "is on the Kegbot Server" in core.read_text())
            eventually(lambda: "New temperature sensor: kegboard.thermo-" in core.read_text())
            kegerator.master("stop")
            told = core.read_text()
            in_order(
                told,
                f"Kegbot Server is {server.url}",
                "Listening for apps on localhost:",
                "All threads started.",
            )
            in_order(told, "is a Kegbot Server", "and the API key is right; taps: 2")
            in_order(told, "127.0.0.1:", "connected", "Board kegboard is online: firmware 18")
            in_order(
                told, "starts on kegboard.flow0", "fell idle: 1000 ticks", "Drink 1 is on the Kegbot Server"
            )
            in_order(daemon.read_text(), "connected", "firmware 18")
            for line in (*told.splitlines(), *daemon.read_text().splitlines()):
                assert LINE.fullmatch(line), line
        finally:
            kegerator.close()
