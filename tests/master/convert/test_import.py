"""Other launchers' files, imported: what comes out passes our own parser, and what has no counterpart is said."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kegmaster.config import Directories, configure
from kegmaster.convert import circus, inifile, kegbot, procfile, supervisord, systemd, unitfile
from kegmaster.convert.draft import Names, Notes, World, configuration, join
from kegmaster.convert.files import Reader
from kegmaster.convert.recognize import recognize
from kegmaster.keys import words
from kegmaster.spec import App
from tests.master.conftest import Box

SAMPLES = Path(__file__).parent / "samples"
BIN = Path(sys.executable).parent
READERS = {
    "supervisord": supervisord.read, "procfile": procfile.read, "circus": circus.read, "systemd": systemd.read,
    "kegbot_master": kegbot.read,
}  # fmt: skip
FILES = sorted(path for path in SAMPLES.rglob("*") if path.is_file() and ".d" not in path.parent.suffix)


def no_files(pattern: str) -> list[str]:
    return []


NOWHERE = World(read=str, files=no_files)
DIRECTORIES = Directories(pidfile_dir="/run/kegbot", logfile_dir="/var/log/kegbot")


def imported(
    text: str, kind: str, file: str = "/srv/file", world: World = NOWHERE
) -> tuple[dict[str, App], list[str]]:
    """The apps that our own parser makes of what comes out, and what was said."""
    notes = Notes()
    drafts = READERS[kind](text, file, world, Names(), notes)
    systemd.relate(drafts)
    config = configure(configuration(drafts, notes, ""), "INI", DIRECTORIES) if drafts else None
    assert config is None or not [problem for problem in config.problems if problem.section is not None]
    return {app.name: app for app in config.apps} if config else {}, [str(note) for note in notes.found]


def supervised(text: str, world: World = NOWHERE) -> tuple[dict[str, App], list[str]]:
    return imported(text, "supervisord", world=world)


def said(notes: list[str], *pieces: str) -> bool:
    return any(all(piece in note for piece in pieces) for note in notes)


# Every sample, by the command itself


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SAMPLES)))
def test_what_is_imported_passes_configtest_and_every_note_names_its_place(path: Path, box: Box) -> None:
    done = box.master("import", str(path), "--json", expect=None)
    report = json.loads(done.stdout)
    for note in report["notes"]:
        assert re.match(rf"{re.escape(str(path.parent))}[^:]*(:\d+)?:", note), note
        assert "; " in note
    if done.returncode:
        assert (done.returncode, report["ini"]) == (6, "") or "@." in path.name
        return
    box.write(report["ini"])
    problems = json.loads(box.master("configtest", "--json", expect=None).stdout)["problems"]
    # What is not on this machine is all that may be wrong.
    for problem in problems:
        assert re.search(
            "there is no (program|user|group|directory)|directory .* can be written|cannot be (read|written to|made)|"
            "can be written by others|symlink|its (logfile|pidfile)",
            problem,
        ), problem


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


# Reading as configparser does

INI_TEXT = st.lists(
    st.sampled_from(
        [
            "[a]",
            "[b]",
            "[a:b]",
            "key = value",
            "key: other",
            "x=y ; no",
            "  more # no",
            " indented",
            "",
            " ",
            "; c",
            "# c",
            "Key=1",
            "\tz = 3",
            "q==",
            "a=b=c",
            "[x]y",
            "k = [v]",
            "x = ;y",
            "x= #y",
            "empty =",
        ]
    ),
    max_size=12,
)


@given(INI_TEXT)
def test_sections_and_values_are_those_that_configparser_reads(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    judge = configparser.RawConfigParser(
        strict=False, inline_comment_prefixes=(";", "#"), default_section="NONE"
    )
    try:
        judge.read_string(text)
    except configparser.Error:
        return
    parts = inifile.read(text, "file", Notes())
    found = {
        name: {key: setting.value for key, setting in part.settings.items()} for name, part in parts.items()
    }
    assert found == {name: dict(judge[name]) for name in judge.sections()}


# Words and INI


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20), min_size=1, max_size=5
    )
)
def test_any_word_comes_back_from_the_file_as_it_was(argv: list[str]) -> None:
    from kegmaster.convert.draft import Draft

    draft = Draft(name="a", file="f", line=1, words={"_command": ["prog", *argv]}, environment={"A": argv[0]})
    (app,) = configure(configuration([draft], Notes(), "# made\n"), "INI", DIRECTORIES).apps
    assert app.argv == ("prog", *argv)
    assert app.context.environment == (("A", argv[0]),)
    assert words(join(argv)) == tuple(argv)


# Procfile, circus, systemd, the old program


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
    _, notes = supervised("[supervisord]\n[program:a]\ncommand=/bin/a ~/b\n")
    assert said(notes, "/srv/file:2", "~/b")


def test_the_old_programs_file_is_nearly_ours() -> None:
    apps, notes = imported((SAMPLES / "old-kegbot_master.cfg").read_text(), "kegbot_master")
    assert "--api_key=abc" in apps["kegbot_core"].argv
    assert apps["kegbot_core"].enabled
    assert apps["second_core"].logfile == "/tmp/second_core.log"
    assert apps["second_core"].program == "kegbot_core"
    assert said(notes, "_pidfiledir")
    assert said(notes, "/srv/file:17", "maybe")


# Whose file it is


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SAMPLES)))
def test_a_file_is_recognized(path: Path) -> None:
    expected = {".conf": "supervisord", ".ini": "circus", ".cfg": "kegbot_master", "": "procfile"}
    assert recognize(path.read_text(), path.name) == expected.get(path.suffix, "systemd")


def test_what_is_nobodys_file_is_a_mistake_that_names_the_flag(box: Box) -> None:
    file = box.directory / "what"
    file.write_text("hello\n")
    assert "--from=" in box.master("import", str(file), expect=2).stderr
    box.master("import", str(file), "--from=procfile", expect=6)
    box.master("import", expect=2)
    assert "no such file" in box.master("import", str(box.directory / "gone"), expect=6).stderr.lower()
    file.write_bytes(b"[program:a]\n\xff")
    assert "UTF-8, line 2" in box.master("import", str(file), expect=6).stderr
    assert "no plain file" in box.master("import", str(box.directory), expect=6).stderr


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
    (folder / "master.py").write_text(f'#!/bin/sh\nexec {box.script} "$@" {flags}\n')
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
    assert re.search(
        rf"master.py start .*--master_config={config}", done.stdout
    )  # what install would put into the boot
    assert box.processes() == []


# What others may have written

PIECES = sorted({line for path in FILES for line in path.read_text().splitlines()})


@settings(max_examples=60)
@given(st.data())
def test_no_mutation_of_a_sample_breaks_the_reader_or_gets_past_our_parser(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(FILES))
    text = path.read_text()
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        piece = data.draw(
            st.one_of(st.text(max_size=8), st.sampled_from(PIECES), st.just("%(x)s"), st.just("\0"))
        )
        text = text[:start] + piece + text[end:]
    for kind in READERS:
        imported(text, kind, f"/srv/{path.name}")


@settings(max_examples=60)
@given(st.text(max_size=200), st.sampled_from(sorted(READERS)))
def test_no_text_breaks_a_reader(text: str, kind: str) -> None:
    heads = {
        "supervisord": "[program:a]\n",
        "circus": "[watcher:a]\n",
        "systemd": "[Service]\nExecStart=",
        "procfile": "a: ",
        "kegbot_master": "[a]\n",
    }
    imported(heads[kind] + text, kind)
    recognize(text, "file")


def test_a_flood_of_programs_is_bounded() -> None:
    text = "[supervisord]\n" + "".join(
        f"[program:p{n}]\ncommand=/bin/a\nnumprocs=50\nprocess_name=p{n}_%(process_num)d\n" for n in range(50)
    )
    apps, notes = supervised(text)
    assert len(apps) == 1000
    assert said(notes, "more than 1000")
