"""What configtest says that is no mistake: notes, and with --verbose or --json what the app is given."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kegmaster.relatives import relative_paths

from .conftest import Box, eventually
from .test_configtest import tree

SECRET = "s3cret-v@lue"


def notes(box: Box, *words: str) -> list[str]:
    done = box.master("configtest", *words)
    found = done.stderr.splitlines()
    assert json.loads(box.master("configtest", "--json", *words).stdout)["notes"] == found
    return [line.removeprefix(f"{box.config}:") for line in found]


def row(box: Box, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.master("configtest", name, "--json").stdout)
    assert found["config"] == str(box.config)
    return found["apps"][0]  # type: ignore[no-any-return]


def test_words_that_look_like_paths_and_lead_nowhere_are_told(box: Box) -> None:
    probe = box.program("probe")
    box.write(
        f"[app]\n_enabled = True\n_command = {probe} ./none --c=none.ini a/b text/html data/x.db start\n"
    )
    where = f"is not beside {box.config}, nor in /, where the app runs: write the whole path"
    assert notes(box) == [
        f"3: note: [app] _command: {word} looks like a path, and {where}" for word in ("./none", "none.ini", "data/x.db")
    ]  # fmt: skip


def test_a_directory_that_bears_a_file_s_name_is_left_and_told(box: Box) -> None:
    (box.directory / "conf.ini").mkdir()
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')} conf.ini\n")
    assert notes(box) == [
        f"3: note: [app] _command: conf.ini is beside {box.config}, but no plain file, and so left as it is: if it is meant,"
        " write ./conf.ini"
    ]


def test_what_is_only_in_the_current_directory_is_told(box: Box, tmp_path: Path) -> None:
    here = tmp_path / "elsewhere"
    here.mkdir()
    (here / "notes.txt").touch()
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')} notes.txt\n")
    assert notes(box) == []
    done = subprocess.run(
        box.command("configtest"), cwd=here, capture_output=True, text=True, check=True, timeout=60
    )
    assert "notes.txt is there in the current directory, but is not beside" in done.stderr


def test_variables_that_nobody_sets_are_told_by_name_with_their_place(box: Box) -> None:
    secrets = box.directory / "secrets.env"
    secrets.write_text(f"KAFKA_PASS='{SECRET}'\n")
    secrets.chmod(0o600)
    (box.directory / "app.ini").write_text(
        "[broker]\nuser = $KAFKA_USER\npass = $KAFKA_PASS\nhome = $HOME\nzone = ${ZONE:-here}\npassed = $PASSED\n"
    )
    box.write(
        f"""
        [app]
        _enabled = True
        _command = {box.program("probe")} app.ini $TOKEN $OWN
        _environment = OWN=x
        _environment_file = secrets.env
        _pass_environment = PASSED
        """
    )
    told = notes(box)
    assert told == [
        f"3: note: [app] _command: app.ini goes out as {box.directory}/app.ini",
        "5: note: [app] _environment_file: its command line names the variable TOKEN, which nobody sets: if it is meant as one,"
        " set it in _environment_file",
        f"5: note: [app] _environment_file: {box.directory}/app.ini:2 names the variable KAFKA_USER, which nobody sets:"
        " if it is meant as one, set it in _environment_file",
    ]
    everything = [box.master("configtest", *words) for words in ((), ("--verbose",), ("--json",))]
    assert all(SECRET not in done.stdout + done.stderr for done in everything)


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o400, False), (0o644, True), (0o604, True)])
def test_an_environment_file_that_others_can_read_is_told(box: Box, mode: int, told: bool) -> None:
    secrets = box.directory / "secrets.env"
    secrets.write_text("A=b\n")
    secrets.chmod(mode)
    box.write(
        f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_environment_file = ./secrets.env\n"
    )
    expected = f"4: note: [app] _environment_file: {secrets} can be read by others than its owner: chmod 0600 {secrets},"
    assert notes(box) == ([f"{expected} if there are secrets in it"] if told else [])


def test_an_environment_file_that_is_not_there_is_an_error(box: Box) -> None:
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_environment_file = ~/secrets\n")
    done = box.master("configtest", expect=6)
    assert (
        f"[app] _environment_file: {box.home}/secrets cannot be read (No such file or directory)"
        in done.stderr
    )


def test_deep_looks_into_the_programs_own_files_and_changes_nothing(box: Box) -> None:
    own = box.directory / "own"
    (own / "data").mkdir(parents=True)
    (own / "topics.yml").touch()
    (box.directory / "beside.txt").touch()
    ini, yaml = own / "app.ini", own / "app.yaml"
    ini.write_text("[a]\npath = data\n# no = data\nmode = start\nurl = http://data/data\nb = beside.txt\n")
    yaml.write_text('files:\n  - topics.yml\n  - "/abs"\nx: [data, "topics.yml"]\nport: 80\n')
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')} {ini} --yaml={yaml}\n")
    assert notes(box) == []
    before = tree(box.directory)
    told = notes(box, "--deep")
    assert tree(box.directory) == before
    assert [note.partition(", unless")[0] for note in told] == [
        f"3: note: [app] _command: {ini}:2: data is {own}/data",
        f"3: note: [app] _command: {ini}:6: beside.txt is {box.directory}/beside.txt",
        f"3: note: [app] _command: {yaml}:2: topics.yml is {own}/topics.yml",
        f"3: note: [app] _command: {yaml}:4: data is {own}/data",
    ]
    assert told[0].endswith(
        f"unless it is looked for in /, where the app runs: write the whole path, or _working_directory = {own}"
    )
    box.config.write_text(box.config.read_text() + f"_working_directory = {own}\n")
    assert [note.split()[5] for note in notes(box, "--deep")] == ["beside.txt"]


def test_a_huge_file_costs_a_bounded_number_of_looks() -> None:
    asked: list[str] = []
    text = "\n".join(f"k = a{number}/b" for number in range(100_000))

    def exists(path: str) -> bool:
        asked.append(path)
        return False

    assert list(relative_paths(text, ("/x", "/y"), exists)) == []
    assert len(asked) == 5000


def test_deep_asks_a_python_program_s_own_interpreter_for_its_modules(box: Box) -> None:
    package = box.directory / "lib" / "there"
    package.mkdir(parents=True)
    for name in ("__init__", "inner", "__main__"):
        (package / f"{name}.py").write_text(f"import os\nos.mkdir({str(box.directory / 'X')!r})\n")
    script = box.program("script", f"#!{sys.executable}\nimport json, there\nfrom nowhere.x import y\n")
    careful = box.program(
        "careful", "#!/usr/bin/env python3\nimport sys\ntry:\n  import nowhere\nexcept E: pass\n"
    )
    commands = {
        "a": f"{sys.executable} -W ignore -m there.inner x",
        "b": f"{sys.executable} -m there.absent",
        "c": f"{sys.executable} -mabsent",
        "d": f"{script} --flag",
        "e": f"{sys.executable} -u {script}",
        "f": f"{sys.executable} -c 'import absent'",
        "g": str(careful),
        "h": f"{sys.executable} -m http.server",
    }
    sections = [f"[{name}]\n_enabled = True\n_command = {words}\n" for name, words in commands.items()]
    box.write(f"[DEFAULT]\n_environment = PYTHONPATH={box.directory}/lib\n" + "".join(sections))
    before = tree(box.directory)
    assert notes(box) == []
    assert [note.partition(" note: ")[2] for note in notes(box, "--deep")] == [
        f"[{name}] _command: {sys.executable} does not find the module {module}: install it there, or set PYTHONPATH"
        for name, module in (("b", "there.absent"), ("c", "absent"), ("d", "nowhere"), ("e", "nowhere"))
    ]
    assert tree(box.directory) == before


def test_what_it_shows_of_an_app_is_what_runs(box: Box) -> None:
    probe = box.program("probe")
    secrets = box.directory / "secrets.env"
    secrets.write_text(f"FROM_FILE={SECRET}\n")
    secrets.chmod(0o600)
    box.write(
        f"""
        [app]
        _enabled = True
        _command = ./probe x
        _environment = OWN={SECRET} TZ=UTC
        _environment_file = ./secrets.env
        _working_directory = ~
        _watchdog_sec = 600
        """
    )
    shown = row(box, "app")
    box.master("start")
    pid = box.pid("app")
    assert Path(f"/proc/{pid}/cmdline").read_text().split("\0")[2:-1] == shown["argv"]
    environ = Path(f"/proc/{pid}/environ").read_text().split("\0")[:-1]
    assert sorted(pair.partition("=")[0] for pair in environ) == shown["environment"]
    assert os.readlink(f"/proc/{pid}/cwd") == shown["working_directory"] == str(box.home)
    assert (shown["program"], shown["type"], shown["user"]) == (str(probe), "simple", "")
    assert (shown["pidfile"], shown["logfile"]) == (f"{box.run}/app.pid", f"{box.log}/app.log")
    text = box.master("configtest", "app", "--verbose").stdout
    assert text.splitlines()[0] == f"{probe} x"
    assert f"    working_directory: {box.home}\n" in text
    assert f"    environment: {' '.join(shown['environment'])}\n" in text
    assert SECRET not in text + json.dumps(shown)


def test_it_names_the_file_it_read_on_a_terminal_and_when_asked(box: Box) -> None:
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n")
    assert box.master("configtest").stderr == ""
    assert box.master("configtest", "--verbose").stderr == f"read {box.config}\n"
    main, side = pty.openpty()
    done = subprocess.run(
        box.command("configtest"), stdout=subprocess.PIPE, stderr=side, timeout=60, check=True
    )
    os.close(side)
    assert os.read(main, 4096).decode() == f"read {box.config}\r\n"
    os.close(main)
    assert done.stdout.decode() == f"{box.directory}/probe\n"


def test_an_app_that_is_not_enabled_is_shown_and_started_only_by_its_name(box: Box) -> None:
    box.program("probe")
    box.write("[listed]\n_command = ./probe\n[wanted]\n_enabled = True\n_command = ./probe\n")
    assert box.master("configtest").stdout == f"{box.directory}/probe\n"
    assert row(box, "listed")["enabled"] is False
    box.master("start")
    assert [(app["name"], app["state"]) for app in box.status()["apps"]] == [("wanted", "running")]
    box.master("start", "listed")
    assert box.app("listed")["state"] == "running"


def test_a_program_that_is_missing_or_cannot_be_run_is_named_before_anything_starts(box: Box) -> None:
    dull = box.directory / "dull"
    dull.touch()
    orphan = box.program("orphan", "#!/nowhere/python\n")
    wrong = {"./none": f"there is no program {box.directory}/none", "./dull": f"program {dull} is not executable",
             "./orphan": f"program {orphan} wants the interpreter /nowhere/python, which is not there"}  # fmt: skip
    for command, text in wrong.items():
        box.write(f"[app]\n_enabled = True\n_command = {command}\n")
        assert f"{box.config}:3: [app] _command: {text}; " in box.master("configtest", expect=6).stderr
    assert not box.run.exists()


def test_a_module_s_function_runs_as_an_app(box: Box) -> None:
    library = box.directory / "lib"
    library.mkdir()
    (library / "works.py").write_text(
        "import signal\ndef serve():\n    while True:\n        signal.pause()\nif __name__ == '__main__':\n    serve()\n"
    )
    box.write(
        f"""
        [DEFAULT]
        _enabled = True
        _environment = PYTHONPATH={library}
        [module]
        _command = {sys.executable} -m works
        [function]
        _command = {sys.executable} -c 'from works import serve; serve()'
        """
    )
    box.master("start")
    assert Path(f"/proc/{box.pid('module')}/cmdline").read_text().split("\0")[1:-1] == ["-m", "works"]
    assert box.app("function")["state"] == "running"


def test_run_with_a_name_prints_what_the_app_says_until_its_last_word(box: Box) -> None:
    talks = (
        "import signal, sys\ndef end(*_):\n    print('last word')\n    sys.exit()\nsignal.signal(15, end)\n"
    )
    box.program(
        "talks", f"#!{sys.executable} -ISu\n{talks}print('first word')\nwhile True:\n    signal.pause()\n"
    )
    box.write("[one]\n_command = ./talks\n[two]\n_enabled = True\n_command = ./talks\n")
    command = box.command("run", "one")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"HOME": str(box.home)}) as master:
        assert master.stdout is not None
        lines = iter(master.stdout.readline, "")
        assert any(line == "first word\n" for line in lines)
        assert box.app("two")["pid"] is None
        master.send_signal(signal.SIGINT)
        rest = list(lines)
    assert master.returncode == 0
    assert rest[-1] == "last word\n"
    eventually(lambda: not box.processes(), "something is left behind")
