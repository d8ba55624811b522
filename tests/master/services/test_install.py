"""install NAME -- PROGRAM: one command makes a program a service, with exactly its words; remove takes it away again."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.master.conftest import PROBE, living

from .conftest import Services

# Shows its words, its variables and its directory, and stays.
WITNESS = f"""#!{sys.executable} -IS
import json, os, signal, sys
with open(os.path.dirname(os.path.abspath(__file__)) + "/seen.json", "w") as file:
    json.dump({{"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}}, file)
while True:
    signal.pause()
"""
HARD = ["", " ", "a b", "'", '"', "it's \"x\"", "%", "%%", "%(x)s", "100%", "\\", "\\n", "\n", "a\n  #b\n\n;c \n", "\t",
        "-h", "--config=x", "--", "--name", "é 日本", "\u2028", "[x]", "#", ";", "`id`", "$(id)", "$", "$$", "&", "*"]  # fmt: skip


def sections(box: Services) -> str:
    return box.config.read_text(encoding="utf-8")


def test_a_program_becomes_a_service_by_one_command_and_is_not_started(box: Services) -> None:
    probe = box.program("probe")
    done = box.install("web", str(probe), "--port=1", "--config", "x", "-h")
    assert sections(box) == f"[web]\n_enabled = True\n_command = {probe} --port=1 --config x -h\n"
    assert "nothing was started; master.py start web does it" in done.stdout
    assert not (box.run / "kegbot_master.pid").exists()
    assert box.processes() == []
    box.master("start", "web")
    assert box.app("web")["state"] == "running"
    assert box.services("status", "web").returncode == 0


def test_the_words_reach_the_program_byte_for_byte(box: Services) -> None:
    witness = box.program("witness", WITNESS)
    box.install("hard", str(witness), *HARD, flags=("--now", "--no_absolute"))
    cmdline = Path(f"/proc/{box.pid('hard')}/cmdline").read_bytes()
    assert cmdline.endswith(b"\0".join([os.fsencode(witness), *(word.encode() for word in HARD), b""]))
    pid = box.pid("hard")
    box.master("restart", "hard")
    assert box.pid("hard") != pid
    assert Path(f"/proc/{box.pid('hard')}/cmdline").read_bytes() == cmdline


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0$"), max_size=12), max_size=4)
)
def test_any_words_are_shown_by_configtest_as_they_were_given(box: Services, words: list[str]) -> None:
    box.install("any", "/bin/true", *words, "end", flags=("--no_absolute", "--replace"))
    row = json.loads(box.master("configtest", "--json", "any", expect=None).stdout)["apps"][0]
    assert row["argv"] == ["/bin/true", *words, "end"]


def test_comments_and_order_of_the_file_stay_and_remove_brings_it_back_to_the_byte(box: Services) -> None:
    text = "# mine\r\n[first]\r\n_enabled = no\r\n; of second\r\n[second]\r\nx = 1"
    box.config.write_bytes(text.encode())
    box.config.chmod(0o640)
    before = box.tree()
    box.install("web", "/bin/sleep", "1")
    after = box.config.read_bytes().decode()
    assert after.startswith(text + "\r\n\r\n[web]\r\n")
    assert box.config.stat().st_mode & 0o7777 == 0o640
    done = box.services("remove", "web")
    assert box.tree() == before
    assert f"kept: what reinstall needs, in {box.run}/services" in done.stdout
    again = box.services("remove", "web")
    assert "is not installed, there is nothing to remove" in again.stdout
    assert box.tree() == before


def test_a_configuration_that_install_made_goes_with_its_last_app(box: Services) -> None:
    box.config = box.directory / "new" / "deep" / "apps.cfg"
    before = box.tree()
    box.install("one", "/bin/true")
    box.install("two", "/bin/true")
    for name in ("one", "two"):
        assert box.config.exists()
        box.services("remove", name)
    assert box.tree() == before


@pytest.mark.parametrize(
    "name", ["a b", "a/b", "a%b", "..", ".hidden", "", "-x/", "a\nb", "ä", "kegbot_master", "x" * 65]
)
def test_a_name_that_makes_no_file_name_is_refused(box: Services, name: str) -> None:
    before = box.tree()
    done = box.services("install", f"--service_name={name}", program=["/bin/true"], expect=2)
    assert "name" in done.stderr
    assert box.tree() == before
    assert not box.run.exists()


def test_the_same_name_twice_needs_replace_and_the_same_command_twice_is_harmless(box: Services) -> None:
    box.install("web", "/bin/sleep", "1")
    before = sections(box)
    assert "installed already" in box.install("web", "/bin/sleep", "1").stdout
    assert "--replace" in box.install("web", "/bin/sleep", "2", expect=2).stderr
    assert sections(box) == before
    box.install("web", "/bin/sleep", "2", flags=("--replace",))
    assert sections(box) == before.replace("sleep 1", "sleep 2")


def test_service_name_is_another_word_for_the_name(box: Services) -> None:
    box.services("install", "--boot=none", "--service-name", "reader", program=["/bin/sleep", "1"])
    assert "[reader]" in sections(box)
    box.services("remove", "--service_name=reader")
    assert not box.config.exists()
    assert "one name at a time" in box.install("a", "/bin/true", flags=("--service_name=b",), expect=2).stderr
    assert "needs a name" in box.services("install", program=["/bin/true"], expect=2).stderr
    assert "what does web run" in box.services("install", "web", expect=2).stderr


def test_help_of_the_program_is_its_own_and_nothing_is_installed(box: Services) -> None:
    helper = box.program("helper", '#!/bin/sh\necho usage: mine "$1"\nexit 0\n')
    before = box.tree()
    assert box.install("web", str(helper), "-h").stdout == "usage: mine -h\n"
    mine = box.services("install", "-h").stdout
    assert mine.startswith("usage: master.py install [NAME -- PROGRAM WORDS ...] [flags]\n")
    assert "--env_file FILE" in mine
    assert "--deep" not in mine
    assert box.tree() == before
    assert not box.run.exists()


def test_relative_words_that_exist_are_made_absolute_and_shown(box: Services) -> None:
    where = box.directory / "a"
    where.mkdir()
    (where / "x.ini").write_text("")
    (where / "data").mkdir()
    (where / "prog").write_text(PROBE)
    (where / "prog").chmod(0o755)
    done = box.install("web", "./prog", "./x.ini", "--in=data", "data", "none", "sub/none", cwd=where)
    expected = [f"{where}/prog", f"{where}/x.ini", f"--in={where}/data", f"{where}/data", "none", "sub/none"]
    assert f"_command = {' '.join(expected)}\n" in sections(box)
    assert f"web: data is made absolute: {where}/data" in done.stdout
    box.install("kept", str(where / "prog"), "data", flags=("--no-absolute",), cwd=where)
    assert f"_command = {where}/prog data\n" in sections(box)


def test_a_program_that_is_not_there_is_told_before_anything_is_written(box: Services) -> None:
    before = box.tree()
    assert "there is no program" in box.install("web", "/nowhere/x", expect=5).stderr
    assert box.tree() == before


def test_no_value_in_default_changes_the_words(box: Services) -> None:
    box.config.write_text("[DEFAULT]\n_args = more\n[x]\n_enabled = no\n_command = /bin/true\n")
    before = box.tree()
    done = box.install("web", "/bin/sleep", "1", expect=6)
    assert "would run /bin/sleep 1 more, not /bin/sleep 1" in done.stderr
    assert box.tree() == before


def test_print_touches_nothing_and_json_is_a_document(box: Services) -> None:
    before = box.tree()
    done = box.services("install", "web", "--print", "--boot=systemd", program=["/bin/sleep", "1 2"])
    assert "[web]\n_enabled = True\n_command = /bin/sleep '1 2'\n" in done.stdout
    assert "ExecStart=" in done.stdout
    assert "# install runs: systemctl enable kegmaster.service" in done.stdout
    document = json.loads(
        box.services("install", "web", "--print", "--json", "--boot=sysv", program=["/bin/true"]).stdout
    )
    assert document["kind"] == "sysv"
    assert document["section"].startswith("[web]\n")
    assert box.tree() == before
    assert not box.run.exists()
    told = json.loads(box.install("web", "/bin/true", flags=("--json",)).stdout)
    assert (told["verb"], told["name"], told["exit"]) == ("install", "web", 0)
    assert json.loads(box.services("remove", "web", "--json").stdout)["exit"] == 0
    assert json.loads(box.services("remove", "other", "--json", expect=2).stdout)["exit"] == 2


def test_a_master_that_runs_learns_of_it_and_nothing_else_starts(box: Services) -> None:
    probe = box.program("probe")
    box.write(f"[one]\n_enabled = True\n_command = {probe}\n")
    box.master("start")
    first = box.pid("one")
    box.install("web", str(probe), "1")
    assert box.app("web")["state"] == "stopped"
    box.install("two", str(probe), "2", flags=("--now",))
    assert (box.app("web")["state"], box.app("two")["state"]) == ("stopped", "running")
    assert box.pid("one") == first
    assert box.status("web")["apps"][0]["name"] == "web"
    second = box.pid("two")
    box.services("remove", "two")
    assert not living(second)
    assert not (box.run / "two.pid").exists()
    assert [row["name"] for row in box.status()["apps"]] == ["one", "web"]
    assert box.pid("one") == first


def test_what_was_stopped_by_hand_is_forgotten_with_the_service(box: Services) -> None:
    probe = box.program("probe")
    box.write(f"[one]\n_enabled = True\n_command = {probe}\n")
    box.master("start")
    box.install("web", str(probe), flags=("--now",))
    box.services("stop_and_remove", "web")
    box.services("reinstall", "web", "--now")
    assert box.app("web")["state"] == "running"
    box.services("stop-and-remove", "web")
    box.master("stop")
    box.services("reinstall", "web")
    box.master("start")
    assert box.app("web")["state"] == "running"


def test_with_the_last_app_the_master_ends_and_with_another_it_stays(box: Services) -> None:
    for name in ("one", "two"):
        box.install(name, str(box.program("probe")), flags=("--now",))
    box.services("remove", "one")
    assert [row["name"] for row in box.status()["apps"]] == ["two"]
    assert "the master and its apps are stopped" in box.services("remove", "two").stdout
    assert box.processes() == []
    box.install("two", str(box.program("probe")), flags=("--now",))
    assert box.app("two")["state"] == "running"


def test_reinstall_brings_back_the_same_bytes_until_the_answers_are_removed(box: Services) -> None:
    box.config.write_text("[x]\n_enabled = no\n_command = /bin/true\n")
    box.install("web", "/bin/sleep", "1 2", "%d")
    before = box.tree()
    box.services("remove", "web")
    done = box.services("reinstall", "web")
    assert (
        f"reinstall: master.py install web --boot=none -- {shlex.join(['/bin/sleep', '1 2', '%d'])}"
        in done.stdout
    )
    assert box.tree() == before
    assert "installed already" in box.services("reinstall", "web", "--yes").stdout
    box.services("remove", "web", "--remove-install-args", "--remove-nssm")
    done = box.services("reinstall", "web", expect=1)
    assert "forgotten, by --remove_install_args" in done.stderr
    assert "never installed" in box.services("reinstall", "other", expect=1).stderr
    assert "nothing to remove" in box.services("remove", "web").stdout


def test_a_section_written_by_hand_can_be_removed_and_comes_back_as_it_was(box: Services) -> None:
    box.config.write_text("[a]\n_command = /bin/true\n# why\n_nice = 3\n[b]\n_command = /bin/true\n")
    box.services("remove", "a")
    assert box.config.read_text() == "[b]\n_command = /bin/true\n"
    box.services("reinstall", "a")
    assert (
        box.config.read_text() == "[b]\n_command = /bin/true\n\n[a]\n_command = /bin/true\n# why\n_nice = 3\n"
    )


@pytest.mark.parametrize("verb", ["remove", "reinstall", "restart"])
@pytest.mark.parametrize("state", ["running", "stopped", "unknown"])
def test_the_verbs_of_two_steps(box: Services, verb: str, state: str) -> None:
    probe = box.program("probe")
    box.install("web", str(probe))
    if state == "running":
        box.master("start")
    done = box.services(f"stop_and_{verb}", "web" if state != "unknown" else "nobody", expect=None)
    if state == "unknown":
        assert done.returncode == 2
        assert f"stop_and_{verb}: stop failed, so nothing else was done" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
    assert ("[web]" in sections(box) if box.config.exists() else False) == (
        verb != "remove" or state == "unknown"
    )
    runs = any(row["pid"] for row in box.status()["apps"])
    assert runs == (verb == "restart" and state != "unknown")


def test_every_verb_prints_one_document(box: Services) -> None:
    probe = box.program("probe")

    def document(
        verb: str, *words: str, program: Sequence[str] = (), expect: int | None = 0
    ) -> dict[str, Any]:
        done = box.services(verb, *words, "--json", program=program, expect=expect)
        found: dict[str, Any] = json.loads(done.stdout)
        assert (found["verb"], found["exit"]) == (verb, done.returncode)
        assert not any(line.lstrip().startswith(("{", "}")) for line in found.get("told", ()))
        return found

    document("install", "web", "--boot=systemd", program=[str(probe)])
    document("install", "web", "--boot=systemd", "--print", program=[str(probe)])
    document("stop_and_restart", "web")
    document("stop_and_reinstall", "web")
    document("reinstall", "web", "--print")
    shown = document("remove", "web", "--print")
    assert shown["section"].startswith("[web]\n")
    assert shown["removed"]
    document("remove", "--print")
    document("stop_and_remove", "web")
    document("remove")
    document("remove", "nobody", expect=2)
    document("stop_and_remove", "nobody", expect=2)
    document("install", "a b", program=["/bin/true"], expect=2)


def test_the_second_step_that_fails_is_named(box: Services) -> None:
    box.config.write_text("[web]\n_enabled = True\n_command = /bin/true\n")
    done = box.services("stop_and_reinstall", "web", expect=1)
    assert "stop_and_reinstall: reinstall failed after the stop: web: it was never installed" in done.stderr
    assert box.services("stop-and-reinstall", "web", expect=1).stderr == done.stderr


def test_every_action_is_in_the_log(box: Services) -> None:
    probe = box.program("probe")
    box.install("web", str(probe))
    box.master("start", "web")
    box.master("stop", "web")
    box.services("remove", "web")
    box.services("remove", "nobody", expect=2)
    lines = (box.run / "services" / "actions.log").read_text().splitlines()
    user = lines[0].split()[1]
    assert [line.partition(" ")[2] for line in lines] == [
        f"{user} install web: done", f"{user} start web: done", f"{user} stop web: done", f"{user} remove web: done",
        f"{user} remove nobody: failed, status 2",
    ]  # fmt: skip
    assert (box.run / "services" / "actions.log").stat().st_mode & 0o777 == 0o600


def test_a_hostile_store_is_not_believed(box: Services) -> None:
    box.install("web", "/bin/true")
    store = box.run / "services"
    for name, text in (
        ("app.web.json", "{"),
        ("app.web.json", '{"version": 9}'),
        ("app.web.json", "[]"),
        ("undo", "{}\n"),
    ):
        before = (store / name).read_bytes() if (store / name).exists() else None
        (store / name).write_text(text)
        (store / name).chmod(0o600)
        done = box.services("remove", "web", expect=1)
        assert "remove it" in done.stderr
        (store / name).unlink()
        if before:
            (store / name).write_bytes(before)
    store.chmod(0o777)
    assert "not believed" in box.services("remove", "web", expect=1).stderr
    store.chmod(0o700)
    (store / "app.web.json").unlink()
    (store / "app.web.json").symlink_to("/etc/passwd")
    assert "remove it" in box.services("remove", "web", expect=1).stderr
    assert "[web]" in sections(box)


def test_a_configuration_behind_a_symlink_is_changed_where_it_is(box: Services) -> None:
    real = box.directory / "real.cfg"
    real.write_text("[x]\n_enabled = no\n_command = /bin/true\n")
    box.config.symlink_to(real)
    before = box.tree()
    box.install("web", "/bin/true")
    assert box.config.is_symlink()
    assert "[web]" in real.read_text()
    box.services("remove", "web")
    assert box.tree() == before


def test_a_command_changed_by_hand_is_what_reinstall_brings_back(box: Services) -> None:
    box.install("web", "/bin/sleep", "4")
    changed = sections(box).replace("sleep 4", "sleep 5")
    box.config.write_text(changed)
    done = box.services("reinstall", "web", "--yes")
    assert "its section was changed since it was installed; it stays as it is" in done.stdout
    assert "install web --boot=none -- /bin/sleep 5" in done.stdout
    assert sections(box) == changed
    assert "it is kept as it was last" in box.services("remove", "web").stdout
    done = box.services("reinstall", "web", "--yes")
    assert "install web --boot=none -- /bin/sleep 5" in done.stdout
    assert sections(box) == changed
    box.services("remove", "web")
    box.services("reinstall", "web")
    assert sections(box) == changed


@pytest.mark.parametrize("forget", [(), ("--remove_install_args",)])
def test_the_verbs_of_two_steps_are_harmless_twice_and_answered_in_advance(
    box: Services, forget: tuple[str, ...]
) -> None:
    box.install("web", str(box.program("probe")), flags=("--now",))
    before = sections(box)
    box.services("stop_and_reinstall", "web", "--yes")
    assert sections(box) == before
    box.services("stop_and_remove", "web", "--yes", *forget)
    again = box.services("stop_and_remove", "web", *forget)
    assert "is not installed, there is nothing to remove" in again.stdout
    if not forget:
        box.services("stop_and_reinstall", "web", "--yes")
        assert sections(box) == before
