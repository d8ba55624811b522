"""Procfiles, circus.ini, units of systemd and the file of 2012, imported."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegmaster.config import configure
from kegmaster.convert import unitfile
from kegmaster.convert.draft import World
from kegmaster.convert.files import Reader
from tests.master.conftest import Box
from tests.master.convert.importing import (
    DIRECTORIES,
    SAMPLES,
    imported,
    no_files,
    said,
)


def test_a_procfiles_ports_are_numbered_by_the_hundred_and_what_needs_a_shell_gets_one_and_is_said() -> None:
    apps, notes = imported((SAMPLES / "Procfile").read_text(), "procfile", "/srv/Procfile")
    assert apps["web"].argv[3:5] == ("0.0.0.0:5000", "--log-file")
    assert apps["worker"].argv == ("/srv/bin/worker", "--queue=default")
    assert dict(apps["worker"].context.environment) == {"PORT": "5100", "DEBUG": "1", "NAME": "a b"}
    assert apps["tail"].argv == ("sh", "-c", "tail -f log/*.log | grep -v health")
    assert said(notes, "/srv/Procfile:4", "sh -c")
    assert apps["release"].type == "oneshot"
    assert said(notes, "/srv/Procfile:8")
    assert said(imported("a: x\na: y\n", "procfile")[1], "/srv/file:2", "is there twice")
    assert {app.context.working_directory for app in apps.values()} == {"/srv"}


def test_an_env_file_beside_a_procfile_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8000\nexport A=1\nSECRET=hush\n")
    reader = Reader(str(tmp_path))
    apps, notes = imported("a: prog $PORT\nb: prog\n", "procfile", str(tmp_path / "Procfile"), reader.world())
    assert apps["a"].argv == ("prog", "8000")
    assert apps["a"].context.environment_file == str(tmp_path / ".env")
    assert said(notes, f"{tmp_path}/.env:2")
    assert "hush" not in str(apps) + str(notes)


def test_a_circus_watcher_is_an_app_for_each_of_its_processes() -> None:
    apps, notes = imported((SAMPLES / "circus.ini").read_text(), "circus")
    assert apps["webapp-2"].argv == ("/srv/venv/bin/gunicorn", "--bind", "0.0.0.0:8000", "-w", "2", "app:app")
    assert apps["webapp-1"].context.limit_nofile == 500
    assert apps["webapp-1"].timeout_stop_sec == 5
    assert dict(apps["webapp-1"].context.environment)["STAGE"] == "production"
    assert apps["shell"].argv == ("sh", "-c", "echo $HOME | cat")
    assert not apps["shell"].enabled
    assert said(notes, "[socket:web]")
    assert said(notes, "hooks.before_start")


def test_variables_of_the_caller_in_those_of_a_circus_watcher_are_filled_in_and_said_as_circusd_does() -> (
    None
):
    world = World(read=str, files=no_files, environment={"PATH": "/bin", "MY_TOKEN": "hush"})
    text = "[env]\nPATH = $PATH:/x\n[env:b]\nT = $MY_TOKEN\n[watcher:a]\ncmd = /bin/a\n[watcher:b]\ncmd = /bin/b\n"
    apps, notes = imported(text, "circus", world=world)
    assert dict(apps["a"].context.environment) == {"PATH": "/bin:/x"}
    assert (apps["a"].enabled, apps["b"].enabled) == (True, False)
    assert said(notes, "[watcher:a] PATH", "$PATH was filled in")
    assert said(notes, "[watcher:b] T", "_pass_environment = MY_TOKEN")
    assert "hush" not in str(apps) + str(notes)


def test_units_are_apps_with_their_drop_ins_and_relations(box: Box) -> None:
    units = SAMPLES / "units"
    done = box.master(
        "import", *(str(units / f"{name}.service") for name in ("api", "db", "once", "late", "shell@one"))
    )
    apps = {app.name: app for app in configure(done.stdout, "INI", DIRECTORIES).apps}
    api = apps["api"]
    assert api.argv == (
        "/usr/bin/api",
        "--name=api.service",
        "--port",
        "9090",
        "--greeting=hello\tyou",
        "--unit=api",
    )
    assert dict(api.context.environment) == {"PORT": "9090", "LATE": "yes"}
    assert (api.after, api.requires, api.type) == (("db",), ("db",), "notify")
    assert (api.policy.restart, api.policy.restart_sec, api.timeout_stop_sec) == ("on-failure", 90, 120)
    assert api.policy.success_exit_status == {0, 3, 128 + 15}
    assert (api.context.umask, api.context.nice, api.context.limit_nofile) == (0o027, 5, 4096)
    assert apps["once"].argv == ("sh", "-c", "/bin/echo one && /bin/echo two && /bin/echo three")
    assert apps["late"].argv == ("sh", "-c", 'exec /usr/bin/late $OPTIONS --name="${NAME}" plain')
    assert apps["shell@one"].argv == ("/bin/cat", "one")
    assert "PrivateTmp" in done.stderr
    assert "template" in box.master("import", str(units / "shell@.service"), expect=6).stderr


def test_the_commands_of_a_unit_run_one_by_one_each_by_its_own_prefix() -> None:
    apps, notes = imported((SAMPLES / "units" / "odd.service").read_text(), "systemd", "/srv/odd.service")
    app = apps["odd"]
    assert app.argv[:2] == ("sh", "-c")
    assert app.argv[2].split(" && ")[1:] == ["{ /usr/bin/a '--x=a b' || :; }", "/usr/bin/b --y --z"]
    # All of them run: nothing of the first takes the shell's place.
    ran = subprocess.run(
        ["sh", "-c", app.argv[2].replace("/usr/bin/b", "echo").replace("/usr/bin/a", "false")],
        env={"ODD": "o"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert ran == "$ x o %n\ndone\n--y --z\n"
    assert app.stop_command == ()
    assert app.policy.success_exit_status == {0, 75, 250, 128 + 9}
    assert (app.context.working_directory, dict(app.context.environment)["E"]) == ("/root", "")
    assert said(notes, "ExecStop", "nothing to stop")
    assert said(notes, "ConditionACPower", "_enabled = False")
    assert said(notes, "ConditionPathExists", "_wait_for")
    assert said(notes, "NOSUCH is not known")


def test_units_that_are_masked_or_no_services_or_named_twice_do_not_keep_others_from_being_read(
    box: Box,
) -> None:
    units = SAMPLES / "units"
    (box.directory / "masked.service").symlink_to("/dev/null")
    (box.directory / "alias.service").symlink_to(units / "db.service")
    named = [box.directory / "masked.service", units / "db.service", box.directory / "alias.service"]
    done = box.master("import", *map(str, named), str(units / "nightly.timer"), str(units / "odd.service"))
    assert [app.name for app in configure(done.stdout, "INI", DIRECTORIES).apps] == ["db", "odd"]
    assert "masked.service: is empty or masked" in done.stderr
    assert f"alias.service: is the same file as {units}/db.service" in done.stderr
    assert "nightly.timer: a .timer of systemd has no counterpart; let cron" in done.stderr
    assert "odd.service: odd.socket starts it at the first connection" in done.stderr


MACHINE = Path("/lib/systemd/system")


@pytest.mark.skipif(not MACHINE.is_dir(), reason="there are no units of systemd on this machine")
def test_every_unit_of_this_machine_is_an_app_or_said_why_not() -> None:
    for path in sorted(MACHINE.glob("*.service")):
        reader = Reader(str(MACHINE))
        apps, notes = imported(reader.read(str(path)), "systemd", str(path), reader.world())
        assert apps or notes, path


def test_how_a_unit_stops_reloads_and_makes_a_daemon_of_itself_is_kept() -> None:
    text = "[Service]\nType=forking\nPIDFile=x.pid\nExecStart=/bin/x\nExecStop=/bin/x --stop ${MAINPID} 'a b'\nExecReload=/bin/kill -s USR2 $MAINPID\n"
    apps, _ = imported(text, "systemd", "/srv/x.service")
    app = apps["x"]
    assert (app.type, app.pidfile, app.reload_signal) == ("forking", "/run/x.pid", 12)
    assert app.stop_command == ("sh", "-c", "exec /bin/x --stop \"${MAINPID}\" 'a b'")
    apps, notes = imported(
        "[Service]\nType=forking\nExecStart=/bin/x\nExecStop=/bin/kill -INT $MAINPID\n",
        "systemd",
        "/srv/x.service",
    )
    assert apps["x"].kill_signal == 2
    assert said(notes, "/srv/x.service:2", "_pidfile")


@given(st.lists(st.text(st.characters(codec="utf-8", min_codepoint=1), max_size=12), min_size=1, max_size=4))
def test_words_quoted_for_systemd_come_back(argv: list[str]) -> None:
    from kegmaster.convert.to_systemd import quote

    assert unitfile.split(" ".join(quote(word, specifiers=False) for word in argv)) == argv


def test_a_home_that_was_none_is_said() -> None:
    _, notes = imported("[supervisord]\n[program:a]\ncommand=/bin/a ~/b\n", "supervisord")
    assert said(notes, "/srv/file:2", "~/b")


def test_the_old_programs_file_is_nearly_ours() -> None:
    apps, notes = imported((SAMPLES / "old-kegbot_master.cfg").read_text(), "kegbot_master")
    assert "--api_key=abc" in apps["kegbot_core"].argv
    assert apps["kegbot_core"].enabled
    assert apps["second_core"].logfile == "/tmp/second_core.log"
    assert apps["second_core"].program == "kegbot_core"
    assert said(notes, "_pidfiledir")
    assert said(notes, "/srv/file:17", "maybe")
