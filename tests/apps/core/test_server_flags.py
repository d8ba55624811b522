"""Which Kegbot Server, and the key for it: from flags or the environment, and never where others can read it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.core.programs import SCRIPTS

KEY = "0123456789abcdef" * 2
URL = "--api_url=http://localhost:1/api/v1/"


def key_file(tmp_path: Path, mode: int, text: str = KEY) -> str:
    path = tmp_path / "key"
    path.write_text(text + "\n")
    path.chmod(mode)
    return f"--api_key_file={path}"


def serve(tmp_path: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """kegbot_core with a store that is a directory: it ends as soon as it has read its flags."""
    return subprocess.run(
        [
            sys.executable, str(SCRIPTS / "kegbot_core.py"), f"--store={tmp_path}", "--kb_core_bind_addr=localhost:0",
            *flags,
        ],
        capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "status", "reason"),
    [
        ((URL, "--api_key=x", "--api_key_file=y"), 2, "give one of them"),
        (("--api_key=x",), 2, "but no --api_url"),
        (("--api_url=bar:8000",), 2, "--api_url: bar:8000 is no URL: expected one such as http://"),
        (("--api_url=http://me:secret@bar/",), 2, "no user or password in the URL"),
        ((URL, "--api_key=two words"), 2, "--api_key: the API key is none"),
        ((URL, "--api_key_file=missing"), 1, "missing: No such file or directory"),
        ((URL, "--api_key_file=."), 1, "Is a directory"),
        ((URL, "--api_events=perhaps"), 2, "api_events"),
    ],
)
def test_a_mistake_is_one_line_with_what_would_be_right(
    flags: tuple[str, ...], status: int, reason: str, tmp_path: Path
) -> None:
    done = serve(tmp_path, *flags)
    assert done.returncode == status, done.stderr
    assert reason in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_file_that_others_can_get_at_is_refused_with_the_cure(mode: int, tmp_path: Path) -> None:
    done = serve(tmp_path, URL, key_file(tmp_path, mode))
    assert done.returncode == 1
    assert f"(mode {mode:04o}); chmod 600 {tmp_path}/key" in done.stderr


def test_a_private_key_file_and_the_environment_are_as_good(tmp_path: Path) -> None:
    for done in (
        serve(tmp_path, URL, key_file(tmp_path, 0o600)),
        serve(tmp_path, KEGBOT_API_URL="http://localhost:1/api/v1/", KEGBOT_API_KEY=KEY),
    ):
        assert "not a file; name a file with --store" in done.stderr  # so the rest was right
        assert KEY not in done.stderr + done.stdout
        assert "WARNING" not in done.stderr + done.stdout


def test_a_key_on_the_command_line_is_warned_of_and_not_repeated(tmp_path: Path) -> None:
    done = serve(tmp_path, URL, f"--api_key={KEY}")
    assert "--api_key can be read by every user of this machine" in done.stdout + done.stderr
    assert KEY not in done.stderr + done.stdout


def test_an_empty_flag_overrules_the_environment(tmp_path: Path) -> None:
    done = serve(tmp_path, "--api_url=", KEGBOT_API_URL="no url", KEGBOT_API_KEY=KEY)
    assert "not a file; name a file with --store" in done.stderr


def test_a_wrong_url_in_the_environment_is_said_to_be_there(tmp_path: Path) -> None:
    done = serve(tmp_path, KEGBOT_API_URL="bar")
    assert (done.returncode, "KEGBOT_API_URL in the environment: bar is no URL" in done.stderr) == (2, True)
