"""Windows services: programs that speak to no service manager, behind NSSM or srvany.

Knows the command lines of nssm, sc and reg. What is written is one batch file for an administrator's prompt.
"""

from __future__ import annotations

import ntpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .checked import check_name, has_drive
from .plan import Artefact, BootError, Plan, Service
from .quoting import plain
from .windows import FOREIGN, beside, directory
from .windows_quoting import arguments, batch_line, crlf, windows_word

_DELAY_MS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One Windows service: `argv` in `directory`. `ends`: with exit status 0 it has been stopped, and stays so."""

    name: str
    description: str
    argv: tuple[str, ...]
    directory: str
    log: str
    srvany: str
    ends: bool
    stop_ms: int


def units(service: Service) -> tuple[Unit, ...]:
    """The master; or each app, for those who want a service each. Raises BootError."""
    stop_ms = service.timeout_stop_s * 1000
    described = " ".join(service.description.split())
    if not service.each:
        return (
            Unit(name=service.name, description=described, argv=service.command("run"), stop_ms=stop_ms,
                 directory=directory(service), log=_log(service, service.name),
                 srvany=beside(service, "srvany.exe"), ends=True),
        )  # fmt: skip
    if not service.apps:
        raise BootError("no app is enabled that could be a service; write _enabled = True into a section")
    for name, argv, where in service.apps:
        check_name(name)
        for word in (*argv, where):
            plain(word, f"[{name}]")
    return tuple(
        Unit(name=name, description=f"{name} of {described}", argv=argv, stop_ms=stop_ms,
             directory=where or directory(service), log=_log(service, name),
             srvany=beside(service, "srvany.exe"), ends=False)
        for name, argv, where in service.apps
    )  # fmt: skip


def _log(service: Service, name: str) -> str:
    separator = "\\" if has_drive(service.logfile_dir) else "/"
    return f"{service.logfile_dir}{separator}{name}.service.log"


def nssm(service: Service) -> Plan:
    """Services behind nssm.exe, which restarts them and keeps their output."""
    return _plan(service, "nssm", _nssm, (
        "nssm.exe must be on the PATH or beside the batch file, in a place where it can stay; it is not downloaded",
    ), "nssm stop {0}", "nssm remove {0} confirm")  # fmt: skip


def sc(service: Service) -> Plan:
    """Services behind srvany.exe of the Windows Server 2003 Resource Kit."""
    return _plan(service, "sc", _sc, (
        "srvany.exe must be beside the configuration: the service begins with it each time",
        "srvany restarts nothing and stops no children: nssm does better",
    ), "sc stop {0}", "sc delete {0}")  # fmt: skip


def _plan(
    service: Service, kind: str, lines: Callable[[Unit], Iterator[str]], notes: tuple[str, ...], *removal: str
) -> Plan:  # fmt: skip
    every = units(service)
    install = ["@echo off", "setlocal", 'cd /d "%~dp0"', *(line for unit in every for line in lines(unit))]
    remove = ["@echo off", *(line.format(windows_word(unit.name)) for unit in every for line in removal)]
    account = f" ({service.user})" if service.user else ""
    return Plan(
        kind=kind,
        artefacts=(
            Artefact(path=beside(service, f"install-{service.name}-{kind}.bat"), text=crlf(install)),
            Artefact(path=beside(service, f"remove-{service.name}-{kind}.bat"), text=crlf(remove)),
        ),
        notes=(
            "run the batch file at an administrator's prompt",
            f"the account{account} and its password are entered in services.msc, Log On, where they stand in no file;"
            " until then it runs as LocalSystem, which may do all: nobody else may write its configuration",
            *notes,
            *FOREIGN,
        ),
        foreign=True,
    )  # fmt: skip


def _path(unit: Unit) -> str:
    """A service finds nothing by the PATH of whoever installed it."""
    own = ntpath.dirname(unit.argv[0]) if has_drive(unit.argv[0]) else ""
    return ";".join(filter(None, (own, r"C:\Windows\System32", r"C:\Windows")))


def _nssm(unit: Unit) -> Iterator[str]:
    program, *words = unit.argv
    settings = (
        # Not on the line of `install`, where one more layer of quotes would be read.
        ("AppParameters", arguments(words)),
        ("AppDirectory", unit.directory),
        ("DisplayName", unit.name),
        ("Description", unit.description),
        ("AppStdout", unit.log),
        ("AppStderr", unit.log),
    )
    name = windows_word(unit.name)
    yield batch_line(f"nssm install {name} {windows_word(program)}")
    for option, value in settings:
        if value:
            yield batch_line(f"nssm set {name} {option} {windows_word(value)}")
    yield f"nssm set {name} Start SERVICE_DELAYED_AUTO_START"
    yield f"nssm set {name} AppExit Default Restart"
    if unit.ends:
        yield f"nssm set {name} AppExit 0 Exit"
    yield f"nssm set {name} AppRestartDelay {_DELAY_MS}"
    yield f"nssm set {name} AppStopMethodConsole {unit.stop_ms}"
    path = windows_word(f"PATH={_path(unit)}")
    yield batch_line(f"nssm set {name} AppEnvironmentExtra PYTHONUTF8=1 {path}")


def _sc(unit: Unit) -> Iterator[str]:
    program, *words = unit.argv
    name = windows_word(unit.name)
    # The blank after each = and none before it: sc wants it so. The inner quotes stay: an unquoted path with a blank
    # would run whatever bears the name of its first part.
    image = windows_word(f'"{unit.srvany}"')
    yield batch_line(f"sc create {name} binPath= {image} start= auto DisplayName= {name}")
    yield batch_line(f"sc description {name} {windows_word(unit.description)}")
    key = windows_word(rf"HKLM\SYSTEM\CurrentControlSet\Services\{unit.name}\Parameters")
    for value, text in (
        ("Application", program), ("AppParameters", arguments(words)), ("AppDirectory", unit.directory),
    ):  # fmt: skip
        if text:
            yield batch_line(f"reg add {key} /v {value} /t REG_SZ /d {windows_word(text)} /f")
    environment = windows_word(rf"PYTHONUTF8=1\0PATH={_path(unit)}")
    yield batch_line(f"reg add {key} /v AppEnvironment /t REG_MULTI_SZ /d {environment} /f")
