"""The configuration, exported: judged by the launchers that read it, by their parsers, and by importing it again."""

from __future__ import annotations

import json
import os
import posixpath
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kegmaster.convert import (
    carry_out,
    to_compose,
    to_kubernetes,
    to_procfile,
    to_supervisord,
    to_systemd,
)
from kegmaster.convert.draft import Names, Notes, configuration
from kegmaster.convert.supervisord import read as read_supervisord
from tests.master.conftest import Box, eventually, living, wait_for_end
from tests.master.convert import probe, supervised
from tests.master.convert.exporting import AWKWARD, NAME, WORD, configured, leavers, one
from tests.master.convert.importing import NOWHERE

BIN = Path(sys.executable).parent


def parsed_by_supervisord(path: Path) -> dict[str, Any]:
    """What the real one makes of each program."""
    from supervisor.options import ServerOptions

    options = ServerOptions()
    options.realize(args=["-c", str(path)])
    return {
        config.name: config for group in options.process_group_configs for config in group.process_configs
    }


# supervisord


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    argv=st.lists(WORD, max_size=4),
    environment=st.dictionaries(NAME, WORD, max_size=3),
    directory=st.text(st.sampled_from("ab/%;#'\"$=: é~\\[]()s"), max_size=8).map(
        lambda text: posixpath.normpath(f"/x{text}y")
    ),
)
def test_what_supervisord_reads_of_an_export_is_what_the_app_has_and_an_import_brings_it_back(
    tmp_path: Path, argv: list[str], environment: dict[str, str], directory: str
) -> None:
    config = one(
        ["/bin/cat", *argv], environment, _user="nobody", _working_directory=directory, logfile="/tmp/a.log"
    )
    notes = Notes()
    text = to_supervisord.write(leavers(config), "/srv/apps.cfg", notes)
    if re.search(" [;#]", directory):
        # A comment to supervisord, whatever is around it: said.
        assert "left out" in str(notes.found)
        return
    assert not notes.found
    path = tmp_path / "supervisord.conf"
    path.write_text(text, encoding="utf-8")
    program = parsed_by_supervisord(path)["a"]
    words = shlex.split(program.command)
    variables = dict(program.environment)
    if words[0] == "/usr/bin/env":
        cut = words.index("/bin/cat")
        variables |= dict(word.split("=", 1) for word in words[1:cut])
        words = words[cut:]
    assert words == ["/bin/cat", *argv]
    assert variables == environment
    assert (program.directory, program.uid) == (directory, 65534)
    # And back.
    again = read_supervisord(text, str(path), NOWHERE, Names(), notes)
    (app,) = configured(configuration(again, notes, "")).apps
    assert app.argv == ("/bin/cat", *argv)
    assert dict(app.context.environment) == environment
    assert (app.context.user, app.context.working_directory, app.context.umask) == (
        "nobody",
        directory,
        0o022,
    )


def test_policy_survives_the_way_to_supervisord_and_back() -> None:
    text = """
[one]
_enabled = True
_command = /bin/cat
_restart = on-failure
_success_exit_status = 0 3
_start_limit_burst = 4
_timeout_stop_sec = 7
_kill_signal = INT
_umask = 027
_log_max_bytes = 5000
_log_backups = 2
logfile = /tmp/one.log
[two]
_enabled = False
_command = /bin/cat
_after = one
_restart = no
"""
    notes = Notes()
    config = configured(text)
    there = to_supervisord.write(leavers(config), "/srv/apps.cfg", notes)
    back = {
        app.name: app
        for app in configured(
            configuration(read_supervisord(there, "/x/s.conf", NOWHERE, Names(), notes), notes, "")
        ).apps
    }
    for app in config.apps:
        assert back[app.name].policy == app.policy
        assert (back[app.name].timeout_stop_sec, back[app.name].kill_signal) == (
            app.timeout_stop_sec,
            app.kill_signal,
        )
        assert (back[app.name].enabled, back[app.name].after) == (app.enabled, app.after)
        assert (back[app.name].log_max_bytes, back[app.name].log_backups) == (
            app.log_max_bytes,
            app.log_backups,
        )
        assert back[app.name].context == app.context
    assert back["one"].logfile == "/tmp/one.log"


def test_an_exported_file_runs_under_the_real_supervisord_word_by_word(box: Box) -> None:
    program = probe.make(box.directory / "probe", sys.executable)
    out = box.directory / "out"
    out.mkdir()
    words = " ".join(_quoted(word) for word in AWKWARD)
    variables = " ".join(_quoted(f"V{number}={word}") for number, word in enumerate(AWKWARD))
    box.write("")
    box.config.write_text(
        f"[first]\n_enabled = True\n_command = {program} {out}/first {words}\n_environment = {variables}\n_umask = 027\n"
        f"_working_directory = {out}\n_log_max_bytes = 0\nlogfile = {out}/first.log\n"
        f"[second]\n_enabled = True\n_command = {program} {out}/second\n_after = first\nlogfile = {out}/second.log\n",
        encoding="utf-8",
    )
    box.master("configtest", expect=None)
    done = box.master("export", "--format=supervisord")
    assert done.stderr == ""
    path = box.directory / "supervisord.conf"
    path.write_text(done.stdout, encoding="utf-8")
    supervisor = subprocess.Popen(
        [BIN / "supervisord", "-n", "-c", path], cwd=out, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={"HOME": str(box.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )  # fmt: skip
    try:
        first = eventually(lambda: probe.seen(out / "first"), "the first app")
        second = eventually(lambda: probe.seen(out / "second"), "the second app")
        assert first["argv"] == AWKWARD
        assert {name: value for name, value in first["environment"].items() if name[0] == "V"} == {
            f"V{number}": word for number, word in enumerate(AWKWARD)
        }
        assert (first["directory"], first["umask"]) == (str(out), 0o027)
        assert (second["directory"], second["umask"]) == ("/", 0o022)
    finally:
        supervisor.send_signal(signal.SIGTERM)
        supervisor.communicate(timeout=20)
    assert supervisor.returncode == 0
    assert not living(first["pid"])


def test_three_bundled_programs_work_in_the_foreground_under_the_real_supervisord(box: Box) -> None:
    """The whole minute: python -m tests.master.convert.supervised."""
    run = supervised.start(box)
    try:
        pids = eventually(run.all_running, "all three run", 40.0)
        assert set(pids) == set(supervised.PROGRAMS)
        supervised.board_is_heard(run)
        supervised.stop(run)
    finally:
        run.process.kill()
        run.process.wait()


def _quoted(word: str) -> str:
    from kegmaster.convert.draft import quote

    return quote(word).replace("%", "%%").replace("\n", "\n    ")


# Procfile


def test_an_exported_procfile_runs_under_the_real_honcho_word_by_word(box: Box) -> None:
    program = probe.make(box.directory / "probe", sys.executable)
    out = box.directory / "out"
    out.mkdir()
    held = [word for word in AWKWARD if len(f"{word}x".splitlines()) == 1]
    box.write("")
    box.config.write_text(
        f"[first.app]\n_enabled = True\n_command = {program} {out}/first {' '.join(map(_quoted, held))}\n"
        f"_environment = {' '.join(_quoted(f'V{number}={word}') for number, word in enumerate(held))}\n_umask = 027\n"
        f"[broken]\n_enabled = True\n_command = {program} {out}/broken 'a\n    b'\n"
        f"[second]\n_enabled = True\n_command = {program} {out}/second\n_working_directory = {out}\n_user = nobody\n",
        encoding="utf-8",
    )
    done = box.master("export", "--format=procfile")
    assert "[broken]" in done.stderr
    assert "_user" in done.stderr
    (box.directory / "Procfile").write_text(done.stdout, encoding="utf-8")
    honcho = subprocess.Popen(
        [BIN / "honcho", "start"], cwd=box.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"HOME": str(box.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )  # fmt: skip
    try:
        first = eventually(lambda: probe.seen(out / "first"), "the first app")
        second = eventually(lambda: probe.seen(out / "second"), "the second app")
        assert first["argv"] == held
        assert all(first["environment"][f"V{number}"] == word for number, word in enumerate(held))
        assert (first["umask"], first["directory"], second["directory"]) == (0o027, "/", str(out))
        # It hands the signal on to those that it says it started, and waits for ever for others.
        said, output = "", honcho.stdout
        assert output is not None
        while said.count(" started (pid=") < 2:
            ready, _, _ = select.select([output], [], [], 20.0)
            piece = os.read(output.fileno(), 65536) if ready else b""
            assert piece, said
            said += piece.decode("utf-8", "replace")
        honcho.send_signal(signal.SIGTERM)
        honcho.communicate(timeout=20)
    finally:
        honcho.kill()
        honcho.wait()
    for app in (first, second):
        wait_for_end(app["pid"])  # the signal was for the program, not for a shell


# systemd


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_exported_units_pass_systemds_own_check(box: Box) -> None:
    words = " ".join(_quoted(word) for word in AWKWARD)
    variables = " ".join(_quoted(f"V{number}={word}") for number, word in enumerate(AWKWARD))
    box.program("tool")
    box.write("")
    box.config.write_text(
        f"[first]\n_enabled = True\n_command = ./tool {words}\n_environment = {variables}\n_watchdog_sec = 20\n_nice = 5\n"
        "_limit_nofile = 500\n_memory_max = 64M\n_success_exit_status = 0 3 TERM\n_start_limit_burst = 4\n"
        "[second+x]\n_enabled = True\n_command = /bin/cat\n_type = oneshot\n_requires = first\n_pass_environment = TZ\n"
        "[third@a]\n_enabled = True\n_command = /bin/cat\n_type = notify\n_after = first second+x\n_restart = on-failure\n"
        "[kegbot_core]\n_enabled = True\n_watchdog_sec = 30\n",
        encoding="utf-8",
    )
    units = box.directory / "units"
    done = box.master("export", "--format=systemd", f"--output={units}")
    assert done.stderr == ""
    files = sorted(units.iterdir())
    assert [path.name for path in files] == [
        "first.service",
        "kegbot_core.service",
        "second\\x2bx.service",
        "third\\x40a.service",
    ]
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", *files], capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    text = (units / "kegbot_core.service").read_text()
    assert "--daemon=False" in text
    assert "--pidfile" not in text
    assert "After=first.service second\\x2bx.service" in (units / "third\\x40a.service").read_text()
    # Nothing that is there already is written over.
    assert (
        "is there already" in box.master("export", "--format=systemd", f"--output={units}", expect=1).stderr
    )
    # And all of it comes back.
    again = box.master("import", str(units / "first.service"))
    (app,) = configured(again.stdout).apps
    assert app.argv == (str(box.directory / "tool"), *AWKWARD)
    assert dict(app.context.environment) | {"PATH": ""} == {
        f"V{number}": word for number, word in enumerate(AWKWARD)
    } | {"PATH": ""}
    assert (app.context.limit_nofile, app.memory_max, app.policy.start_limit_burst) == (500, 64 << 20, 4)


def test_a_status_above_128_is_that_status_and_the_signal_of_its_number_if_there_is_one() -> None:
    config = one(["/bin/cat"], _success_exit_status="0 3 143 250")
    notes = Notes()
    (unit,) = to_systemd.write(leavers(config), "/srv/apps.cfg", notes, of_a_user=False).values()
    assert "SuccessExitStatus=3 143 250 SIGTERM\n" in unit
    assert not notes.found
    assert "exitcodes = 0,3,143,250\n" in to_supervisord.write(leavers(config), "/srv/apps.cfg", notes)
    assert "every signal for a failure" in str(notes.found)


# The verb


def test_a_directory_without_which_supervisord_would_not_start_is_said(box: Box) -> None:
    box.write("[a]\n_enabled = True\n_command = /bin/cat\n")
    assert f"mkdir -p {box.log}" in box.master("export", "--format=supervisord").stderr


def test_nothing_is_exported_where_nothing_is_asked_for_or_nothing_is_there(box: Box) -> None:
    box.write("[a]\n_command = /bin/cat\n")
    box.master("export", expect=2)
    assert "nothing to export" in box.master("export", "--format=procfile", expect=6).stderr
    assert "a: umask 022 && cd / && exec /bin/cat\n" in box.master("export", "--format=procfile", "a").stdout
    box.master("export", "--format=procfile", "b", expect=2)
    report = json.loads(box.master("export", "--format=systemd", "a", "--json").stdout)
    assert list(report) == ["a.service"]
    assert box.master("export", "--format=systemd", "a").stdout.startswith("# file: a.service\n[Unit]\n")


def test_apps_are_exported_behind_those_they_come_after() -> None:
    config = configured(
        "[a]\n_command = x\n_after = b\n[b]\n_command = x\n_requires = c\n[c]\n_command = x\n"
    )
    assert [app.name for app in carry_out.in_order(config)] == ["c", "b", "a"]


@given(
    st.lists(WORD, min_size=1, max_size=4),
    st.sampled_from([to_compose.write, to_kubernetes.write, to_procfile.write]),
)
def test_no_word_breaks_a_writer(argv: list[str], write: Any) -> None:
    config = one(["/bin/cat", *argv], {"A": argv[0]})
    text = write(leavers(config), "/srv/apps.cfg", Notes())
    if write is not to_procfile.write:
        list(yaml.safe_load_all(text))
    units = to_systemd.write(leavers(config), "/srv/apps.cfg", Notes(), of_a_user=False)
    assert list(units) == ["a.service"]
