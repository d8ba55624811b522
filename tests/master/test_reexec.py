"""`reexec`: another version takes over keeper and watchdog, and the apps do not notice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import kegmaster
from kegmaster import __version__, reexec
from kegmaster.succession import verdict

from .conftest import DETACHER, Box, eventually, living, proc_stat, wait_for_end

NOTIFIER = f"""#!{sys.executable} -IS
import os, signal, socket
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = os.environ["NOTIFY_SOCKET"]
sock.sendto(b"READY=1", "\\0" + address[1:] if address.startswith("@") else address)
while True:
    signal.pause()
"""


class Installation:
    """A copy of the launcher that a test may change: what the package manager does in an upgrade."""

    def __init__(self, box: Box) -> None:
        source = Path(kegmaster.__file__).parent
        self.package = box.directory / "lib" / "kegmaster"
        shutil.copytree(source, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        self.gate = box.directory / "gate"
        box.script = box.program(
            "master.py",
            f"#!{sys.executable}\nimport sys\nsys.dont_write_bytecode = True\n"
            f"sys.path.insert(0, {str(self.package.parent)!r})\n"
            "from kegmaster.command import main\nsys.exit(main(sys.argv))\n",
        )

    def become(self, version: str) -> None:
        (self.package / "__init__.py").write_text(f"__version__ = {version!r}\n")

    def spoil(self, module: str, text: str) -> None:
        """Put `text` in front of a module."""
        path = self.package / f"{module}.py"
        path.write_text(path.read_text().replace("\nimport os\n", f"\nimport os\n{text}\n", 1))

    def hold_up(self) -> None:
        """The new watchdog waits for the gate before it looks at anything."""
        self.spoil(
            "adoption",
            "import sys, time\nwhile 'role=watchdog' in sys.argv and not os.path.exists("
            f"{str(self.gate)!r}): time.sleep(0.01)",
        )


def three_kinds(box: Box) -> None:
    box.write(
        f"""
        [forking]
        _enabled = True
        _program_name = {box.program("detacher", DETACHER)}
        [simple]
        _enabled = True
        _command = {box.program("probe")}
        [notify]
        _enabled = True
        _type = notify
        _command = {box.program("notifier", NOTIFIER)}
        """
    )


def apps(box: Box) -> dict[str, tuple[object, ...]]:
    return {row["name"]: (row["state"], row["pid"], row["restarts"]) for row in box.status()["apps"]}


def keeper_of(box: Box) -> int:
    return int(proc_stat(box.master_pid())[1])


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def begin_reexec(box: Box) -> subprocess.Popen[str]:
    return subprocess.Popen(
        box.command("reexec"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"HOME": str(box.home), "PATH": os.environ["PATH"]},
    )  # fmt: skip


def test_another_version_takes_over_and_the_apps_keep_pid_and_restart_count(box: Box) -> None:
    installed = Installation(box)
    three_kinds(box)
    box.master("start")
    before, watchdog, keeper = apps(box), box.master_pid(), keeper_of(box)
    assert {state for state, _, _ in before.values()} == {"running"}
    installed.become("9.9.9")
    told = box.master("reexec").stdout
    assert told.startswith(f"master: replaced, version {__version__} -> 9.9.9, 3 apps kept, control away 0.")
    assert box.status()["master"]["version"] == "9.9.9"
    assert apps(box) == before
    assert (box.master_pid(), keeper_of(box)) == (watchdog, keeper)
    events = [json.loads(line) for line in box.master("events", "--json", "-n", "100").stdout.splitlines()]
    last = [row for row in events if row["app"] == "kegbot_master"][-1]
    assert (last["from"], last["to"], last["pid"]) == ("running", "running", watchdog)
    assert last["reason"] == f"replaced by version 9.9.9, which was {__version__}, adopted 3 apps"
    assert "role=watchdog" in command_line(watchdog)
    assert "role=keeper" in command_line(keeper)
    os.kill(watchdog, signal.SIGKILL)
    wait_for_end(watchdog)
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert box.status()["master"]["version"] == "9.9.9", "the keeper has the new version in memory too"
    assert apps(box) == before
    box.master("stop")
    assert box.processes() == []


def test_ten_changes_in_a_row_leave_no_descriptor_and_no_process_behind(box: Box) -> None:
    three_kinds(box)
    box.master("start")
    before, master = apps(box), (box.master_pid(), keeper_of(box))

    def descriptors() -> list[int]:
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in master]

    box.master("reexec")
    first = descriptors()
    for _ in range(9):
        told = json.loads(box.master("reexec", "--json").stdout)
        assert told["master"]["apps"] == 3
        # The client's connection may be still closing.
        eventually(lambda: all(now <= then for now, then in zip(descriptors(), first, strict=True)))
    assert apps(box) == before
    assert len(box.processes()) == 5


def test_a_program_killed_during_the_change_is_restarted_once_and_its_end_is_known(box: Box) -> None:
    installed = Installation(box)
    three_kinds(box)
    box.master("start")
    before, watchdog = apps(box), box.master_pid()
    installed.become("9.9.9")
    installed.hold_up()
    changing = begin_reexec(box)
    eventually(lambda: "role=watchdog" in command_line(watchdog))
    victims = [int(str(before[name][1])) for name in ("simple", "forking")]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(living(pid) for pid in victims))
    second = box.directory / "second"
    assert subprocess.run(["flock", "-n", box.run, "touch", second]).returncode == 1
    assert not second.exists(), "the lock is never free"
    installed.gate.touch()
    output, errors = changing.communicate(timeout=60)
    assert changing.returncode == 0, errors
    assert "1 app kept" in output
    eventually(lambda: {state for state, _, _ in apps(box).values()} == {"running"})
    for name in ("simple", "forking"):
        row = box.app(name)
        assert row["restarts"] == 1
        assert row["last_exit"] == {"status": None, "signal": 9}
    assert apps(box)["notify"] == before["notify"]


@pytest.mark.parametrize(
    ("module", "text", "words"),
    [("watchdog", "this is no Python", "SyntaxError"), ("keeper", "import missing_module", "ModuleNotFound")],
)
def test_a_version_that_does_not_start_is_refused_and_nothing_changes(
    box: Box, module: str, text: str, words: str
) -> None:
    installed = Installation(box)
    three_kinds(box)
    box.master("start")
    before, watchdog = apps(box), box.master_pid()
    # The client must start: it is what calls the new version that shall not.
    broken = box.directory / "broken"
    shutil.copytree(installed.package.parent, broken)
    installed.spoil(module, text)
    client = box.program(
        "client.py", box.script.read_text().replace(str(installed.package.parent), str(broken))
    )
    box.script = client
    refused = box.master("reexec", expect=1).stderr
    assert "the new version does not start" in refused
    assert words in refused
    assert "nothing has changed" in refused
    assert apps(box) == before
    assert box.master_pid() == watchdog
    assert "_take_over" not in command_line(watchdog)


def test_a_version_that_falls_as_it_takes_over_is_succeeded_by_the_one_before(box: Box) -> None:
    installed = Installation(box)
    three_kinds(box)
    box.master("start")
    before = apps(box)
    installed.become("9.9.9")
    installed.spoil("adoption", "import sys\nif 'role=watchdog' in sys.argv: raise SystemError('spoilt')")
    refused = box.master("reexec", expect=1).stderr
    assert f"version {__version__} runs now" in refused
    assert box.status()["master"]["version"] == __version__
    assert apps(box) == before


def test_a_version_that_hangs_as_it_takes_over_is_succeeded_by_the_one_before(box: Box) -> None:
    installed = Installation(box)
    path = installed.package / "reexec.py"
    path.write_text(path.read_text().replace("READY_WITHIN_S: Final = 30", "READY_WITHIN_S: Final = 2"))
    three_kinds(box)
    box.master("start")
    before = apps(box)
    installed.become("9.9.9")
    installed.hold_up()
    assert f"version {__version__} runs now" in box.master("reexec", expect=1).stderr
    assert apps(box) == before


def test_a_watchdog_killed_in_the_middle_of_the_change_is_back(box: Box) -> None:
    installed = Installation(box)
    three_kinds(box)
    box.master("start")
    before, watchdog = apps(box), box.master_pid()
    installed.hold_up()
    changing = begin_reexec(box)
    eventually(lambda: "role=watchdog" in command_line(watchdog))
    os.kill(watchdog, signal.SIGKILL)
    changing.communicate(timeout=60)
    assert changing.returncode == 1
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert apps(box) == before


def test_a_keeper_killed_in_the_middle_of_the_change_is_replaced(box: Box) -> None:
    installed = Installation(box)
    three_kinds(box)
    box.master("start")
    before, watchdog, keeper = apps(box), box.master_pid(), keeper_of(box)
    installed.hold_up()
    changing = begin_reexec(box)
    eventually(lambda: "role=watchdog" in command_line(watchdog))
    os.kill(keeper, signal.SIGKILL)
    wait_for_end(keeper)
    installed.gate.touch()
    changing.communicate(timeout=60)
    eventually(lambda: box.status()["master"]["state"] == "running" and box.master_pid() != watchdog)
    assert apps(box) == before
    box.master("stop")
    assert box.processes() == []


@pytest.mark.parametrize("whom", ["keeper", "watchdog"])
def test_a_sigterm_during_the_change_still_stops_everything(box: Box, whom: str) -> None:
    installed = Installation(box)
    three_kinds(box)
    box.master("start")
    watchdog, keeper = box.master_pid(), keeper_of(box)
    installed.hold_up()
    changing = begin_reexec(box)
    eventually(lambda: "role=watchdog" in command_line(watchdog))
    os.kill({"keeper": keeper, "watchdog": watchdog}[whom], signal.SIGTERM)
    installed.gate.touch()
    changing.communicate(timeout=60)
    eventually(lambda: box.processes() == [])
    assert not (box.run / "kegbot_master.pid").exists()


def test_a_ready_that_is_told_during_the_change_is_heard(box: Box) -> None:
    installed = Installation(box)
    ready = box.directory / "ready"
    late = NOTIFIER.replace(
        "sock =", f"import time\nwhile not os.path.exists({str(ready)!r}): time.sleep(0.01)\nsock ="
    )
    box.write(f"[late]\n_enabled = True\n_type = notify\n_command = {box.program('late', late)}\n")
    starting = subprocess.Popen(box.command("start"), env={"HOME": str(box.home), "PATH": os.environ["PATH"]})
    eventually(
        lambda: (box.run / "kegbot_master.sock").exists() and box.status()["apps"][0]["state"] == "starting"
    )
    pid, watchdog = box.pid("late"), box.master_pid()
    installed.hold_up()
    changing = begin_reexec(box)
    eventually(lambda: "role=watchdog" in command_line(watchdog))
    ready.touch()
    installed.gate.touch()
    changing.communicate(timeout=60)
    assert starting.wait(60) == 0
    assert apps(box)["late"] == ("running", pid, 0)


def test_a_version_that_does_not_know_a_running_app_is_refused(box: Box) -> None:
    three_kinds(box)
    box.master("start")
    before = apps(box)
    box.config.write_text(box.config.read_text().replace("_type = notify", "_type = nonsense"))
    refused = box.master("reexec", expect=1).stderr
    assert "would not know [notify]" in refused
    assert "nonsense" in refused
    box.config.unlink()
    assert "no such file" in box.master("reexec", expect=6).stderr
    assert apps(box) == before


def test_the_foreground_master_is_replaced_in_its_place(box: Box) -> None:
    installed = Installation(box)
    three_kinds(box)
    foreground = subprocess.Popen(
        box.command("run"), stdout=subprocess.DEVNULL, env={"HOME": str(box.home), "PATH": os.environ["PATH"]}
    )
    try:
        eventually(lambda: (box.run / "kegbot_master.sock").exists())
        eventually(lambda: {state for state, _, _ in apps(box).values()} == {"running"})
        before = apps(box)
        installed.become("9.9.9")
        assert "-> 9.9.9, 3 apps kept" in box.master("reexec").stdout
        assert box.master_pid() == foreground.pid
        assert apps(box) == before
        os.kill(int(str(before["simple"][1])), signal.SIGKILL)
        eventually(lambda: box.app("simple")["restarts"] == 1 and box.app("simple")["state"] == "running")
        assert box.app("simple")["last_exit"] == {"status": None, "signal": 9}
    finally:
        foreground.terminate()
        assert foreground.wait(60) == 0
    assert box.processes() == []


def test_without_a_master_there_is_nothing_to_replace(box: Box) -> None:
    three_kinds(box)
    assert "nothing to replace" in box.master("reexec", expect=7).stderr
    assert box.master("reexec", "simple", expect=2)


def test_the_internal_verb_needs_the_lock(box: Box) -> None:
    three_kinds(box)
    box.master("start")
    before = apps(box)
    assert "own use" in box.master("_take_over", "role=watchdog", "lock=0", expect=2).stderr
    assert "own use" in box.master("_take_over", expect=2).stderr
    assert apps(box) == before


def test_what_is_handed_on_reads_back_the_same() -> None:
    handed = reexec.Inheritance(
        role="watchdog", lock=3, news_r=4, news_w=5, control=6, notify=7, clients=(8, 9), keeper=10, young=True,
        before="1.0", since_s=1.5,
    )  # fmt: skip
    assert reexec.inherited([*handed.words(), "later=1"]) == handed


def test_a_traceback_is_told_in_one_line() -> None:
    told = verdict('Traceback (most recent call last):\n  File "/x/a.py", line 3, in f\nValueError: bad\n')
    assert told == {"error": 'ValueError: bad (File "/x/a.py", line 3)'}
