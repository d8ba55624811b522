"""Variables that a program needs: taken from where they are given, asked for at a terminal, kept where only its user reads."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.master.conftest import eventually

from .conftest import Services
from .test_install import WITNESS

HARD = "a=b c'\"% $HOME\n \ttail\x1b é日本 \\n "


def env_file(box: Services) -> Path:
    return box.directory / "apps.env.d" / "web.env"


def seen(box: Services) -> dict[str, str]:
    path = box.directory / "seen.json"
    eventually(lambda: path.exists() and path.read_text().endswith("}"), "the program wrote what it saw")
    found: dict[str, str] = json.loads(path.read_text())["env"]
    return found


def test_a_value_reaches_the_program_exactly_and_is_nowhere_else(box: Services) -> None:
    witness = box.program("witness", WITNESS)
    (box.directory / "own.yaml").write_text("password: ${MY_PASSWORD}\nplain: $MY_NAME\n# $MY_COMMENT\n")
    (box.directory / "given.env").write_text("MY_NAME='given in a file'\n")
    box.install(
        "web", str(witness), "own.yaml", flags=("--now", f"--env_file={box.directory}/given.env"),
        cwd=box.directory, MY_PASSWORD=HARD,
    )  # fmt: skip
    found = seen(box)
    assert (found["MY_PASSWORD"], found["MY_NAME"]) == (HARD, "given in a file")
    kept = env_file(box)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_uid == os.getuid()
    told = box.services("status", "web", "--json").stdout + box.services("configtest").stdout
    texts = [
        path
        for path in box.directory.rglob("*")
        if path.is_file() and path.name not in ("web.env", "seen.json")
    ]
    for text in (told, *(path.read_text(errors="replace") for path in texts)):
        assert "日本" not in text
    for pid in box.processes():
        assert "日本".encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    box.services("remove", "web")
    assert kept.exists()
    box.services("reinstall", "web", "--now")
    assert seen(box)["MY_PASSWORD"] == HARD
    assert f"kept: {kept}" in box.services("remove", "web").stdout
    box.services("reinstall", "web")
    box.services("remove", "web", "--remove_env_vars")
    assert not kept.parent.exists()
    assert "MY_NAME (the last install), MY_PASSWORD" in box.services("reinstall", "web", expect=2).stderr
    box.services("reinstall", "web", MY_NAME="x", MY_PASSWORD="y")


def test_without_a_terminal_all_that_are_missing_are_named_and_nothing_is_written(box: Services) -> None:
    (box.directory / "own.ini").write_text("[x]\nkey = $API_KEY\n")
    before = box.tree()
    done = box.install("web", "/bin/echo", "$FIRST_ONE", "own.ini", cwd=box.directory, expect=2)
    assert f"nobody set FIRST_ONE (its command line), API_KEY ({box.directory}/own.ini:2)" in done.stderr
    assert "the 1. is no NAME=VALUE" in box.install("web", "/bin/true", flags=("--env=x",), expect=2).stderr
    assert box.tree() == before
    assert not box.run.exists()


def at_terminal(
    box: Services, answers: Sequence[tuple[str, str]], *words: str, program: Sequence[str]
) -> tuple[int, str]:
    """Run a verb at a terminal of its own; answer each prompt."""
    ours, theirs = pty.openpty()
    argv = box.command(*words) + (["--", *program] if program else [])
    process = subprocess.Popen(
        argv, cwd=box.directory, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={"HOME": str(box.home), "PATH": os.environ["PATH"]},
        preexec_fn=lambda: None,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    waiting = list(answers)
    while True:
        assert select.select([ours], [], [], 20)[0], f"waits for ever after {said!r}"
        try:
            data = os.read(ours, 4096)
        except OSError:
            break
        said += data
        if waiting and said.decode(errors="replace").endswith(waiting[0][0]):
            os.write(ours, waiting.pop(0)[1].encode() + b"\n")
    os.close(ours)
    return process.wait(20), said.decode(errors="replace")


def test_at_a_terminal_it_asks_and_shows_no_secret(box: Services) -> None:
    program = ["/bin/echo", "$MY_NAME", "$MY_API_TOKEN"]
    code, said = at_terminal(
        box, [("MY_NAME (named in its command line): ", "plain words"), ("MY_API_TOKEN (named in its command line): ", "hush é=")],
        "install", "web", "--boot=none", program=program,
    )  # fmt: skip
    assert code == 0, said
    assert "plain words" in said
    assert "hush" not in said
    assert env_file(box).read_text() == "MY_NAME='plain words'\nMY_API_TOKEN='hush é='\n"


def test_nothing_is_changed_if_the_answer_is_the_end(box: Services) -> None:
    before = box.tree()
    code, said = at_terminal(
        box, [("): ", "\x04")], "install", "web", "--boot=none", program=["/bin/echo", "$MY_NAME"]
    )
    assert code == 2, said
    assert box.tree() == before


def test_reinstall_asks_at_a_terminal_only(box: Services) -> None:
    box.install("web", "/bin/true")
    box.services("remove", "web")
    code, said = at_terminal(box, [("[y/N] ", "n")], "reinstall", "web", program=[])
    assert (code, box.config.exists()) == (1, False), said
    code, said = at_terminal(box, [("[y/N] ", "y")], "reinstall", "web", program=[])
    assert (code, box.config.exists()) == (0, True), said
    code, said = at_terminal(box, [], "reinstall", "web", "--yes", program=[])
    assert code == 0, said


def test_variables_that_a_replacement_needs_no_longer_are_told_of_and_still_ours_to_remove(
    box: Services,
) -> None:
    box.install("web", "/bin/echo", "$MY_KEY", MY_KEY="v")
    kept = env_file(box)
    done = box.install("web", "/bin/echo", "hi", flags=("--replace",))
    assert f"kept: {kept}, which web reads no longer" in done.stdout
    assert "installed already" in box.services("reinstall", "web").stdout
    assert f"kept: {kept}" in box.services("remove", "web").stdout
    box.services("reinstall", "web")
    box.services("remove", "web", "--remove_env_vars")
    assert not kept.parent.exists()


def test_variables_can_be_removed_when_all_else_is_forgotten(box: Services) -> None:
    box.install("web", "/bin/echo", "$MY_KEY", MY_KEY="v")
    kept = env_file(box)
    box.services("remove", "web", "--remove_install_args")
    assert kept.exists()
    assert "its variables are removed" in box.services("remove", "web", "--remove_env_vars").stdout
    assert not kept.parent.exists()
