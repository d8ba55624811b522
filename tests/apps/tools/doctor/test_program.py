"""kegbot_doctor as a person meets it: text, JSON, colours, exit statuses, whose kegerator it is, and secrets."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.tools.doctor.kegerator import DOCTOR, Kegerator, run

KEY = "feedbeef" * 4


def test_for_people_the_last_line_says_where_and_what_to_do(coreless: Kegerator) -> None:
    done = run(*coreless.looks())
    assert (done.returncode, done.stderr) == (1, "")
    *_, last = done.stdout.splitlines()
    flags = f"--pidfile_dir={coreless.folder / 'run'}"
    assert last == f"The chain is cut at: core. Do: master.py start kegbot_core {flags}"
    assert "\x1b" not in done.stdout
    assert re.search(r"^trouble  core       no core runs: nobody listens on localhost:\d+", done.stdout, re.M)


def test_every_setting_is_shown_with_where_it_came_from(coreless: Kegerator) -> None:
    settings = coreless.doctor().answer["settings"]
    found = {row["name"]: (row["value"], row["origin"]) for row in settings}
    assert found["core"] == (coreless.address, "the command line")
    device, origin = found["device"]
    assert device == str(coreless.device), "as the daemon's relative path was meant"
    assert re.fullmatch(r"kegboard_daemon \(process \d+\)", origin)
    assert found["board"][1].startswith("the defaults of kegboard_daemon")


def test_the_flags_of_a_running_core_are_found_also_in_its_flagfile(kegerator: Kegerator) -> None:
    (kegerator.folder / "flags").write_text(f"# the server\n--api_url=http://127.0.0.1:9/\n--api_key={KEY}\n")
    with kegerator.stack:
        core = kegerator.core("--flagfile=flags")
        found = kegerator.doctor("--noprobe")
        shown = {row["name"]: row["value"] for row in found.answer["settings"]}
        assert shown["api_url"] == "http://127.0.0.1:9/"
        assert shown["api_key"] == "(not shown)"
        assert KEY not in json.dumps(found.answer)
        assert KEY not in run(*kegerator.looks(), "--noprobe").stdout
        assert not found.of("server", "hint"), "in a flagfile the key is nobody else's to read"
        assert core.process.poll() is None


def test_a_key_on_the_command_line_is_hinted_at_and_not_repeated(kegerator: Kegerator) -> None:
    kegerator.core("--api_url=http://127.0.0.1:9/", f"--api_key={KEY}")
    found = kegerator.doctor("--noprobe")
    assert "where every user of this machine can read it" in " ".join(found.of("server", "hint"))
    assert KEY not in json.dumps(found.answer)


def test_without_anything_running_the_configuration_says_what_is_meant(tmp_path: Path) -> None:
    config = tmp_path / "apps.cfg"
    config.write_text(
        f"[kegbot_core]\n_enabled = True\nkb_core_bind_addr = localhost:9\nstore = {tmp_path}/beer.sqlite\n"
        f"[kegboard_daemon]\n_enabled = True\nkb_core_addr = localhost:9\nkegboard_device = {tmp_path}/board\n"
    )
    # Its address says which of the cores that run on this machine are not meant.
    done = run("--json", f"--master_config={config}", f"--pidfile_dir={tmp_path}/run", "--kb_core_addr=9")
    answer = json.loads(done.stdout)
    found = {row["name"]: (row["value"], row["origin"]) for row in answer["settings"]}
    assert found["store"] == (f"{tmp_path}/beer.sqlite", f"{config} [kegbot_core]")
    assert found["device"] == (f"{tmp_path}/board", f"{config} [kegboard_daemon]")
    assert answer["cut"] == "master"
    flags = f"--master_config={config} --pidfile_dir={tmp_path}/run"
    assert f"Do: master.py start {flags}. It is cut, too, at: device." in answer["verdict"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["apps.cfg"]


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (("--user=nobody_of_that_name",), 2, "--user=nobody_of_that_name: there is no such user"),
        (("--kb_core_addr=beer",), 2, "--kb_core_addr='beer' is no address"),
        (("now",), 2, "unexpected word: now"),
        (("--master_config=/none.cfg",), 1, "--master_config=/none.cfg: no such file"),
    ],
)
def test_mistakes_are_one_line_with_the_right_status(
    words: tuple[str, ...], status: int, reason: str
) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(f"kegbot_doctor.py: {reason}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_want_them(
    coreless: Kegerator, variables: dict[str, str], coloured: bool
) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **variables}
    with subprocess.Popen(
        [*DOCTOR, *coreless.looks()], stdin=slave, stdout=slave, stderr=slave, env=environment
    ):
        os.close(slave)
        said = b""
        while select.select([master], [], [], 30)[0]:
            try:
                said += os.read(master, 65536)
            except OSError:
                break
    os.close(master)
    assert b"The chain is cut at: core" in said
    assert (b"\x1b[1;31mtrouble" in said) is coloured


def test_another_user_learns_what_is_not_theirs_to_look_at(as_nobody: list[str], healthy: Kegerator) -> None:
    done = subprocess.run(
        [*as_nobody, *DOCTOR, f"--kb_core_addr={healthy.address}", "--json"],
        capture_output=True, text=True, timeout=30, check=False, cwd="/",
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["cut"] is None
    assert any(f["link"] == "store" and "sudo" in f["cure"] for f in answer["findings"])


def test_it_loads_no_more_than_it_needs() -> None:
    script = "import sys; import kegapps.tools.doctor.program; print([m for m in ('asyncio', 'psutil', 'ssl') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
