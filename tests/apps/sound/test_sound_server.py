"""sound_server.py as a process, beside a core that announces drinks; its player writes down what it was told."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kegapps.daemon.loop import Loop
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.events import DrinkCreatedEvent, FlowState, FlowUpdate, SetRelayOutputEvent
from kegapps.sound.player import ProgramPlayer, find
from tests.apps.kegnet.support import Core, running_core, turn_until

SCRIPT = Path(__file__).parents[3] / "scripts" / "sound_server.py"
NOW = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)
MOST = 4


def drink(flow_id: int = 1) -> DrinkCreatedEvent:
    return DrinkCreatedEvent(
        flow_id=flow_id, drink_id=1, tap_name="t", start_time=NOW, end_time=NOW, username="guest"
    )


def flow(flow_id: int, state: FlowState) -> FlowUpdate:
    return FlowUpdate(
        flow_id=flow_id, tap_name="t", state=state, username=None, start_time=NOW, last_activity_time=NOW,
        ticks=1, volume_ml=0.5,
    )  # fmt: skip


def ignore(_problem: str) -> None:
    pass


class Bar:
    """A core, a folder with two sounds and a player, and the sound server's processes."""

    def __init__(self, core: Core, folder: Path) -> None:
        self.core = core
        self.played_file = folder / "played"
        self.drink = folder / "a drink.wav"
        self.begins = folder / "begins.wav"
        for sound in (self.drink, self.begins):
            sound.write_bytes(b"RIFF")
        self.player = self.program(folder / "player", f'echo "$1" >> "{self.played_file}"')
        self.started: list[subprocess.Popen[str]] = []

    @staticmethod
    def program(path: Path, script: str) -> Path:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def server(self, *flags: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), f"--kb_core_addr={shown_address(*self.core.hub.address)}", *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        self.started.append(process)
        return process

    def connected(self, *flags: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = self.server(*flags, env=env)
        self.core.turn_until(lambda: self.core.hub.clients == 1)
        return process

    def played(self) -> list[str]:
        return self.played_file.read_text().splitlines() if self.played_file.exists() else []

    def has_played(self, number: int) -> bool:
        return len(self.played()) == number

    def end(self, process: subprocess.Popen[str]) -> str:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0, out
        return out


@pytest.fixture
def bar(tmp_path: Path) -> Iterator[Bar]:
    with running_core() as core:
        bar = Bar(core, tmp_path)
        yield bar
        for process in bar.started:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def test_a_drink_and_the_beginning_of_a_flow_are_heard_once_each(bar: Bar) -> None:
    server = bar.connected(
        f"--sound_drink={bar.drink}", f"--sound_flow={bar.begins}", f"--player={bar.player}"
    )
    relay = SetRelayOutputEvent(output_name="r0", output_mode="enabled")
    bar.core.hub.broadcast(flow(1, "initial"), flow(1, "active"), relay, flow(1, "active"))
    bar.core.turn_until(lambda: bar.played() == [str(bar.begins)])
    bar.core.hub.broadcast(flow(1, "completed"), drink(), drink())
    bar.core.turn_until(lambda: len(bar.played()) == 2)
    assert bar.played() == [str(bar.begins), str(bar.drink)]
    bar.core.hub.broadcast(flow(2, "completed"), flow(3, "initial"))
    bar.core.turn_until(lambda: len(bar.played()) == 3)
    assert bar.played()[2] == str(bar.begins)
    bar.end(server)


def test_without_any_flag_it_plays_the_sounds_that_come_with_it(bar: Bar) -> None:
    bar.connected(f"--player={bar.player}")
    bar.core.hub.broadcast(flow(1, "initial"), drink())
    bar.core.turn_until(lambda: len(bar.played()) == 2)
    assert sorted(Path(path).name for path in bar.played()) == ["drink.wav", "start.wav"]


def test_a_table_says_what_is_played_with_files_beside_it(bar: Bar) -> None:
    table = bar.drink.with_name("sounds.ini")
    table.write_text("[drink]\nsound = a drink.wav\n")
    bar.connected(f"--sounds={table}", f"--player={bar.player}")
    bar.core.hub.broadcast(flow(1, "initial"), drink())
    bar.core.turn_until(lambda: bar.played() == [str(bar.drink)])


def test_a_table_with_mistakes_ends_the_start_with_all_of_them_in_one_line(bar: Bar) -> None:
    table = bar.drink.with_name("sounds.ini")
    table.write_text("[drink]\nsound = missing.wav\n[a pint]\nsound = .\n")
    server = bar.server(f"--sounds={table}")
    out, _ = server.communicate(timeout=30)
    assert server.returncode == 1
    folder = table.parent
    assert out.splitlines()[-1] == (
        f"sound_server.py: --sounds: {table}:2: {folder}/missing.wav: no such file; {table}:3: 'a pint' is no event; "
        "expected flow start, user, drink, or a volume such as 330 ml or 12 oz; a section of another name says it "
        f"with on = ...; {table}:4: {folder}: no file"
    )


def test_without_a_player_it_says_so_and_idles(bar: Bar, tmp_path: Path) -> None:
    server = bar.connected(f"--sound_drink={bar.drink}", env={"PATH": str(tmp_path / "empty")})
    bar.core.hub.broadcast(drink())
    out = bar.end(server)
    assert "no player found (pw-play, paplay, aplay, afplay)" in out
    assert "Traceback" not in out


def test_a_known_player_is_found_on_path(bar: Bar, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    bar.program(tools / "aplay", f'echo "$1 $2" >> "{bar.played_file}"')
    bar.connected(f"--sound_drink={bar.drink}", env={"PATH": str(tools)})
    bar.core.hub.broadcast(drink())
    bar.core.turn_until(lambda: bar.played() == [f"-q {bar.drink}"])


def test_a_player_that_fails_is_told_once_and_everything_goes_on(bar: Bar, tmp_path: Path) -> None:
    failing = bar.program(tmp_path / "failing", f'echo "$1" >> "{bar.played_file}"; exit 1')
    server = bar.connected(f"--sound_drink={bar.drink}", f"--player={failing}")
    for number in range(1, 4):
        bar.core.hub.broadcast(drink(number))
        bar.core.turn_until(functools.partial(bar.has_played, number))
    assert server.stdout
    out = ""
    while "ended with status 1" not in out:
        out += (line := server.stdout.readline())
        assert line
    out += bar.end(server)
    assert out.count("ended with status 1") == 1
    assert "Traceback" not in out


def test_the_status_says_that_the_last_sound_was_not_played_until_one_was(bar: Bar, tmp_path: Path) -> None:
    card = tmp_path / "card"
    aplay = bar.program(tmp_path / "aplay", f'test -e "{card}"')
    server = bar.connected(f"--sound_drink={bar.drink}", f"--player={aplay}", "--verbose")
    at = f"listening to the core at {shown_address(*bar.core.hub.address)}"
    assert server.stdout

    def line(part: str) -> str:
        assert server.stdout
        return next(line.rstrip() for line in server.stdout if part in line)

    bar.core.hub.broadcast(drink(1))
    bar.core.turn_until(lambda: True)
    told = {line("aplay ended"), line("aplay ended")}
    assert any(
        text.endswith(f"try it by hand: {shlex.join([str(aplay), '-q', str(bar.drink)])}") for text in told
    )
    assert any(
        text.endswith(f"{at}; the last sound was not played: aplay ended with status 1") for text in told
    )
    card.touch()
    bar.core.hub.broadcast(drink(2))
    bar.core.turn_until(lambda: True)
    assert line("listening").endswith(at)
    bar.end(server)


def test_it_finds_a_core_that_comes_later(bar: Bar) -> None:
    bar.core.hub.close()
    server = bar.server(f"--sound_drink={bar.drink}", f"--player={bar.player}")
    assert server.stdout
    line = ""
    while "cannot connect" not in line:
        line = server.stdout.readline()
        assert line
    bar.end(server)


def test_without_pygame_one_line_says_what_to_install(bar: Bar, tmp_path: Path) -> None:
    (tmp_path / "pygame.py").write_text("raise ModuleNotFoundError(name='pygame')")
    server = bar.server("--player=pygame", env={"PYTHONPATH": str(tmp_path)})
    out, _ = server.communicate(timeout=20)
    assert server.returncode == 1
    needs = (
        "sound_server.py: --player=pygame needs an extra, for pygame is not installed: "
        f"{sys.executable} -m pip install 'kegmaster[sound]'"
    )
    assert out.splitlines()[-1] == needs


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--sound_drink=/no/such/file.wav", "no such file"),
        ("--sounds=/no/such/sounds.ini", "No such file"),
        ("--sounds=/dev/null", "--sounds=/dev/null: no plain file"),
        ("--sounds=/dev/zero", "no plain file"),
        ("--sounds=/", "Is a directory"),
        ("--sounds={folder}/fifo", "fifo: no plain file"),
        ("--sounds={folder}/empty", "no section"),
        ("--sounds={folder}/long", "too long for a table"),
        ("--sounds={folder}/latin", "not UTF-8"),
        ("--player=no-such-player", "no such program on PATH"),
        ("--kb_core_addr=nowhere.example:1", "neither localhost nor an IP address"),
    ],
)
def test_a_start_that_cannot_work_fails_with_the_reason(
    bar: Bar, tmp_path: Path, flag: str, reason: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    (tmp_path / "long").write_bytes(b"#" * 1_000_001)
    (tmp_path / "latin").write_bytes(b"[\xe4]")
    server = bar.server(flag.format(folder=tmp_path))
    out, _ = server.communicate(timeout=30)
    assert server.returncode in (1, 2)
    assert reason in out
    assert "Traceback" not in out


def test_no_more_than_a_few_sounds_play_at_once_and_none_outlives_the_player(tmp_path: Path) -> None:
    loop = Loop()
    slow = Bar.program(tmp_path / "slow", "exec sleep 60")
    player = ProgramPlayer(loop, (str(slow),), most=MOST, on_problem=ignore)
    for _ in range(10):
        player.play("x")
    assert player.playing == MOST
    processes = [process for process, _, _ in player._playing.values()]
    player.close()
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * MOST
    assert player.playing == 0
    loop.close()


@pytest.mark.parametrize("end", ["closed", "cut"])
def test_what_a_script_plays_with_ends_with_the_script(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kegapps.sound.player.MAX_SECONDS", 0.5 if end == "cut" else 60.0)
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    loop = Loop()
    script = Bar.program(tmp_path / "play", f"sh -c 'echo begun; exec sleep 60' > \"{fifo}\"; true")
    player = ProgramPlayer(loop, (str(script),), most=MOST, on_problem=ignore)
    player.play("x")

    def said() -> bytes | None:
        try:
            return os.read(held, 100)
        except BlockingIOError:
            return None  # the child holds the other end, and writes nothing

    turn_until(loop, lambda: said() == b"begun\n")
    if end == "closed":
        player.close()
    turn_until(loop, lambda: said() == b"")
    turn_until(loop, lambda: player.playing == 0)  # of what was cut the end is heard of a moment later
    loop.close()
    os.close(held)


def test_a_hundred_events_in_a_second_start_no_more_players_than_may_play_at_once(bar: Bar) -> None:
    slow = bar.program(bar.drink.with_name("slow"), f'echo "$1" >> "{bar.played_file}"; exec sleep 60')
    server = bar.connected(f"--sound_drink={bar.drink}", f"--player={slow}", "--max_sounds=3", "--verbose")
    bar.core.hub.broadcast(*(drink(flow_id) for flow_id in range(100)))
    assert server.stdout
    out = ""
    while out.count("not played, 3 sounds are playing") < 97:
        out += (line := server.stdout.readline())
        assert line
    bar.core.turn_until(lambda: len(bar.played()) == 3)
    bar.end(server)
    assert len(bar.played()) == 3


def test_a_sound_that_is_over_makes_room(tmp_path: Path) -> None:
    loop = Loop()
    player = ProgramPlayer(
        loop, (str(Bar.program(tmp_path / "quick", "exit 0")),), most=MOST, on_problem=ignore
    )
    for _ in range(20):
        player.play("x")
        turn_until(loop, lambda: player.playing < MOST)
    turn_until(loop, lambda: player.playing == 0)
    loop.close()


def test_a_player_that_cannot_be_started_raises_nothing(tmp_path: Path) -> None:
    loop = Loop()
    ProgramPlayer(loop, (str(tmp_path / "missing"),), most=MOST, on_problem=ignore).play("x")
    loop.close()


def test_a_file_of_which_aplay_would_make_noise_is_refused_and_other_players_get_it(
    bar: Bar, tmp_path: Path
) -> None:
    ogg = tmp_path / "drink.oga"
    ogg.write_bytes(b"OggS" + bytes(100))
    aplay = bar.program(tmp_path / "aplay", "exit 0")
    server = bar.server(f"--sound_drink={ogg}", f"--player={aplay}")
    out, _ = server.communicate(timeout=30)
    assert server.returncode == 1
    assert f"--sound_drink={ogg}: aplay plays WAV files only; convert it, or name another --player" in out
    bar.connected(f"--sound_drink={ogg}", f"--player={bar.player}")
    bar.core.hub.broadcast(drink())
    bar.core.turn_until(lambda: bar.played() == [str(ogg)])


def test_a_player_of_ones_own_gets_the_file_alone(tmp_path: Path) -> None:
    own = Bar.program(tmp_path / "own", "exit 0")
    assert find(str(own)) == (str(own),)
    assert find("no-such-player") == ()
