"""TAB in bash and zsh: the real shells, on a terminal, with the script that master.py prints."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from kegmaster import completion
from kegmaster.flags import FLAGS, VERBS

from .conftest import MASTER, Box, wait_for_end

APPS = """
    [kegbot_core]
    _enabled = True
    [keg-watch]
    _enabled = Ture
    [web]
"""


class Shell:
    """An interactive shell on a pty, which answers each line typed."""

    def __init__(self, box: Box, name: str) -> None:
        program = shutil.which(name)
        if program is None:
            pytest.skip(f"there is no {name}")
        environment = {
            "HOME": str(box.home), "PATH": f"{MASTER.parent}:/usr/bin:/bin", "TERM": "dumb", "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        words = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[name]
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(box.directory)
            os.execve(program, [name, *words], environment)
        self.name = name
        self.text = ""
        self.type(
            "stty -echo; PS1=; PROMPT=; RPROMPT=; unset zle_bracketed_paste; bind 'set enable-bracketed-paste off' 2>/dev/null\n"
        )
        if name == "zsh":
            self.type(
                "autoload -U compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''; LISTMAX=1000; setopt nobeep\n"
            )
        self.type(f'eval "$(master.py completion {name})"\n')
        self.type("echo rea'dy'\n")
        self.read_until("ready")

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def read_until(self, mark: str) -> str:
        until_s = time.monotonic() + 30
        while mark not in self.text:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, until_s - time.monotonic()))
            assert ready, f"no {mark!r} in {self.text!r}"
            self.text += os.read(self.fd, 65536).decode(errors="replace")
        found, _, self.text = self.text.partition(mark)
        return found

    def close(self) -> None:
        os.close(self.fd)
        wait_for_end(self.pid)
        os.waitpid(self.pid, 0)


def bash_offers(box: Box, *words: str) -> list[str]:
    """What the function of the script offers for the last of `words`, as bash splits them."""
    script = box.directory / "complete.bash"
    script.write_text(box.master("completion", "bash").stdout)
    split = [part for word in words for part in re.split(r"(=)", word) if part or word == ""]
    line = " ".join(f"'{word}'" for word in [str(MASTER), *split])
    text = (
        f"source {script}\nCOMP_WORDS=({line})\nCOMP_CWORD={len(split)}\ncompopt() {{ :; }}\n"
        '_master_py\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", text], capture_output=True, text=True, check=True, cwd=box.directory,
        env={"HOME": str(box.home), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def configured(box: Box) -> Box:
    box.write(APPS)
    return box


def test_verbs_are_offered_first(configured: Box) -> None:
    assert bash_offers(configured, "sta") == ["start", "status"]
    assert set(bash_offers(configured, "")) == set(VERBS)


def test_apps_are_offered_by_name_also_those_with_mistakes(configured: Box) -> None:
    config = f"--master_config={configured.config}"
    assert bash_offers(configured, config, "start", "keg") == ["kegbot_core", "keg-watch"]
    assert bash_offers(configured, "start", config, "kegbot_core", "w") == ["web"]


def test_only_flags_that_the_verb_heeds_are_offered(configured: Box) -> None:
    assert "--crash" in bash_offers(configured, "logs", "--")
    assert "--crash" not in bash_offers(configured, "start", "--")
    assert bash_offers(configured, "install", "--boot=sys") == ["systemd", "systemd-user", "sysv"]
    assert bash_offers(configured, "export", "--format=") == list(
        next(f.choices for f in FLAGS if f.sets == "format")
    )


def test_directories_files_and_shells_are_offered_where_they_belong(configured: Box) -> None:
    assert bash_offers(configured, "start", "--pidfile_dir=ho") == ["home"]
    assert bash_offers(configured, "import", "app") == ["apps.cfg"]
    assert bash_offers(configured, "completion", "") == ["bash", "zsh"]


def test_without_a_configuration_there_is_no_complaint(box: Box) -> None:
    assert bash_offers(box, "start", "x") == []


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_tab_completes_on_a_real_terminal(configured: Box, name: str) -> None:
    shell = Shell(configured, name)
    try:
        for typed, becomes in (
            ("statu", "status"), ("--master_config=apps.cfg start kegbot_c", "--master_config=apps.cfg start kegbot_core"), ("install --boot=systemd-u", "install --boot=systemd-user"),
            ("logs --cra", "logs --crash"),
        ):  # fmt: skip
            # What is printed in the end is the line as it was completed; how it is echoed differs by terminal.
            shell.type(f"master.py {typed}\t\x01echo be'gun' \x05; echo en'ded'\n")
            shell.read_until("begun")
            assert shell.read_until("ended").split() == f"master.py {becomes}".split(), typed
    finally:
        shell.close()


@pytest.mark.parametrize("verb", VERBS)
def test_each_flag_is_described_once_to_a_verb(verb: str) -> None:
    words = [choice.word for choice in completion.choices(verb)]
    assert len(words) == len(set(words))
    assert "--master_config" in words


def test_an_unknown_shell_is_refused(box: Box) -> None:
    assert "bash or zsh" in box.master("completion", "fish", expect=2).stderr
