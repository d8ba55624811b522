"""Our drivers and LCDd's, on real ptys, judged by the same glasses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.lcd.display import Display
from kegapps.lcd.serial_display import Cfa635Display, MatrixOrbitalDisplay, SerialDisplay
from tests.apps.lcd.emulators import CfaGlass, MatrixGlass
from tests.apps.lcd.lcdd import LCDD, lcdd
from tests.apps.lcd.stage import Stage

KINDS = [(Cfa635Display, CfaGlass), (MatrixOrbitalDisplay, MatrixGlass)]
both = pytest.mark.parametrize(("kind", "made_of"), KINDS, ids=["cfa635", "mtxorb20x4"])
POUR = ["== kegboard.flow0 ==", "user: alice", "", "oz: 15.37"]
POUR_TEXT = [row.ljust(20) for row in POUR]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


@both
def test_a_pour_is_shown_and_the_light_obeys(
    stage: Stage, kind: type[SerialDisplay], made_of: type[CfaGlass | MatrixGlass]
) -> None:
    glass = made_of()
    stage.plug.plug(glass)
    display: Display = stage.drive(kind)
    display.show(POUR)
    stage.until(lambda: glass.text == POUR_TEXT)
    assert (display.rows, display.columns, glass.light) == (4, 20, True)
    display.backlight(False)
    stage.until(lambda: glass.light is False)
    assert display.ready
    assert glass.violations == []


@both
def test_a_path_that_is_no_serial_port_is_told_to_be_none(
    stage: Stage, kind: type[SerialDisplay], made_of: type[CfaGlass | MatrixGlass]
) -> None:
    Path(stage.plug.path).mkdir()
    stage.drive(kind)
    stage.until(lambda: stage.statuses == [f"waiting for {stage.plug.path}: a directory, not a device"])


@both
def test_one_that_comes_late_and_is_replugged_is_drawn_whole(
    stage: Stage, kind: type[SerialDisplay], made_of: type[CfaGlass | MatrixGlass]
) -> None:
    display = stage.drive(kind)
    display.show(POUR)
    display.backlight(False)
    stage.until(lambda: stage.statuses == [f"waiting for {stage.plug.path}: no such device"])
    glass = made_of()
    stage.plug.plug(glass)
    stage.until(lambda: glass.text == POUR_TEXT and glass.light is False)
    stage.plug.unplug()
    stage.until(lambda: display.status == f"waiting for {stage.plug.path}: no such device")
    assert not display.ready
    display.show([*POUR[:3], "oz: 16.00"])
    another = made_of()
    stage.plug.plug(another)
    stage.until(lambda: another.text == [*POUR_TEXT[:3], "oz: 16.00".ljust(20)])
    assert another.light is False
    name = "cfa635" if kind is Cfa635Display else "mtxorb20x4"
    stage.until(lambda: stage.statuses[-1] == f"{name} at {stage.plug.path}")
    assert glass.violations == another.violations == []


def test_a_cfa635_that_never_answers_is_left_alone_for_5_s_and_tried_again(stage: Stage) -> None:
    stage.plug.mute = True
    glass = CfaGlass()
    stage.plug.plug(glass)
    display = stage.drive(Cfa635Display)
    display.show(POUR)
    silence = f"waiting for cfa635 at {stage.plug.path}: no answer at 115200 baud"
    stage.until(lambda: display.status == silence)
    assert stage.plug.heard.hex(" ") == "06 00 97 5b " * 2 + "06 00 97 5b"
    said = len(stage.statuses)
    stage.plug.mute = False
    stage.ahead_s += 5
    stage.until(lambda: glass.text == POUR_TEXT)
    stage.until(lambda: display.ready)
    assert stage.statuses[said:] == [f"cfa635 at {stage.plug.path}"]


def test_a_cfa635_that_falls_silent_in_the_middle_is_cleared_and_drawn_again(stage: Stage) -> None:
    glass = CfaGlass()
    stage.plug.plug(glass)
    display = stage.drive(Cfa635Display)
    stage.until(lambda: glass.light is True)
    glass.lose = 10**6
    display.show(POUR)
    stage.until(lambda: "no answer" in display.status)
    glass.lose = 0
    glass.blank()
    stage.ahead_s += 5
    stage.until(lambda: glass.text == POUR_TEXT)
    assert glass.violations == []


@both
def test_a_device_that_floods_us_with_rubbish_changes_nothing(
    stage: Stage, kind: type[SerialDisplay], made_of: type[CfaGlass | MatrixGlass]
) -> None:
    glass = made_of()
    stage.plug.plug(glass)
    display = stage.drive(kind)
    stage.until(lambda: glass.light is True)
    for at in range(200):
        stage.plug.say(bytes((at * 7 + n * 11) & 0xFF for n in range(1000)))
        display.show([f"oz: {at}"])
        stage.loop.run_once(0)
    stage.until(lambda: glass.text[0] == "oz: 199".ljust(20))
    assert glass.violations == []


@both
def test_one_that_takes_no_bytes_holds_nobody_up_at_the_end(
    stage: Stage, kind: type[SerialDisplay], made_of: type[CfaGlass | MatrixGlass]
) -> None:
    stage.plug.plug(made_of())
    display = stage.drive(kind)
    stage.until(lambda: display.ready)
    stage.plug.deaf()
    for at in range(600):
        display.show([f"{at}-{row}" for row in range(4)])
        stage.ahead_s += 0.1
        stage.loop.run_once(0)
    begin_s = time.monotonic()
    display.close()
    assert time.monotonic() - begin_s < 0.5


@pytest.mark.skipif(not LCDD.exists(), reason="LCDd (package lcdproc) is not installed")
@pytest.mark.parametrize(("driver", "made_of"), [("CFontzPacket", CfaGlass), ("MtxOrb", MatrixGlass)])
def test_what_lcdd_writes_is_shown_by_the_same_glasses(
    stage: Stage, tmp_path: Path, driver: str, made_of: type[CfaGlass | MatrixGlass]
) -> None:
    glass = made_of()
    stage.plug.plug(glass)
    with lcdd(driver, stage.plug.path, tmp_path, stage.until) as client:
        for number, row in enumerate(POUR, 1):
            client.tell(f"widget_add s r{number} string", f'widget_set s r{number} 1 {number} "{row}"')
        stage.until(lambda: glass.text == POUR_TEXT)
        if isinstance(glass, CfaGlass):
            client.tell("screen_set s -backlight off")
            stage.until(lambda: glass.light is False)
    assert glass.violations == []


@pytest.mark.skipif(not LCDD.exists(), reason="LCDd (package lcdproc) is not installed")
def test_lcdd_and_we_write_the_same_letters_on_a_cfa635(stage: Stage, tmp_path: Path) -> None:
    rows = ["[\\]^_{|}~@$", "ÄÖÑÜäöñüàèéùìòÇØøÅåÆ", "æßÉÈÊêçÁÍÓÚÝáíóúýÔô", "¡¿§£¥°±µ²³½¼·"]
    ours, theirs = CfaGlass(), CfaGlass()
    stage.plug.plug(ours)
    display = stage.drive(Cfa635Display)
    display.show(rows)
    stage.until(lambda: display.ready and min(ours.written) == 1)
    display.close()
    stage.plug.unplug()
    stage.plug.plug(theirs)
    with lcdd("CFontzPacket", stage.plug.path, tmp_path, stage.until) as client:
        for number, row in enumerate(rows, 1):
            quoted = row.replace("\\", "\\\\")
            client.tell(f"widget_add s r{number} string", f'widget_set s r{number} 1 {number} "{quoted}"')
        stage.until(lambda: theirs.codes == ours.codes)
