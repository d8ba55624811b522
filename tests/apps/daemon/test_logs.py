"""The log: how a line looks, where it goes, and how the file is kept short without losing any."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from kegapps.daemon.logfile import FileHandler
from tests.apps.daemon.harness import PATIENCE_S, command, environment, file_says, foreground, read_until, run

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) +\([\w.]+\) .*")


def test_lines_are_kegbots(tmp_path: Path) -> None:
    lines = run("--behave=talk", cwd=tmp_path).stdout.splitlines()
    assert [line.partition(" (")[2] for line in lines] == ["probe) some news", "probe) a warning"]
    assert all(LINE.fullmatch(line) for line in lines)
    assert " INFO     (probe) some news" in lines[0]


def test_verbose_adds_the_details(tmp_path: Path) -> None:
    assert " DEBUG    (probe) a detail\n" in run("--behave=talk", "--verbose", cwd=tmp_path).stdout


def test_the_form_of_a_line_may_be_chosen(tmp_path: Path) -> None:
    done = run("--behave=talk", "--logformat=%(levelname)s %(message)s", cwd=tmp_path)
    assert done.stdout == "INFO some news\nWARNING a warning\n"


@pytest.mark.parametrize(
    ("args", "on_stdout", "in_file"),
    [
        ([], True, False),
        (["--log_to_file"], True, True),
        (["--log_to_file", "--nolog_to_stdout"], False, True),
        (["--nolog_to_stdout"], False, False),
        (["--logfile=probe.log"], True, False),
    ],
)
def test_where_lines_go(args: list[str], on_stdout: bool, in_file: bool, tmp_path: Path) -> None:
    done = run("--behave=talk", *args, cwd=tmp_path)
    assert ("some news" in done.stdout) is on_stdout
    assert (tmp_path / "probe.log").exists() is in_file
    if in_file:
        assert "some news" in (tmp_path / "probe.log").read_text()


def test_text_from_outside_can_neither_break_a_line_nor_drive_a_terminal(tmp_path: Path) -> None:
    with foreground("--behave=log_on_signal", cwd=tmp_path) as program:
        read_until(program.stdout, b"ready")
        program.send_signal(signal.SIGUSR1)
        assert b"asked\\x0afor \\x1b[31mit\n" in read_until(program.stdout, b"it\n")
        program.send_signal(signal.SIGTERM)


def test_letters_that_the_terminal_lacks_do_not_end_a_program(tmp_path: Path) -> None:
    env = environment(PYTHONIOENCODING="ascii")
    done = run("--behave=print_word", "Köln", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    printed, logged = done.stdout.splitlines()
    assert printed == "K\\xf6ln"
    assert logged.endswith(" (probe) K\\xf6ln")


def test_lines_of_several_writers_stay_whole(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(command("--behave=write_many", "--log_to_file", "--nolog_to_stdout"), cwd=tmp_path)
        for _ in range(4)
    ]
    assert [writer.wait(PATIENCE_S) for writer in writers] == [0] * 4
    lines = (tmp_path / "probe.log").read_text().splitlines()
    assert len(lines) == 4 * 300
    assert all(LINE.fullmatch(line) and line.endswith("x" * 3000) for line in lines)


@pytest.mark.parametrize("happening", [lambda path: path.unlink(), lambda path: path.rename(f"{path}.1")])
def test_a_file_that_was_moved_or_removed_is_opened_again(happening: object, tmp_path: Path) -> None:
    with foreground("--behave=log_on_signal", "--log_to_file", cwd=tmp_path) as program:
        read_until(program.stdout, b"ready")
        assert callable(happening)
        happening(tmp_path / "probe.log")
        program.send_signal(signal.SIGUSR1)
        assert "asked" in file_says(tmp_path / "probe.log", "asked")
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0


# -- midnight: time is an argument of a record, so the handler is tried in this process

NOON_S = time.mktime((2026, 3, 14, 12, 0, 0, 0, 0, -1))
DAY_S = 86400


def handler(path: Path, *, keep_days: int | None = 7) -> FileHandler:
    made = FileHandler(str(path), keep_days=keep_days)
    made.setFormatter(logging.Formatter("%(message)s"))
    return made


def say(handler: FileHandler, text: str, time_s: float) -> None:
    record = logging.LogRecord("name", logging.INFO, "path", 1, text, (), None)
    record.created = time_s
    handler.handle(record)


def started_yesterday(path: Path) -> None:
    path.write_text("yesterday\n")
    os.utime(path, (NOON_S, NOON_S))


def test_at_midnight_the_file_gets_the_date_of_its_day(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    started_yesterday(path)
    log = handler(path)
    midnight_s = time.mktime((2026, 3, 15, 0, 0, 0, 0, 0, -1))
    say(log, "late", midnight_s - 0.001)
    say(log, "early", midnight_s)
    say(log, "later", midnight_s + 3600)
    log.close()
    assert (tmp_path / "x.log.2026-03-14").read_text() == "yesterday\nlate\n"
    assert path.read_text() == "early\nlater\n"


def test_no_more_dated_files_are_kept_than_wanted_and_nothing_else_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    others = ["x.log.2026-03-14.gz", "x.log.old", "xx.log.2020-01-01", "x.log.2026-3-1"]
    for name in [*others, *(f"x.log.2026-03-0{day}" for day in range(1, 10))]:
        (tmp_path / name).touch()
    started_yesterday(path)
    log = handler(path, keep_days=3)
    say(log, "new", NOON_S + DAY_S)
    log.close()
    kept = ["x.log.2026-03-08", "x.log.2026-03-09", "x.log.2026-03-14"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([*others, *kept, "x.log"])


@pytest.mark.parametrize(("keep_days", "dated"), [(0, 10), (None, 9)])
def test_0_keeps_all_and_norotate_logs_makes_none(keep_days: int | None, dated: int, tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    for day in range(1, 10):
        (tmp_path / f"x.log.2026-03-0{day}").touch()
    started_yesterday(path)
    log = handler(path, keep_days=keep_days)
    say(log, "new", NOON_S + DAY_S)
    log.close()
    assert len(list(tmp_path.glob("x.log.*"))) == dated


def test_a_clock_that_is_set_back_and_forth_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    started_yesterday(path)
    (tmp_path / "x.log.2026-03-14").write_text("of the same day\n")
    log = handler(path)
    say(log, "a", NOON_S + DAY_S)
    say(log, "b", NOON_S - 400 * DAY_S)
    say(log, "c", NOON_S + DAY_S)
    log.close()
    assert (tmp_path / "x.log.2026-03-14").read_text() == "of the same day\n"
    assert path.read_text() == "yesterday\na\nb\nc\n"


def test_devices_are_not_renamed() -> None:
    log = handler(Path(os.devnull))
    say(log, "new", time.time() + 2 * DAY_S)
    log.close()
    assert Path(os.devnull).is_char_device()


def test_a_directory_that_vanishes_costs_lines_but_not_the_program(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    log = handler(folder / "x.log")
    (folder / "x.log").unlink()
    folder.rmdir()
    say(log, "lost", NOON_S)
    folder.mkdir()
    say(log, "found", NOON_S)
    log.close()
    assert (folder / "x.log").read_text() == "found\n"


def test_a_full_disk_costs_lines_but_not_the_program() -> None:
    log = handler(Path("/dev/full"))
    say(log, "lost", NOON_S)
    log.close()


def test_a_descriptor_that_follows_leads_to_the_new_file_after_midnight(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    started_yesterday(path)
    follower = os.open(os.devnull, os.O_WRONLY)
    log = FileHandler(str(path), keep_days=7, followers=[follower])
    say(log, "new", NOON_S + DAY_S)
    os.write(follower, b"from a child\n")
    log.close()
    os.close(follower)
    assert path.read_text() == "new\nfrom a child\n"
