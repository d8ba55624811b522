"""Packages of extras: who wants one that is not there says how to get it, and nobody else knows of any."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.test_every_program import SCRIPTS, free_port
from tests.master.conftest import BIN

APPS = SCRIPTS.parent / "apps" / "kegapps"
# By extra: what it brings, as it is imported.
EXTRAS = {
    "gpio": ("gpiozero", "lgpio"),
    "lcd": ("RPLCD", "smbus", "smbus2"),
    "mqtt": ("paho",),
    "publish": ("apprise",),
    "rfid": ("Phidget22",),
    "sound": ("pygame",),
}
MODULES = tuple(module for modules in EXTRAS.values() for module in modules)


def _urls(folder: Path) -> str:
    path = folder / "urls"
    path.write_text("json://localhost:9/\n")
    path.chmod(0o600)
    return str(path)


# Program, the flags by which it wants the extra, the extra.
WANTED: list[tuple[str, Callable[[Path], list[str]], str]] = [
    ("lcd_daemon.py", lambda _: ["--lcd_device_type=hd44780_i2c"], "lcd"),
    ("mqtt_bridge.py", lambda folder: [f"--mqtt_state={folder / 'bridge.sqlite'}"], "mqtt"),
    ("publisher.py", lambda folder: [f"--urls_file={_urls(folder)}", f"--queue={folder / 'queue'}"], "publish"),
    ("rfid_daemon.py", lambda _: ["--rfid_device_type=phidget"], "rfid"),
    ("sound_server.py", lambda _: ["--player=pygame"], "sound"),
]  # fmt: skip


@pytest.fixture
def nothing_installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which no extra can be imported, as if none were installed."""
    for module in MODULES:
        (tmp_path / "absent" / f"{module}.py").parent.mkdir(exist_ok=True)
        (tmp_path / "absent" / f"{module}.py").write_text(
            f"raise ModuleNotFoundError('there is no {module}', name={module!r})\n"
        )
    return {"PYTHONPATH": str(tmp_path / "absent"), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}


@pytest.mark.parametrize(("program", "flags", "extra"), WANTED, ids=[extra for _, _, extra in WANTED])
def test_a_missing_extra_is_one_line_that_says_how_to_get_it(
    program: str,
    flags: Callable[[Path], list[str]],
    extra: str,
    nothing_installed: dict[str, str],
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [BIN / program, f"--kb_core_addr=localhost:{free_port()}", *flags(tmp_path)],
        env=nothing_installed, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"pip install 'kegmaster[{extra}]'" in done.stderr


@pytest.mark.parametrize("program", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_every_program_explains_itself_with_no_extra_installed(
    program: str, nothing_installed: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [BIN / program, "--help"], env=nothing_installed, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def imported(path: Path) -> Iterator[str]:
    """The top names of all that `path` imports, wherever in it, but for what only a type checker reads."""
    for node in ast.walk(_without_type_checking(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def _without_type_checking(tree: ast.Module) -> ast.Module:
    class Drop(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | None:
            is_typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            return None if is_typing else self.generic_visit(node)

    done: ast.Module = Drop().visit(tree)
    return done


def test_extras_are_imported_by_way_of_the_one_function_that_explains_their_absence() -> None:
    sinners = {
        str(path.relative_to(APPS)): found
        for path in sorted(APPS.rglob("*.py"))
        if (found := sorted(set(imported(path)) & set(MODULES)))
    }
    assert sinners == {}


def test_every_extra_has_one_folder_of_programs_that_may_want_it() -> None:
    owners = {"gpio": "gpio", "lcd": "lcd", "mqtt": "bridge", "publish": "publish", "rfid": "rfid", "sound": "sound"}  # fmt: skip
    for path in sorted(APPS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Constant):
                assert path.parent.name == owners[str(node.value.value)], f"{path}:{node.lineno}"
