"""The command line: what a verb does not heed is refused, and the help can be read."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from kegmaster import flags

from .conftest import Box, eventually


@pytest.mark.parametrize(
    "words",
    [
        ("stop", "--dry_run"),
        ("start", "--dry-run"),
        ("status", "-f"),
        ("stop", "-n", "3"),
        ("stop", "--force"),
    ],
)
def test_a_flag_that_a_verb_does_not_heed_is_refused_before_anything_happens(
    box: Box, words: tuple[str, ...]
) -> None:
    box.write("[app]\n_enabled = True\n_command = sleep 1000\n")
    box.master("start")
    assert f"has no meaning for {words[0]}, only for " in box.master(*words, expect=2).stderr
    assert box.app("app")["state"] == "running"


@pytest.mark.parametrize("what", ["--help", "--helpshort"])
def test_each_name_in_the_help_is_set_off_from_what_it_means(box: Box, what: str) -> None:
    lines = box.master(what).stdout.splitlines()
    for words in [", ".join(flag.words) for flag in flags.FLAGS if flag.help] + list(flags.VERBS):
        assert any(
            line.strip() == words or line.startswith((f"  {words} ", f"  {words}\n")) for line in lines
        ), words


def test_a_timeout_of_nothing_is_refused_and_not_blamed_on_the_master(box: Box) -> None:
    for text in ("0", "0.0", "-1", "soon"):
        told = box.master("status", f"--timeout={text}", expect=2).stderr
        assert f"argument --timeout: expected seconds, more than 0, found '{text}'" in told


def test_a_verb_that_is_misspelt_is_guessed_and_help_is_one(box: Box) -> None:
    assert "unknown verb 'strat'; did you mean start?" in box.master("strat", expect=2).stderr
    assert "unknown verb 'qqq'; the verbs are start, " in box.master("qqq", expect=2).stderr
    assert box.master("help").stdout == box.master("--help").stdout
    assert box.master("help", "stop").stdout == box.master("stop", "--help").stdout


def test_a_section_that_is_misspelt_is_guessed_with_a_master_and_without(box: Box) -> None:
    box.write("[clock]\n_enabled = True\n_command = sleep 1000\n")
    guess = f"{box.config}: there is no section [clcok]; did you mean [clock]?"
    for verb in ("start", "stop", "logs", "configtest"):
        assert guess in box.master(verb, "clcok", expect=2).stderr
    box.master("start")
    for verb in ("start", "restart", "stop"):
        assert guess in box.master(verb, "clcok", expect=2).stderr


@pytest.mark.parametrize(
    ("verb", "usage"),
    [
        ("start", "start [APP ...] [flags]"),
        ("install", "install [NAME -- PROGRAM WORDS ...] [flags]"),
        ("import", "import FILE ... [flags]"),
        ("completion", "completion bash|zsh [flags]"),
        ("reexec", "reexec [flags]"),
    ],
)
def test_the_page_of_a_verb_says_what_words_it_takes(box: Box, verb: str, usage: str) -> None:
    assert box.master(verb, "-h").stdout.splitlines()[0].endswith(f" {usage}")


@pytest.mark.parametrize("words", [("--help",), ("install", "-h"), ("export", "-h"), ("import", "-h")])
def test_the_values_that_a_flag_may_have_are_in_the_help(box: Box, words: tuple[str, ...]) -> None:
    shown = " ".join(box.master(*words).stdout.split())
    for flag in flags.FLAGS:
        if flag.choices and (len(words) == 1 or words[0] in flag.verbs):
            assert flags.values_of(flag.choices) in shown


def test_names_given_twice_are_meant_once(box: Box) -> None:
    box.write("[app]\n_enabled = True\n_command = sleep 1000\n")
    box.master("start", "app", "app")
    assert [row["name"] for row in box.status("app", "app")["apps"]] == ["app"]


def test_without_a_master_an_unknown_app_is_unknown_and_a_known_one_stopped(box: Box) -> None:
    box.write("[app]\n_enabled = True\n_command = sleep 1000\n")
    assert "there is no section [nope]" in box.master("status", "nope", expect=4).stderr
    box.master("status", "app", expect=3)


@pytest.mark.parametrize("verb", ["logs", "events"])
def test_ctrl_c_ends_following_without_a_word(box: Box, verb: str) -> None:
    box.write("[app]\n_enabled = True\n_command = sh -c 'echo said; exec sleep 1000'\n")
    box.master("start")
    eventually(lambda: "said" in box.master("logs", "app").stdout)
    following = subprocess.Popen(
        box.command(verb, "-f"), env={"HOME": str(box.home), "PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert following.stdout is not None
    assert following.stdout.read(1)
    following.send_signal(signal.SIGINT)
    assert (following.communicate(timeout=20)[1], following.returncode) == (b"", 130)


@pytest.mark.parametrize(
    "words", ["--help", "status -h", "--version", "status", "configtest", "logs", "events", "nope"]
)
def test_a_reader_who_has_gone_is_no_news(box: Box, words: str) -> None:
    box.write("[app]\n_enabled = True\n_command = sleep 1000\n")
    if words == "events":
        box.master("start")
    reader, writer = os.pipe()
    os.close(reader)
    both = words == "nope"  # what is wrong goes where the rest goes, as with 2>&1
    done = subprocess.run(
        box.command(*words.split()), env={"HOME": str(box.home), "PATH": "/usr/bin:/bin"}, stdout=writer, check=False,
        stderr=writer if both else subprocess.PIPE, timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert both or done.stderr in (b"", b"app: " + bytes(box.log) + b"/app.log: No such file or directory\n")
    assert done.returncode in (0, 1)


def test_standard_output_may_be_closed(box: Box) -> None:
    box.write("[app]\n_enabled = True\n_restart = no\n_command = true\n")
    for verb in ("configtest", "start app", "status", "logs app", "stop"):
        words = " ".join(f"'{word}'" for word in box.command(*verb.split()))
        done = subprocess.run(
            ["sh", "-c", f"{words} >&- 2>err"], cwd=box.directory, env={"HOME": str(box.home), "PATH": "/usr/bin:/bin"}, check=False
        )  # fmt: skip
        assert "Traceback" not in (box.directory / "err").read_text(), verb
        assert done.returncode in (0, 1, 7), verb
