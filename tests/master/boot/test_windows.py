"""The artefacts for Windows, read as Windows' own programs would read them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from kegmaster.boot import kinds
from kegmaster.boot.plan import BootError, Plan

from .readers import cmd_line, windows_argv, windows_words
from .samples import artefact, service, text

BASE = r"C:\Users\lab\my 100% & (more) lab"
PYTHON = r"C:\Program Files\Python311\python.exe"
NAMESPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
ARGV = (PYTHON, BASE + r"\master.py")
APPS = (
    ("web", (PYTHON, r"C:\bots\bots-webserver.py", "-cconfig dir\\"), r"C:\bots dir"),
    ("dirmon", (PYTHON, r"C:\bots\bots-dirmonitor.py"), ""),
    ("jobq", (r"C:\x\jobq.exe", 'say "hello" & more'), ""),
)


def bat(plan: Plan, end: str) -> list[str]:
    """The lines of a batch file."""
    written = text(plan, end)
    assert written.replace("\r\n", "").isprintable()
    assert written.endswith("\r\n")
    return written.split("\r\n")[:-1]


def commands(plan: Plan, end: str, program: str) -> list[list[str]]:
    """The words that Windows passes to each call of `program`."""
    return [windows_argv(cmd_line(line)) for line in bat(plan, end) if line.startswith(program)]


def task(
    user: str = r"LAB\keg", activate: str = "", *, s4u: bool = False
) -> tuple[Plan, ElementTree.Element]:
    plan = kinds.plan(
        "windows-task",
        replace(service(base=BASE, argv=ARGV, user=user, activate=activate, description="keg & co"), s4u=s4u),
    )
    written = artefact(plan, ".xml")
    content = written.text.encode(written.encoding)
    assert content.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    return plan, ElementTree.fromstring(content)


def test_the_task_starts_at_boot_for_ever_and_under_all_conditions() -> None:
    _, root = task()
    assert root.tag == f"{NAMESPACE}Task"
    assert root.get("version") == "1.2"
    expected = {
        "RegistrationInfo/Description": "keg & co",
        "Triggers/BootTrigger/Enabled": "true",
        "Principals/Principal/UserId": r"LAB\keg",
        "Principals/Principal/LogonType": "Password",
        "Principals/Principal/RunLevel": "HighestAvailable",
        "Settings/MultipleInstancesPolicy": "IgnoreNew",
        "Settings/DisallowStartIfOnBatteries": "false",
        "Settings/StopIfGoingOnBatteries": "false",
        "Settings/RunOnlyIfIdle": "false",
        "Settings/RunOnlyIfNetworkAvailable": "false",
        "Settings/IdleSettings/StopOnIdleEnd": "false",
        "Settings/AllowStartOnDemand": "true",
        "Settings/StartWhenAvailable": "true",
        "Settings/AllowHardTerminate": "true",
        "Settings/Enabled": "true",
        "Settings/ExecutionTimeLimit": "PT0S",
        "Settings/RestartOnFailure/Interval": "PT1M",
        "Settings/RestartOnFailure/Count": "999",
        "Settings/Priority": "5",
    }
    found = {path: root.findtext("/".join(NAMESPACE + name for name in path.split("/"))) for path in expected}
    assert found == expected
    assert root.find(f".//{NAMESPACE}LogonTrigger") is None
    principal, actions = root.find(f".//{NAMESPACE}Principal"), root.find(f"{NAMESPACE}Actions")
    assert principal is not None
    assert actions is not None
    assert principal.get("id") == actions.get("Context")
    for element in root.iter():
        if not len(element):
            assert (element.text or "").strip(), element.tag


def test_the_task_runs_one_program_with_absolute_paths() -> None:
    _, root = task()
    (action,) = root.findall(f"{NAMESPACE}Actions/{NAMESPACE}Exec")
    assert action.findtext(f"{NAMESPACE}Command") == PYTHON
    assert action.findtext(f"{NAMESPACE}WorkingDirectory") == BASE
    asked = service(base=BASE, argv=ARGV)
    assert windows_words(action.findtext(f"{NAMESPACE}Arguments") or "") == list(asked.command("run"))[1:]


def test_the_task_asks_for_the_password_and_keeps_it_nowhere() -> None:
    plan, _ = task()
    (create,) = plan.enable
    assert create[:4] == ("schtasks", "/create", "/tn", "kegmaster")
    assert create[create.index("/xml") + 1] == BASE + r"\kegmaster.xml"
    assert create[-4:] == ("/ru", r"LAB\keg", "/rp", "*")
    assert plan.foreign


def test_a_task_without_a_stored_password_is_made_on_request_and_warned_of() -> None:
    plan, root = task(s4u=True)
    assert root.findtext(f".//{NAMESPACE}LogonType") == "S4U"
    assert "/rp" not in plan.enable[0]
    assert any("no rights on the network" in note for note in plan.notes)


def test_a_task_of_nobody_is_refused_and_the_caller_is_the_default() -> None:
    with pytest.raises(BootError, match="--user=NAME"):
        kinds.plan("windows-task", service(base=BASE, argv=ARGV))
    plan = kinds.plan("windows-task", service(base=BASE, argv=ARGV, caller="lab"))
    assert "<UserId>lab</UserId>" in text(plan, ".xml")


def test_an_environment_to_be_activated_is_called_from_the_batch_file() -> None:
    plan, root = task(activate=r"conda activate keg")
    assert root.findtext(f".//{NAMESPACE}Command") == BASE + r"\launcher.bat"
    lines = bat(plan, "launcher.bat")
    assert lines.index("call conda activate keg") < next(
        i for i, line in enumerate(lines) if "master.py" in line
    )


def test_the_batch_file_runs_the_master_and_passes_its_status_on() -> None:
    plan = kinds.plan("windows-startup", service(base=BASE, argv=ARGV))
    lines = bat(plan, "launcher.bat")
    assert lines[:4] == ["@echo off", "setlocal", 'cd /d "%~dp0"', "if errorlevel 1 exit /b 1"]
    assert lines[-1] == "exit /b %ERRORLEVEL%"
    (run,) = (line for line in lines if "master.py" in line)
    assert windows_argv(cmd_line(run.removesuffix(" %*"))) == list(
        service(base=BASE, argv=ARGV).command("run")
    )
    startup = bat(plan, r"Startup\kegmaster.bat")
    assert windows_argv(cmd_line(startup[-1])) == [BASE + r"\launcher.bat"]
    assert any("at login only" in note for note in plan.notes)


def test_a_batch_file_that_is_not_ascii_says_its_code_page_first() -> None:
    plan = kinds.plan("windows-startup", service(base=r"C:\Käfer", argv=ARGV))
    assert bat(plan, "launcher.bat")[1] == "chcp 65001 >nul"


def test_nssm_gets_every_setting_word_by_word() -> None:
    plan = kinds.plan("nssm", service(base=BASE, argv=ARGV, user=r".\lab"))
    install, *settings = commands(plan, "install-kegmaster-nssm.bat", "nssm")
    assert install == ["nssm", "install", "kegmaster", PYTHON]
    assert ["nssm", "set", "kegmaster", "AppExit", "0", "Exit"] in settings  # `stop` is meant
    given = {words[3]: words[4:] for words in settings if words[1] == "set" and "Exit" not in words}
    asked = service(base=BASE, argv=ARGV)
    assert windows_words(given["AppParameters"][0]) == list(asked.command("run"))[1:]
    assert given["AppDirectory"] == [BASE]
    assert given["AppEnvironmentExtra"][0] == "PYTHONUTF8=1"
    assert given["AppEnvironmentExtra"][1].startswith(r"PATH=C:\Program Files\Python311;C:\Windows\System32")
    assert given["AppExit"] == ["Default", "Restart"]
    assert given["Start"] == ["SERVICE_DELAYED_AUTO_START"]
    assert given["AppStdout"] == given["AppStderr"]
    assert "ObjectName" not in given  # which would have the password beside it
    assert commands(plan, "remove-kegmaster-nssm.bat", "nssm") == [
        ["nssm", "stop", "kegmaster"], ["nssm", "remove", "kegmaster", "confirm"],
    ]  # fmt: skip


def test_sc_gets_its_blanks_and_the_registry_the_whole_command() -> None:
    plan = kinds.plan("sc", service(base=BASE, argv=ARGV))
    lines = bat(plan, "install-kegmaster-sc.bat")
    (create,) = (line for line in lines if line.startswith("sc create"))
    assert re.fullmatch(r'sc create "\S+" binPath= "\\".+\\"" start= auto DisplayName= "[^"]+"', create)
    assert commands(plan, "install-kegmaster-sc.bat", "sc create")[0][3:5] == [
        "binPath=",
        f'"{BASE}\\srvany.exe"',
    ]
    values = {words[4]: words[8] for words in commands(plan, "install-kegmaster-sc.bat", "reg")}
    asked = service(base=BASE, argv=ARGV)
    assert values["Application"] == PYTHON
    assert windows_words(values["AppParameters"]) == list(asked.command("run"))[1:]
    assert values["AppDirectory"] == BASE
    assert values["AppEnvironment"].startswith(r"PYTHONUTF8=1\0PATH=C:\Program Files")


@pytest.mark.parametrize(("kind", "create"), [("sc", "sc create"), ("nssm", "nssm install")])
def test_each_app_can_be_a_service_of_its_own(kind: str, create: str) -> None:
    plan = kinds.plan(kind, service(base=BASE, argv=ARGV, apps=APPS, each=True))
    made = commands(plan, f"install-kegmaster-{kind}.bat", create)
    assert [words[2] for words in made] == ["web", "dirmon", "jobq"]
    one = kinds.plan(kind, service(base=BASE, argv=ARGV, apps=APPS))
    assert len(commands(one, f"install-kegmaster-{kind}.bat", create)) == 1
    if kind == "nssm":
        found = [
            w for w in commands(plan, "install-kegmaster-nssm.bat", "nssm set") if w[3] == "AppParameters"
        ]
        assert [windows_words(words[4]) for words in found] == [list(argv[1:]) for _, argv, _ in APPS]


def test_each_of_no_apps_is_refused() -> None:
    with pytest.raises(BootError, match="no app is enabled"):
        kinds.plan("sc", service(base=BASE, argv=ARGV, each=True))


def test_what_is_for_another_platform_says_so() -> None:
    for kind in ("windows-task", "windows-startup", "nssm", "sc", "launchd", "upstart"):
        assert kinds.plan(kind, service(user="lab", home="/Users/lab")).foreign, kind
    for kind in ("systemd", "systemd-user", "sysv", "openrc", "runit", "s6", "cron", "rc.local"):
        assert not kinds.plan(kind, service(user="lab", home="/home/lab")).foreign, kind
