"""What a person may type, and what the answer is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.daemon.harness import PATIENCE_S, command, environment, foreground, run

COMMON = {
    "--[no]daemon", "--pidfile=", "--logfile=", "--[no]log_to_file", "--[no]log_to_stdout", "--logformat=",
    "--[no]rotate_logs", "--maximum_log_files=", "--[no]verbose", "--flagfile=", "--help", "--helpshort",
    "--version",
}  # fmt: skip
OWN = {"--behave=TEXT", "--file=TEXT", "--colour=red|green", "--ratio=NUMBER"}


def values(*args: str, cwd: Path) -> dict[str, object]:
    done = run("--behave=show", "--nolog_to_stdout", *args, cwd=cwd)
    assert done.returncode == 0, done.stderr
    shown: dict[str, object] = json.loads(done.stdout)["flags"]
    return shown


@pytest.mark.parametrize("flag", ["--help", "-?", "-h", "--helpfull", "-help"])
def test_help_tells_what_the_program_is_for_and_then_every_flag(flag: str, tmp_path: Path) -> None:
    done = run(flag, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("A program made only to try the runner with.\n")
    for name in COMMON | OWN:
        assert f" {name}" in done.stdout, name


def test_helpshort_tells_the_programs_own_flags_only(tmp_path: Path) -> None:
    done = run("--helpshort", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("A program made only to try the runner with.\n")
    for name in OWN:
        assert f"  {name}\n" in done.stdout, name
    for name in COMMON - {"--help"}:
        assert name not in done.stdout, name


def test_help_gives_name_default_and_meaning_of_a_flag(tmp_path: Path) -> None:
    shown = run("--help", cwd=tmp_path).stdout
    assert "  --colour=red|green\n      A choice. (default: red)\n" in shown
    assert "  --ratio=NUMBER\n      A number. (default: 0.5)\n" in shown
    assert "  --file=TEXT\n      A path for those that want one. (default: none)\n" in shown
    assert "  --count=NUMBER\n      A whole number. (default: 0)\n" in shown
    assert "  --names=TEXT,TEXT\n      Some names. (default: a, b)\n" in shown
    assert "  --also=TEXT\n      A thing to add. May be given several times. (default: none)\n" in shown
    assert "absl" not in shown
    assert "kegapps" not in shown


def test_version_is_one_line(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("probe.py (kegmaster) ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--nosuch"], "Unknown command line flag 'nosuch'"),
        (["--behav=x"], "Did you mean: behave"),
        (["--daemon=maybe"], "flag --daemon: expected true or false, found 'maybe'"),
        (["--count=x"], "flag --count: expected a whole number, found 'x'"),
        (["--count="], "flag --count: expected a whole number, found ''"),
        (["--nosuch\x1b[2J"], "'nosuch\\x1b[2J'"),
        (["--flagfile=circle.flags"], "--flagfile: circle.flags includes itself"),
        (["--nodaemon=1"], "--nodaemon=1 does not take an argument"),
        (["--ratio=much"], "flag --ratio: expected a number, found 'much'"),
        (["--ratio=nan"], "flag --ratio: expected a number, found 'nan'"),
        (["--ratio=-inf"], "flag --ratio: expected a number, found '-inf'"),
        (["-1"], "-1: no such flag; if it is none, write -- before it"),
        (["--colour=blue"], "--colour=blue"),
        (["--maximum_log_files=-1"], "--maximum_log_files=-1"),
        (["--pidfile"], "--pidfile"),
        (["--logformat=%(nosuch)s"], "--logformat=%(nosuch)s: not a log format"),
        (["--logformat=%(message)d"], "--logformat=%(message)d: not a log format"),
        (["--logformat=text"], "--logformat=text: not a log format"),
        (["--flagfile=missing.flags"], "--flagfile: cannot read missing.flags: No such file or directory"),
        (["--flagfile=."], "--flagfile: cannot read .: Is a directory"),
        (["--flagfile=binary.flags"], "--flagfile: the file is not UTF-8 text"),
        (["--flagfile"], "--flagfile with no argument"),
        (["--daemon", "False"], "--daemon False: write --daemon or --nodaemon"),
        (["one", "two"], "unexpected word: two"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(args: list[str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "binary.flags").write_bytes(b"\xff\xfe--verbose\n")
    (tmp_path / "circle.flags").write_text("--verbose\n--flagfile=circle.flags\n")
    done = run(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("probe.py: ")
    assert done.stderr.endswith(" (try --help)\n")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("arg", "value"),
    [
        ("--verbose", True), ("--noverbose", False), ("-verbose", True),
        ("--verbose=True", True), ("--verbose=False", False), ("--verbose=true", True), ("--verbose=false",
        False), ("--verbose=1", True), ("--verbose=0", False), ("--verbose=T", True), ("--verbose=f", False),
    ],
)  # fmt: skip
def test_a_boolean_may_be_said_in_every_way_the_master_and_people_use(
    arg: str, value: bool, tmp_path: Path
) -> None:
    assert values(arg, cwd=tmp_path)["verbose"] is value


def test_defaults_are_those_of_kegbot(tmp_path: Path) -> None:
    shown = values(cwd=tmp_path)
    expected = {
        "daemon": False, "pidfile": "", "logfile": "", "log_to_file": False, "rotate_logs": True,
        "maximum_log_files": 7, "verbose": False,
        "logformat": "%(asctime)s %(levelname)-8s (%(name)s) %(message)s",
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected
    assert "--[no]log_to_stdout\n      Write the log to standard output" in run("--help", cwd=tmp_path).stdout


def test_a_flagfile_holds_flags_one_a_line_and_the_last_value_wins(tmp_path: Path) -> None:
    (tmp_path / "my.flags").write_text("# a comment\n\n--file=von daheim\n--colour=green\n", encoding="utf-8")
    shown = values("--flagfile=my.flags", "--colour=red", cwd=tmp_path)
    assert (shown["file"], shown["colour"]) == ("von daheim", "red")


def test_words_that_are_no_flags_reach_the_program_wherever_they_stand(tmp_path: Path) -> None:
    done = run("word", "--behave=show", cwd=tmp_path)
    assert json.loads(done.stdout)["positional"] == ["word"]


def test_relative_paths_of_a_program_mean_where_it_was_started(tmp_path: Path) -> None:
    done = run("--behave=show", cwd=tmp_path)
    assert json.loads(done.stdout)["path"] == str(tmp_path / "here")


@pytest.mark.parametrize("status", [0, 1, 7])
def test_a_job_in_the_background_is_waited_for_and_hands_on_its_status(status: int, tmp_path: Path) -> None:
    env = environment(PROBE_IS_A_JOB="1")
    args = ("--daemon", "--pidfile=job.pid", "--behave=leave", str(status))
    done = run(*args, cwd=tmp_path, env=env)
    assert done.returncode == status
    assert done.stderr == (f"probe.py: ended with exit status {status}\n" if status else "")
    assert not (tmp_path / "job.pid").exists()


def test_a_job_that_fails_in_the_background_says_why(tmp_path: Path) -> None:
    done = run("--daemon", "--behave=refuse", cwd=tmp_path, env=environment(PROBE_IS_A_JOB="1"))
    assert (done.returncode, done.stderr) == (1, "probe.py: no tap here; connect one\n")


def test_what_a_job_prints_in_the_background_goes_into_the_log(tmp_path: Path) -> None:
    env = environment(PROBE_IS_A_JOB="1")
    args = ("--daemon", "--log_to_file", "--logfile=job.log", "--behave=print_word", "cheers")
    done = run(*args, cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = (tmp_path / "job.log").read_text().splitlines()
    assert [line.partition(",")[2][4:] for line in lines] == [
        "INFO     (probe) cheers", "INFO     (probe) cheers",
    ]  # fmt: skip


def test_standard_output_that_cannot_be_written_is_one_line_and_status_1(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = run("--behave=print_word", "cheers", cwd=tmp_path, stdout=full)
    assert (done.returncode, done.stderr) == (1, "probe.py: standard output: No space left on device\n")


def test_standard_output_of_somebody_who_does_not_let_it_block_is_waited_for(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with foreground("--nolog_to_stdout", "--behave=print_many", cwd=tmp_path, stdout=writer) as process:
        os.close(writer)
        with open(reader, "rb") as output:
            assert len(output.read()) == 200_000
        assert process.wait(PATIENCE_S) == 0


def test_help_into_a_pipe_that_is_closed_says_nothing_more(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("--help", cwd=tmp_path, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_onto_a_full_disk_fails_in_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = run("--help", cwd=tmp_path, stdout=full)
    assert (done.returncode, done.stderr) == (1, "probe.py: standard output: No space left on device\n")


def test_modules_may_be_imported_twice(tmp_path: Path) -> None:
    code = (
        "import importlib, sys\n"
        "from kegapps.daemon import flags, runner\n"
        "flags.define(); flags.define()\n"
        "importlib.reload(flags).define()\n"
        "for name in [name for name in sys.modules if name.startswith('kegapps')]: del sys.modules[name]\n"
        "from kegapps.daemon import flags as again\n"
        "again.define()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_a_program_in_the_foreground_imports_only_what_it_uses(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from kegapps.daemon import runner\n"
        "runner.main(lambda service: service.ready(), module='m', argv=['m.py', '--log_to_file'])\n"
        "heavy = {'daemon', 'lockfile', 'asyncio', 'logging.handlers', 'ctypes', 'subprocess', 'ssl'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_undefined_flags_may_be_allowed_by_name(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--undefok=nosuch", "--nosuch=1", "--behave=leave", "0"), cwd=tmp_path, check=False
    )
    assert done.returncode == 0
