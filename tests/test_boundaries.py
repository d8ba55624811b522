"""The house rules of who may import whom, read from the source of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MASTER = ROOT / "master" / "kegmaster"
APPS = ROOT / "apps" / "kegapps"
PROGRAMS = {path.stem for path in (ROOT / "scripts").glob("*.py")}

# Modules that decide: they get time and bytes as arguments and say what to do.
DECIDING = {
    MASTER: (
        "keys",
        "ini",
        "spec",
        "config",
        "lifecycle",
        "life",
        "restart",
        "order",
        "problems",
        "exit_codes",
        "render",
        "settings",
        "changes",
        "checks",
        "liveness",
        "lateness",
        "envfile",
        "services/answers",
        "services/elevation",
        "services/marks",
        "services/script",
        "services/section",
        "absolute",
        "needs",
        "whereabouts",
        "boot/checked",
        "boot/cron",
        "boot/environment",
        "boot/kinds",
        "boot/launchd",
        "boot/lsb",
        "boot/machine",
        "boot/openrc",
        "boot/plan",
        "boot/presence",
        "boot/quoting",
        "boot/rclocal",
        "boot/shell",
        "boot/supervise",
        "boot/systemd",
        "relatives",
        "relations",
        "paths",
        "tenancy",
        "boot/upstart",
        "boot/windows",
        "boot/windows_quoting",
        "boot/windows_services",
        "convert/circus",
        "convert/draft",
        "convert/execstart",
        "convert/expansion",
        "convert/inifile",
        "convert/kegbot",
        "convert/leaving",
        "convert/priorities",
        "convert/procfile",
        "convert/recognize",
        "convert/supervisord",
        "convert/supervisord_program",
        "convert/systemd",
        "convert/to_compose",
        "convert/to_kubernetes",
        "convert/to_procfile",
        "convert/to_supervisord",
        "convert/to_systemd",
        "convert/unit_life",
        "convert/unit_losses",
        "convert/unit_values",
        "convert/unitfile",
        "convert/words",
        "convert/yaml",
    ),
    APPS: (
        "bridge/homeassistant",
        "bridge/mqtt_claims",
        "bridge/mqtt_letters",
        "bridge/mqtt_orders",
        "bridge/mqtt_outbox",
        "bridge/mqtt_seal",
        "bridge/mqtt_statuses",
        "bridge/mqtt_topics",
        "bridge/mqtt_transit",
        "bridge/mqtt_views",
        "kbsp/messages",
        "kbsp/checksums",
        "kbsp/codec",
        "lcd/cells",
        "lcd/cfa635",
        "lcd/cfa635_talk",
        "lcd/charset",
        "lcd/display",
        "lcd/mtxorb",
        "lcd/mtxorb_talk",
        "lcd/picture",
        "lcd/refresh",
        "lcd/i2c_address",
        "lcd/lcdproc_codec",
        "lcd/room",
        "lcd/rotation",
        "lcd/screens",
        "lcd/talk",
        "bridge/redis_address",
        "bridge/redis_deafness",
        "bridge/redis_echo",
        "bridge/redis_dialect",
        "bridge/redis_drinks",
        "bridge/redis_outgoing",
        "bridge/redis_resp",
        "daemon/labels",
        "kegnet/events",
        "kegnet/codec",
        "kegnet/delivery",
        "kegnet/drink_facts",
        "kegnet/drinks_read",
        "kegnet/drinks_record",
        "kegnet/taproom",
        "publish/destinations",
        "publish/feed",
        "publish/messages",
        "publish/networks",
        "publish/pacing",
        "publish/places",
        "publish/reasons",
        "publish/refusals",
        "publish/template",
        "publish/wording",
        "core/boards",
        "core/watch",
        "core/meters",
        "core/flows",
        "core/tokens",
        "core/model",
        "core/effects",
        "core/admission",
        "core/engine",
        "core/odometers",
        "core/pending",
        "core/delivery",
        "core/dispatch",
        "core/event_route",
        "core/jobs",
        "core/ledger_rules",
        "core/outbox",
        "core/server_taps",
        "core/tap_facts",
        "core/rules",
        "core/report",
        "core/rows",
        "core/schema",
        "core/thermo",
        "core/valves",
        "core/token_book",
        "kbsp/payloads",
        "kbsp/thermo",
        "kegnet/fields",
        "kegboard/board",
        "kegboard/conversation",
        "kegboard/devices",
        "kegboard/outputs",
        "kegboard/pacing",
        "kegboard/receiver",
        "kegboard/rig",
        "kegboard/roster",
        "kegboard/tally",
        "kegboard/trial",
        "kegboard/verbs",
        "kegboard/wording",
        "rfid/key_events",
        "rfid/presence",
        "rfid/reader",
        "rfid/tag_frames",
        "rfid/tokens",
        "rfid/wedge",
        "rfid/wedge_formats",
        "rfid/word_lines",
        "tools/doctor/checked",
        "tools/doctor/facts",
        "tools/doctor/finding",
        "tools/doctor/judge",
        "tools/doctor/judge_board",
        "tools/doctor/judge_core",
        "tools/doctor/judge_device",
        "tools/doctor/judge_master",
        "tools/doctor/judge_server",
        "tools/doctor/judge_store",
        "tools/doctor/kegerators",
        "tools/doctor/settings",
        "tools/doctor/show",
        "tools/doctor/wording",
        "tools/doctor/words",
        "tools/export_formats",
        "gateway/batch",
        "gateway/narrator",
        "gateway/records",
        "gateway/request",
        "gateway/taps",
        "gateway/telling",
        "gateway/words",
        "server/answers",
        "server/calls",
        "server/commands",
        "server/event_api",
        "server/form_api",
        "server/http_answer",
        "server/look",
        "server/on_tap",
        "server/probe",
        "server/route",
        "server/url",
        "server/verdicts",
        "gpio/odometer",
        "gpio/outputs",
        "gpio/record",
        "gpio/w1",
        "gpio/wiring",
        "sound/moments",
        "sound/table",
    ),
}
OUTSIDE_WORLD = {
    "asyncio",
    "ctypes",
    "daemon",
    "fcntl",
    "lockfile",
    "multiprocessing",
    "os",
    "pathlib",
    "psutil",
    "pty",
    "select",
    "selectors",
    "serial",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}
# `kegapps` folders that hold programs may use these shared ones, and their own folder.
SHARED = {"daemon", "kegnet", "kbsp", "server"}
# The tools look at the core's store from outside, through the one module made for people.
ALSO = {("tools", "core.ledger"), ("tools", "core.model")}
# The doctor looks at a store that may be damaged.
ALSO |= {("tools", "core.database"), ("tools", "core.schema")}


def modules(package: Path) -> Iterator[Path]:
    return (path for path in sorted(package.rglob("*.py")))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of everything that `path` imports, inside functions too."""
    top = MASTER.parent if path.is_relative_to(MASTER.parent) else APPS.parent
    package = path.relative_to(top).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                yield node.lineno, f"{stem}.{alias.name}"


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_launcher_and_programs_never_import_each_other() -> None:
    for package, other in ((MASTER, "kegapps"), (APPS, "kegmaster")):
        for path in modules(package):
            for line, name in imports(path):
                assert name.split(".")[0] != other, f"{where(path, line)} imports {name}"


@pytest.mark.parametrize(
    "path",
    [package / f"{name}.py" for package, names in DECIDING.items() for name in names],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_deciding_modules_touch_no_clock_socket_file_or_process(path: Path) -> None:
    for line, name in imports(path):
        assert name.split(".")[0] not in OUTSIDE_WORLD, f"{where(path, line)} imports {name}"


def test_programs_share_only_daemon_kegnet_kbsp_and_server() -> None:
    for path in modules(APPS):
        folder = path.relative_to(APPS).parts[0]
        for line, name in imports(path):
            parts = name.split(".")
            if parts[0] != "kegapps" or len(parts) < 2 or folder == "__init__.py":
                continue
            allowed = parts[1] in SHARED | {folder} or (folder, ".".join(parts[1:3])) in ALSO
            assert allowed, f"{where(path, line)}: {folder} imports {name}"


def test_the_server_side_knows_nothing_of_kegapps_but_the_loop_and_what_may_be_shown() -> None:
    for path in modules(APPS / "server"):
        for line, name in imports(path):
            parts = name.split(".")
            if parts[:3] == ["kegapps", "daemon", "labels"]:  # Unicode, and nothing else
                continue
            if parts[0] == "kegapps" and parts[1] != "server":
                assert path.stem == "courier", f"{where(path, line)} imports {name}"
                assert parts[1:3] == ["daemon", "loop"], f"{where(path, line)} imports {name}"


def test_no_import_package_bears_the_name_of_a_program() -> None:
    for package in (MASTER, APPS):
        assert package.name not in PROGRAMS
        for path in modules(package):
            top = path.relative_to(package.parent).parts[0]
            assert top not in PROGRAMS, path


def test_the_resident_watchdog_needs_neither_asyncio_nor_absl_nor_psutil() -> None:
    for path in modules(MASTER):
        for line, name in imports(path):
            assert name.split(".")[0] not in {"asyncio", "absl"}, f"{where(path, line)} imports {name}"
