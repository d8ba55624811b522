"""Windows' Task Scheduler and Startup folder: a batch file, and what has it started.

Knows the task schema 1.2 and cmd. All of it is only printed; see docs for what of the master does not run there.
"""

from __future__ import annotations

import ntpath
import posixpath
import xml.etree.ElementTree as ElementTree

from .checked import has_drive
from .plan import Artefact, BootError, Plan, Service
from .windows_quoting import arguments, batch_line, crlf, windows_words

_SCHEMA = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_STARTUP = r"%APPDATA%\Microsoft\Windows\Start Menu\Programs\Startup"
_SETTINGS: tuple[tuple[str, str], ...] = (
    ("MultipleInstancesPolicy", "IgnoreNew"),
    # True by default, these two, and then the laptop on battery has no launcher.
    ("DisallowStartIfOnBatteries", "false"),
    ("StopIfGoingOnBatteries", "false"),
    ("AllowHardTerminate", "true"),
    ("StartWhenAvailable", "true"),
    ("RunOnlyIfNetworkAvailable", "false"),
    ("IdleSettings/StopOnIdleEnd", "false"),
    ("IdleSettings/RestartOnIdle", "false"),
    ("AllowStartOnDemand", "true"),
    ("Enabled", "true"),
    ("Hidden", "false"),
    ("RunOnlyIfIdle", "false"),
    ("WakeToRun", "false"),
    # By default a task is ended after 72 hours.
    ("ExecutionTimeLimit", "PT0S"),
    # 7, the default, is below normal.
    ("Priority", "5"),
    ("RestartOnFailure/Interval", "PT1M"),
    ("RestartOnFailure/Count", "999"),
)
FOREIGN = (
    "the paths are those of this machine: on Windows, call install there, or put yours in",
    "the master itself needs Linux; what can run on Windows are the programs that it would start",
)


def directory(service: Service) -> str:
    """Where the configuration is."""
    module = ntpath if has_drive(service.config) else posixpath
    return str(module.dirname(service.config))


def beside(service: Service, name: str) -> str:
    """The path of a file beside the configuration."""
    module = ntpath if has_drive(service.config) else posixpath
    return str(module.join(directory(service), name))


def launcher(service: Service) -> Artefact:
    """The batch file: from any directory, with the interpreter's absolute path, and its exit status."""
    lines = [
        "@echo off",
        "setlocal",
        'cd /d "%~dp0"',
        "if errorlevel 1 exit /b 1",
        # Without `call`, another batch file would not come back.
        *([f"call {service.activate}", "if errorlevel 1 exit /b %ERRORLEVEL%"] if service.activate else []),
        'set "PYTHONUTF8=1"',
        f"{batch_line(windows_words(service.command('run')))} %*",
        "exit /b %ERRORLEVEL%",
    ]
    return Artefact(path=beside(service, "launcher.bat"), text=crlf(lines))


def task(service: Service) -> Plan:
    """A task that starts with the machine, without anybody logged on."""
    user = service.user or service.caller
    if not user:
        raise BootError(r"a task runs as somebody: give --user=NAME, or --user=DOMAIN\NAME")
    name, file = service.name, beside(service, f"{service.name}.xml")
    password = () if service.s4u else ("/ru", user, "/rp", "*")
    xml = Artefact(path=file, text=_xml(service, user))
    return Plan(
        kind="windows-task",
        artefacts=(xml, launcher(service)) if service.activate else (xml,),
        enable=(("schtasks", "/create", "/tn", name, "/xml", file, *password),),
        start=(("schtasks", "/run", "/tn", name),),
        stop=(("schtasks", "/end", "/tn", name),),
        disable=(("schtasks", "/delete", "/tn", name, "/f"),),
        notes=(
            "without a stored password (S4U) it has no rights on the network: no shares, no other machine's login"
            if service.s4u
            else "/rp * asks for the user's password, without which no task runs unless its user is logged on; it"
            " stands in no file",
            *FOREIGN,
        ),
        needs_root=False,
        foreign=True,
    )  # fmt: skip


def _xml(service: Service, user: str) -> str:
    if service.activate:
        command, words = beside(service, "launcher.bat"), ""
    else:
        command, *rest = service.command("run")
        words = arguments(rest)
    root = ElementTree.Element("Task", {"version": "1.2", "xmlns": _SCHEMA})
    values = (
        ("RegistrationInfo/URI", f"\\{service.name}"),
        ("RegistrationInfo/Description", " ".join(service.description.split())),
        ("Triggers/BootTrigger/Enabled", "true"),
        ("Principals/Principal/UserId", user),
        ("Principals/Principal/LogonType", "S4U" if service.s4u else "Password"),
        ("Principals/Principal/RunLevel", "HighestAvailable"),
        *((f"Settings/{name}", value) for name, value in _SETTINGS),
        ("Actions/Exec/Command", command),
        ("Actions/Exec/Arguments", words),
        ("Actions/Exec/WorkingDirectory", directory(service)),
    )
    for path, value in values:
        if value:
            _set(root, path, value)
    for path, attribute in (("Principals/Principal", "id"), ("Actions", "Context")):
        element = root.find(path)
        if element is not None:
            element.set(attribute, "Author")
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode").replace("\n", "\r\n")
    return f'<?xml version="1.0" encoding="UTF-8"?>\r\n{body}\r\n'


def _set(element: ElementTree.Element, path: str, value: str) -> None:
    for name in path.split("/"):
        found = element.find(name)
        element = ElementTree.SubElement(element, name) if found is None else found
    element.text = value


def startup(service: Service) -> Plan:
    """The batch file, and one in the Startup folder that calls it."""
    bat = launcher(service)
    # Without `call`, which would read each % once more; nothing comes after it that control would have to return to.
    call = crlf(["@echo off", batch_line(windows_words([bat.path]))])
    return Plan(
        kind="windows-startup",
        artefacts=(bat, Artefact(path=rf"{_STARTUP}\{service.name}.bat", text=call)),
        notes=(
            "it starts at login only, and ends with the session or its window; --boot=windows-task starts at boot",
            "the folder opens by: Windows-R, shell:startup",
            *FOREIGN,
        ),
        needs_root=False,
        foreign=True,
    )
