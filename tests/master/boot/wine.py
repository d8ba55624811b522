"""The artefacts for Windows under Wine: cmd, schtasks, sc and reg read them. `python -m tests.master.boot.wine`.

A minute or two; nothing is left behind. Wine's script host stands for the interpreter: it tells its arguments, its
directory, and ends with the status it is told to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kegmaster.boot import kinds
from kegmaster.boot.plan import Artefact, Plan
from kegmaster.boot.windows_quoting import batch_line, windows_words

from .readers import windows_words as words_of
from .samples import service

INTERPRETER = r"C:\windows\system32\cscript.exe"
STATUS = 7
STUB = f"""\
for (var i = 0; i < WScript.Arguments.Count(); i++) WScript.Echo(WScript.Arguments.Item(i));
WScript.Echo((new ActiveXObject("WScript.Shell")).CurrentDirectory);
WScript.Quit({STATUS});
"""
# No % in a name: Wine loses it in %~dp0, where Windows keeps it.
BASES = (r"C:\my & (more) lab", r"C:\plain", "C:")
KEY = r"HKLM\SYSTEM\CurrentControlSet\Services\kegmaster"


class Prefix:
    """A Windows of our own in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.drive = directory / "drive_c"
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(directory), "WINEPREFIX": str(directory), "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree=;mshtml=",
        }  # fmt: skip

    def __call__(self, *words: str) -> tuple[int, list[str]]:
        """Run one command to its end; its status and what it printed."""
        ran = subprocess.run(
            ["wine", *words], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=120, check=False,
        )  # fmt: skip
        return ran.returncode, ran.stdout.decode("utf-8", "replace").splitlines()

    def write(self, artefact: Artefact) -> None:
        path = self.unix(artefact.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(artefact.text.encode(artefact.encoding))

    def unix(self, path: str) -> Path:
        path = path.replace("%APPDATA%", r"C:\users\roaming").replace("\\", "/")
        return self.drive / path.removeprefix("C:/")


def same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise SystemExit(f"{what}:\n found    {found}\n expected {expected}")
    print(f"ok   {what}")


def plan(kind: str, base: str) -> Plan:
    return kinds.plan(kind, service(base=base, argv=(INTERPRETER, rf"{base}\master.js"), caller="lab"))


def batch_files(wine: Prefix) -> None:
    """The launcher, called as the Startup folder does, passes words, directory and status on."""
    for base in BASES:
        made = plan("windows-startup", base)
        for artefact in made.artefacts:
            wine.write(artefact)
        wine.unix(rf"{base}\master.js").write_text(STUB)
        startup = made.artefacts[-1].path.replace("%APPDATA%", r"C:\users\roaming")
        code, lines = wine("cmd", "/c", startup)
        told = service(base=base, argv=("x", "y")).command("run")[2:]
        directory = base if "\\" in base else f"{base}\\"
        same(
            (code, lines),
            (STATUS, [*told, directory]),
            f"{base}: words, directory and status of launcher.bat",
        )


def task(wine: Prefix) -> None:
    for base in BASES:
        made = plan("windows-task", base)
        (xml,) = made.artefacts
        wine.write(xml)
        (create,) = made.enable
        # The password is asked for on a terminal, which is not here.
        code, lines = wine(*create[: create.index("/ru")])
        same(code, 0, f"schtasks /create with {xml.path} ({' '.join(lines)})")
        (delete,) = made.disable
        same(wine(*delete)[0], 0, "schtasks /delete")


def registry(wine: Prefix) -> None:
    for base in BASES:
        made = plan("sc", base)
        for artefact in made.artefacts:
            wine.write(artefact)
        install, remove = (artefact.path for artefact in made.artefacts)
        run(wine, install)
        asked = service(base=base, argv=(INTERPRETER, rf"{base}\master.js"))
        here = base if "\\" in base else f"{base}\\"
        separator = "" if here.endswith("\\") else "\\"
        same(
            value(wine, KEY, "ImagePath"), f'"{here}{separator}srvany.exe"', f"{install}: ImagePath in quotes"
        )
        same(value(wine, KEY, "Start"), "0x2", "it starts by itself")
        same(value(wine, KEY, "Description"), asked.description, "its description")
        same(value(wine, rf"{KEY}\Parameters", "Application"), INTERPRETER, "Application")
        same(value(wine, rf"{KEY}\Parameters", "AppDirectory"), here, "AppDirectory")
        words = value(wine, rf"{KEY}\Parameters", "AppParameters")
        same(words_of(words), list(asked.command("run"))[1:], "AppParameters, word by word")
        run(wine, remove)
        same(wine("sc", "query", "kegmaster")[0] != 0, True, f"{remove}: it is gone")


def run(wine: Prefix, file: str) -> None:
    """A batch file, through one with a simple name: on cmd's own line a & would be an end."""
    (wine.drive / "run.bat").write_bytes(f"@echo off\r\n{batch_line(windows_words([file]))}\r\n".encode())
    wine("cmd", "/c", r"C:\run.bat")


def value(wine: Prefix, key: str, name: str) -> str:
    code, lines = wine("reg", "query", key, "/v", name)
    for line in lines:
        if line.strip().startswith(f"{name} "):
            return line.strip().split(None, 2)[2]
    raise SystemExit(f"reg query {key} /v {name}: {code} {lines}")


def main() -> int:
    if not shutil.which("wine"):
        print("wine is not installed: apt install wine", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as directory:
        wine = Prefix(Path(directory))
        try:
            wine("wineboot", "-i")
            batch_files(wine)
            task(wine)
            registry(wine)
        finally:
            subprocess.run(["wineserver", "-k", "-w"], env=wine.environment, check=False, timeout=60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
