"""kegbot_doctor on a kegerator under master.py, found by its configuration alone."""

from __future__ import annotations

import json

from tests.e2e.conftest import Kegerator
from tests.master.conftest import eventually


def test_the_doctor_finds_the_whole_chain_and_an_app_that_was_stopped(kegerator: Kegerator) -> None:
    kegerator.board("pour", "flow0", "200", "--seconds=0.5")
    eventually(lambda: kegerator.admin("taps"))
    master = (f"--master_config={kegerator.config}", f"--pidfile_dir={kegerator.run}")
    answer = json.loads(kegerator.program_output("kegbot_doctor.py", "--json", *master))
    assert answer["verdict"] == "The chain is whole.", answer
    assert answer["findings"][0]["text"].endswith("kegbot_core, kegboard_simulator and kegboard_daemon run")
    settings = {row["name"]: row["value"] for row in answer["settings"]}
    assert settings["core"] == f"localhost:{kegerator.port}"
    assert settings["device"] == f"{kegerator.run}/kegboard"
    kegerator.master("stop", "kegboard_daemon")
    answer = json.loads(
        kegerator.program_output("kegbot_doctor.py", "--json", "--noprobe", *master, expect=1)
    )
    cure = " ".join(["master.py start kegboard_daemon", *master])
    assert answer["verdict"] == f"The chain is cut at: master. Do: {cure}"
