"""supervisord.conf, imported: held against supervisord itself, and the way of the page from there to here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kegmaster.config import configure
from kegmaster.convert.draft import World
from kegmaster.convert.files import Reader
from kegmaster.spec import App
from tests.master.conftest import Box
from tests.master.convert.importing import (
    DIRECTORIES,
    NOWHERE,
    SAMPLES,
    imported,
    no_files,
    said,
)

BIN = Path(sys.executable).parent


def supervised(text: str, world: World = NOWHERE) -> tuple[dict[str, App], list[str]]:
    return imported(text, "supervisord", world=world)


def test_the_sample_that_supervisord_prints_has_nothing_to_import_and_with_its_program_it_has(
    box: Box,
) -> None:
    sample = subprocess.run(
        [BIN / "echo_supervisord_conf"], capture_output=True, text=True, check=True
    ).stdout
    file = box.directory / "supervisord.conf"
    file.write_text(sample)
    assert "there is no [program:x]" in box.master("import", str(file), expect=6).stderr
    begin, end = sample.index(";[program:theprogramname]"), sample.index("; The sample eventlistener")
    program = re.sub("(?m)^;", "", sample[begin:end]).replace("/a/path", "/tmp/theprogram.log")
    file.write_text(sample[:begin] + program + sample[end:])
    text = box.master("import", str(file)).stdout
    (app,) = configure(text, "INI", DIRECTORIES).apps
    assert app.argv == ("/bin/cat",)
    assert app.context.user == "chrism"
    assert app.context.environment == (("A", "1"), ("B", "2"))
    assert (app.kill_signal, app.policy.start_limit_burst, app.policy.restart) == (3, 4, "on-failure")
    assert (app.logfile, app.log_max_bytes, app.log_backups) == ("/tmp/theprogram.log", 1 << 20, 10)


def test_a_container_of_bots_is_taken_over_without_its_open_door(box: Box) -> None:
    done = box.master("import", str(SAMPLES / "bots-container.conf"))
    apps = {app.name: app for app in configure(done.stdout, "INI", DIRECTORIES).apps}
    assert list(apps) == ["bots-webserver", "bots-jobqueueserver", "bots-dirmonitor", "cron"]
    assert "DANGEROUS" in done.stderr
    assert "9001" not in done.stdout
    assert apps["bots-dirmonitor"].policy.success_exit_status == {0, 3}
    assert apps["bots-webserver"].after == ("cron",)


# supervisord.conf


def test_programs_of_a_number_are_so_many_sections() -> None:
    apps, _ = supervised((SAMPLES / "numprocs.conf").read_text())
    assert list(apps) == ["worker_05", "worker_06", "worker_07"]
    assert apps["worker_06"].argv == ("/usr/bin/worker", "--port=8006", "--of=3")
    assert apps["worker_06"].logfile == "/var/log/worker-6.log"


def test_a_variable_of_the_caller_is_handed_on_or_filled_in_and_said_but_a_secret_is_not_filled_in() -> None:
    world = World(read=str, files=no_files, environment={"PLACE": "here", "MY_TOKEN": "hush"})
    text = '[supervisord]\n[program:a]\ncommand=/bin/a %(ENV_PLACE)s\nenvironment=PLACE="%(ENV_PLACE)s"\n'
    apps, notes = supervised(text, world)
    assert apps["a"].argv == ("/bin/a", "here")
    assert apps["a"].context.pass_environment == ("PLACE",)
    assert said(notes, "/srv/file:3", "%(ENV_PLACE)s was filled in")
    apps, notes = supervised("[supervisord]\n[program:a]\ncommand=/bin/a %(ENV_MY_TOKEN)s\n", world)
    assert not apps["a"].enabled
    assert "hush" not in str(apps) + str(notes)
    assert said(notes, "_pass_environment = MY_TOKEN")


def test_programs_whose_output_nobody_keeps_all_write_to_dev_null() -> None:
    apps, notes = supervised((SAMPLES / "awkward.conf").read_text())
    assert apps["nolog"].logfile == apps["alsonolog"].logfile == "/dev/null"
    # A log that two would write is left to the first.
    assert (apps["same1"].logfile, apps["same2"].logfile) == (
        "/var/log/same.log",
        "/var/log/kegbot/same2.log",
    )
    assert said(notes, "[program:same2] logfile", "[same1] too")


def test_a_secret_in_the_file_is_pointed_at_without_its_value() -> None:
    _, notes = supervised('[supervisord]\nenvironment=DB_PASSWORD="hunter2"\n[program:a]\ncommand=/bin/a\n')
    assert said(notes, "DB_PASSWORD", "_environment_file")
    assert "hunter2" not in str(notes)


@pytest.mark.parametrize("port", ["*:9001", "0.0.0.0:9001", "9001", ":9001", "192.168.1.2:9001"])
def test_a_server_on_all_interfaces_without_a_password_is_called_dangerous(port: str) -> None:
    _, notes = supervised(f"[inet_http_server]\nport={port}\n[program:a]\ncommand=/bin/a\n")
    assert said(notes, "/srv/file:2", "DANGEROUS", "from every network")


def test_files_are_included_from_below_its_own_directory_only(tmp_path: Path) -> None:
    (tmp_path / "etc" / "d").mkdir(parents=True)
    (tmp_path / "secret").write_text("[program:stolen]\ncommand=/bin/a\n")
    (tmp_path / "etc" / "d" / "a.conf").write_text("[program:a]\ncommand=/bin/a %(here)s\n")
    (tmp_path / "etc" / "d" / "link.conf").symlink_to(tmp_path / "secret")
    text = "[include]\nfiles = d/a.conf d/link.conf ../secret\n"
    reader = Reader(str(tmp_path / "etc"))
    apps, notes = imported(text, "supervisord", str(tmp_path / "etc" / "x.conf"), reader.world())
    assert list(apps) == ["a"]
    assert apps["a"].argv == ("/bin/a", str(tmp_path / "etc" / "d"))
    assert said(notes, "link.conf lies neither")
    assert said(notes, "../secret lies neither")


def test_a_width_that_would_fill_the_memory_is_not_obeyed() -> None:
    apps, notes = supervised("[supervisord]\n[program:a]\ncommand=/bin/a %(program_name)999999999s\n")
    assert len(apps["a"].argv[1]) < 50
    assert said(notes, "lone %")


@pytest.mark.parametrize(
    "name", ["awkward", "comments", "groups", "numprocs", "quoted-words", "whole-program"]
)
def test_an_app_has_the_words_variables_and_manners_that_supervisord_itself_reads(
    name: str, box: Box
) -> None:
    path = SAMPLES / f"{name}.conf"
    judge = json.loads(
        subprocess.run(
            [sys.executable, "-c", JUDGE, path], capture_output=True, text=True, check=True, cwd=box.directory
        ).stdout
    )
    apps, _ = imported(path.read_text(), "supervisord", str(path))
    assert set(apps) == set(judge)
    for each, app in apps.items():
        proxied = judge[each]["argv"][:1] == ["/usr/bin/pidproxy"]
        enved = judge[each]["argv"][:1] == ["/usr/bin/env"]
        assert list(app.argv) == judge[each]["argv"][2 if proxied or enved else 0 :]
        assert judge[each]["environment"].items() <= dict(app.context.environment).items()
        assert app.kill_signal == judge[each]["stopsignal"]
        assert app.timeout_stop_sec == judge[each]["stopwaitsecs"]
        assert app.enabled == judge[each]["autostart"]
        assert app.context.working_directory == (judge[each]["directory"] or app.context.working_directory)


JUDGE = """
import json, shlex, sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(args=["-c", sys.argv[1]])
print(json.dumps({config.name: {"argv": shlex.split(config.command), "environment": config.environment, "stopsignal": config.stopsignal,
    "stopwaitsecs": config.stopwaitsecs, "autostart": config.autostart, "directory": config.directory}
    for group in options.process_group_configs for config in group.process_configs}))
"""


def test_a_flood_of_programs_is_bounded() -> None:
    text = "[supervisord]\n" + "".join(
        f"[program:p{n}]\ncommand=/bin/a\nnumprocs=50\nprocess_name=p{n}_%(process_num)d\n" for n in range(50)
    )
    apps, notes = supervised(text)
    assert len(apps) == 1000
    assert said(notes, "more than 1000")


# The page


PAGE = Path(__file__).parents[3] / "docs" / "coming-from-supervisor.rst"


def test_the_steps_of_the_page_lead_from_supervisord_to_apps_that_run(box: Box) -> None:
    probe = box.program("probe")
    log = box.directory / "web.log"
    (box.directory / "supervisord.conf").write_text(
        f"[supervisord]\n[inet_http_server]\nport=*:9001\n[program:db]\ncommand={probe}\npriority=1\n"
        f'[program:web]\ncommand={probe} --x ; y\nstdout_logfile={log}\nenvironment=A="b c"\n'
    )
    text = PAGE.read_text()
    steps = text[text.index(".. begin of the steps") : text.index(".. end of the steps")]
    # The page relies on the usual places, which are the machine's.
    places = {"/etc/kegbot": box.directory / "etc", "/etc/supervisor/": f"{box.directory}/"}
    for usual, ours in places.items():
        steps = steps.replace(usual, str(ours))
    commands = re.findall(r"^    # (.*)$", steps, re.MULTILINE)
    assert len(commands) > 8
    config = box.directory / "etc" / "kegbot_master.cfg"
    flags = f"--master_config={config} --pidfile_dir={box.run} --logfile_dir={box.log} --state_dir={box.directory}/state"
    folder = box.directory / "bin"
    folder.mkdir()
    # Where no init system runs, install wants to be told which one is meant.
    boot = 'case "$1" in install) set -- "$@" --boot=systemd ;; esac'
    (folder / "master.py").write_text(f'#!/bin/sh\n{boot}\nexec {box.script} "$@" {flags}\n')
    (folder / "master.py").chmod(0o755)
    done = subprocess.run(
        ["sh", "-eux", "-c", "\n".join(commands)],
        cwd=box.directory, env={"HOME": str(box.home), "PATH": f"{folder}:{BIN}:/usr/bin:/bin"}, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("^db +running", done.stdout, re.MULTILINE)
    assert re.search("^web +running", done.stdout, re.MULTILINE)
    assert "DANGEROUS" in done.stderr
    assert config.stat().st_mode & 0o777 == 0o600
    # What install would put into the boot.
    assert f"--master_config={config}" in done.stdout
    assert box.processes() == []
