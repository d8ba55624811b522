"""OpenRC, from pid 1 on, has the master."""

from __future__ import annotations

from tests.boxes.box import Box
from tests.boxes.product import IN_ORDER, MASTER, ends, kept, kill_master, pids, witnesses

NAME = "kegmaster"


def test_openrc_starts_stops_and_shows_it_by_its_own_tools(openrc: Box) -> None:
    with openrc as box:
        before = kept(box)

        def service(verb: str) -> int:
            return box.run("rc-service", NAME, verb, expect=None).returncode

        box.run(MASTER, "install")
        assert f"{NAME} | default" in " ".join(box.run("rc-update", "show").stdout.split())
        assert witnesses(box) == []
        assert service("status") == 3
        box.reboot()
        running = pids(box)
        assert sorted(running) == witnesses(box) == ["one", "two"]
        assert [service(verb) for verb in ("status", "start", "reload")] == [0, 0, 0]
        assert pids(box) == running
        kill_master(box)
        assert service("status") == 1
        box.run(MASTER, "start")
        assert pids(box) == running
        assert service("restart") == 0
        assert witnesses(box) == ["one", "two"]
        assert not pids(box).items() & running.items()
        assert service("stop") == 0
        assert witnesses(box) == []
        assert [service(verb) for verb in ("status", "stop", "start")] == [3, 0, 0]
        box.reboot()
        assert ends(box) == IN_ORDER * 3
        assert witnesses(box) == ["one", "two"]
        for _ in range(2):
            box.run(MASTER, "remove", "--remove_install_args")
            assert witnesses(box) == []
        assert kept(box) == before
        assert NAME not in box.run("rc-update", "show").stdout
