"""docs/doctor.rst tells of every link, every flag, and every key of what programs get."""

from __future__ import annotations

import re
from pathlib import Path

from kegapps.core.model import Now, Tap
from kegapps.core.report import HeardBoard, StoreState, core_report
from kegapps.core.rules import Rules
from kegapps.kegnet.events import BoardStatus
from kegapps.tools.doctor.finding import Level, Link
from tests.apps.tools.doctor.kegerator import run

DOCS = (Path(__file__).resolve().parents[4] / "docs" / "doctor.rst").read_text(encoding="utf-8")


def test_every_link_and_level_is_explained() -> None:
    for link in Link:
        assert re.search(rf"^{link.value}  ", DOCS, re.MULTILINE), link
    for level in Level:
        assert f"``{level.value}``: " in DOCS, level


def test_every_flag_is_explained() -> None:
    flags = re.findall(r"^  --(?:\[no\])?(\w+)", run("--helpshort").stdout, re.MULTILINE)
    assert len(flags) > 8
    for flag in flags:
        assert f"--{flag}" in DOCS or f"--[no]{flag}" in DOCS, flag


def test_every_key_of_the_cores_report_is_explained() -> None:
    report = core_report(
        version="", pid=1, rules=Rules(), taps=[Tap(name="a.b", ml_per_tick=1.0)], meters={}, open_flows=(),
        boards=[HeardBoard(status=BoardStatus(board_name="a", state="online"), heard_mono_s=0.0)],
        store=StoreState(path="/s"), clients=1, now=Now(mono_s=0.0, unix_s=0.0), on_taps={}, sensors=(), last_drink=None,
    )  # fmt: skip
    assert (
        " ".join(report)
        == "version pid taps sensors last_drink boards store server outbox clients guest_username"
    )
    for key in ["guest_username", *report["taps"][0], *report["boards"][0], *report["store"]]:
        assert f"``{key}``" in DOCS, key
