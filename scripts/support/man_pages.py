"""The manual pages, made of the pages in docs/ and of master.py's tables when the package is built.

    python scripts/support/man_pages.py DIRECTORY

master.py(1), kegbot_master.cfg(5), kegmaster-TOPIC(7) for each page of docs/, and for every other program a (1) that
leads to the page it is told of in.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils.core import publish_string

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = {
    "core": ("kegbot_core", "kegbot_admin"),
    "doctor": ("kegbot_doctor",),
    "gateway": ("kegboard_gateway",),
    "gpio": ("gpio_meter",),
    "kegboard": ("kegboard_daemon", "kegboard_monitor", "kegboard_simulator", "kegboard_tester"),
    "kegnet": ("test_flow",),
    "lcd": ("lcd_daemon",),
    "mqtt": ("mqtt_bridge",),
    "publisher": ("publisher", "fb_publisher", "kegbot_twitter"),
    "redis-bridge": ("redis_bridge",),
    "rfid": ("rfid_daemon",),
    "sound": ("sound_server",),
}
"""Which page of docs/ tells of which programs."""
MANUAL = "kegmaster"
_QUIET = ".if \\n[.g] .warn (\\n[.warn]-4)\n"
"""A table that is too wide for a narrow terminal is no reason to complain to the reader (groff's warning `break`)."""


def build(directory: Path) -> list[tuple[str, list[str]]]:
    """Write all pages below `directory`; returns them as setuptools' data_files, by the place they are installed in."""
    texts = {"man1/master.py.1": manual(_master_page(), "master.py", 1)}
    for page in sorted((ROOT / "docs").glob("*.rst")):
        name, section = (
            ("kegbot_master.cfg", 5) if page.stem == "configuration" else (f"{MANUAL}-{page.stem}", 7)
        )
        texts[f"man{section}/{name}.{section}"] = manual(page.read_text(encoding="utf-8"), name, section)
    for page_name, programs in PAGES.items():
        for program in programs:
            texts[f"man1/{program}.py.1"] = f".so man7/{MANUAL}-{page_name}.7\n"
    installed: dict[str, list[str]] = {}
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        installed.setdefault(f"share/man/{path.parent.name}", []).append(str(path))
    return sorted(installed.items())


def manual(page: str, name: str, section: int) -> str:
    """A page of reStructuredText as a manual page. Raises what docutils finds wrong with it."""
    title, underline, body = page.split("\n", 2)
    if not underline or set(underline) != {"="}:
        raise ValueError(f"{name}: a page begins with its title, underlined by =")
    summary = title.partition(": ")[2] or title
    head = f"{'=' * len(name)}\n{name}\n{'=' * len(name)}\n\n{'-' * len(summary)}\n{summary}\n{'-' * len(summary)}\n\n"
    head += f":Manual section: {section}\n:Manual group: {MANUAL}\n\n"
    text = publish_string(
        head + body, writer_name="manpage",
        settings_overrides={
            "halt_level": 2, "report_level": 2, "input_encoding": "unicode", "output_encoding": "unicode",
            "file_insertion_enabled": False, "raw_enabled": False, "_disable_config": True,
        },
    )  # fmt: skip
    return _QUIET + _references(str(text))


def _references(text: str) -> str:
    """Pages of docs/ by the name they have as manual pages; in troff, since in a table of the source it may not fit."""
    text = text.replace("docs/configuration.rst", "kegbot_master.cfg(5)")
    return re.sub(r"docs/((?:[a-z]|\\-)+)\.rst", rf"{MANUAL}\\-\1(7)", text)


def _master_page() -> str:
    sys.path.insert(0, str(ROOT / "master"))
    try:
        from kegmaster.exit_codes import HELP
        from kegmaster.flags import FLAGS, VERBS, values_of
    finally:
        sys.path.pop(0)
    verbs = "\n".join(f"``{verb}``\n    {_plain(text)}.\n" for verb, text in VERBS.items())
    flags = "\n".join(
        f"``{', '.join(flag.words)}{' ' + flag.metavar if flag.metavar else ''}``\n    {_plain(about)}.\n"
        for flag in FLAGS
        if (about := flag.help + (f" ({values_of(flag.choices)})" if flag.choices else ""))
    )
    statuses = "\n".join(f"    {line}" for line in HELP.partition("\n")[2].splitlines())
    topics = ", ".join(
        f"{MANUAL}-{page.stem}(7)"
        for page in sorted((ROOT / "docs").glob("*.rst"))
        if page.stem != "configuration"
    )
    return f"""\
master.py: launcher and watchdog for the apps of one INI file
=============================================================

Synopsis
--------
``master.py`` VERB [APP ...] [flags]

APP is a section of the configuration; without any, all enabled apps are meant.

Verbs
-----
{verbs}
Flags
-----
{flags}
Exit status
-----------
::

{statuses}

Files
-----
``/etc/kegbot/kegbot_master.cfg``, ``~/.config/kegbot/kegbot_master.cfg``
    the configuration, of root and of other users: kegbot_master.cfg(5).

See also
--------
kegbot_master.cfg(5), {topics}
"""


def _plain(text: str) -> str:
    return re.sub(r"([*`|\\])", r"\\\1", text).replace("_ ", r"\_ ")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: man_pages.py DIRECTORY")
    build(Path(sys.argv[1]))
