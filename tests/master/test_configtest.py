"""`configtest`: shows what start would do, says what is wrong, touches nothing; and what it shows is what runs."""

from __future__ import annotations

import json
import random
import shlex
import string
from collections.abc import Iterator
from pathlib import Path

from .conftest import Box
from .test_config import SAMPLE

VALUES_PER_APP = 170
APPS = 6
AWKWARD = [
    "", " ", "a b", "'", '"', "'quoted'", '"double"', "it's", "$HOME", "`id`", "$(id)", "; touch X", "| cat", "> X", "&",
    "*", "?", "~", "#x", ";x", "\\", "\\n", "50%", "%2B", "100%%", "%(__name__)s", "%%(__name__)s", "%(x", "%d", "%",
    "🍺", "Füße", "日本", "\t", "a\tb", "--daemon=True", "-x", "=", "a=b", ":", "[x]", "x" * 8192, "\x7f", "\u2028", "\x1c",
]  # fmt: skip


def tree(directory: Path) -> list[tuple[str, int, float]]:
    return sorted((str(path), path.lstat().st_size, path.lstat().st_mtime) for path in directory.rglob("*"))


def test_it_prints_the_manuals_sample_as_kegbot_master_did_and_touches_nothing(box: Box) -> None:
    box.write(SAMPLE)
    before = tree(box.directory)
    done = box.master("configtest", expect=None)
    core, board, sound = done.stdout.splitlines()
    assert core == (
        "kegbot_core.py --api_key=API_KEY --api_url=http://example.com/api --daemon=True --log_to_file=True"
        f" --log_to_stdout=False --logfile={box.log}/kegbot_core.log --pidfile={box.run}/kegbot_core.pid"
    )
    assert board.startswith("kegboard_daemon.py --daemon=True --kegboard_device=/dev/ttyUSB0 ")
    assert sound.startswith("sound_server.py --daemon=True ")
    assert tree(box.directory) == before


def values(seed: int) -> Iterator[str]:
    """Values as they stand in the file; none begins or ends with white space, which no INI value can."""
    chance = random.Random(seed)
    alphabet = string.printable.replace("\n", "").replace("\r", "") + "äß🍺%%%''\"\"$`"
    yield from AWKWARD
    while True:
        yield "".join(chance.choices(alphabet, k=chance.randrange(1, 40)))


def test_what_it_shows_is_what_runs_byte_by_byte(box: Box) -> None:
    probe = box.program("probe")
    lines = []
    for number in range(APPS):
        lines += [f"[app{number}]", "_enabled = True", f"_program_name = {probe}", "_type = simple"]
        lines += [
            f"v{index} = {value}" for index, value in zip(range(VALUES_PER_APP), values(number), strict=False)
        ]
    box.write("\n".join(lines) + "\n")
    shown = {
        app["name"]: app["argv"] for app in json.loads(box.master("configtest", "--json").stdout)["apps"]
    }
    printed = dict(zip(shown, map(shlex.split, box.master("configtest").stdout.split("\n")), strict=False))
    box.master("start")
    assert sum(word.startswith("--v") for argv in shown.values() for word in argv) == APPS * VALUES_PER_APP
    for name, argv in shown.items():
        cmdline = Path(f"/proc/{box.pid(name)}/cmdline").read_bytes()
        # A script's command line begins with its interpreter.
        assert cmdline.endswith(b"\0".join([b"", *(word.encode() for word in argv), b""])), name
        assert cmdline.count(b"\0") == len(argv) + 2, name
        if not any("\u2028" in word or "\x1c" in word for word in argv):
            assert printed[name] == argv
    assert "--v25=app0" not in shown["app1"]
    assert any(word.endswith("=app1") for word in shown["app1"])
    assert not (box.directory / "X").exists()


def test_ten_mistakes_each_give_one_line_with_place_and_cure(box: Box) -> None:
    dull = box.directory / "dull"
    dull.write_text("no program")
    box.program("sound")
    box.write(
        f"""
        [healthy]
        _enabled = True
        _command = {box.directory}/sound
        [one]
        _command = sleep 1
        _restrat = no
        [two]
        _enabled = Ture
        [three]
        _enabled = True
        _command = /nowhere/program
        [four]
        _enabled = True
        _command = {dull}
        [five]
        [five]
        [six]
        key = 1
        key = 2
        [seven]
        key = %(nobody)s
        [eight]
        _after = nine
        [nine]
        _after = eight
        [ten]
        _enabled = True
        _program_name = {box.directory}/sound
        _environment_file = /nowhere/secrets
        [eleven]
        _enabled = True
        _command = {box.directory}/sound
        _pidfile_dir = {dull}/run
        """
    )
    before = tree(box.directory)
    done = box.master("configtest", expect=6)
    said = done.stderr.splitlines()
    expected = [
        (6, "[one] _restrat: no such key; did you mean _restart?"),
        (8, "[two] _enabled: 'Ture' is no good; expected True or False"),
        (11, "[three] _command: there is no program /nowhere/program; correct the path or install it"),
        (14, f"[four] _command: program {dull} is not executable; chmod +x {dull}"),
        (16, "[five]: this section stands in line 15 already; give it another name"),
        (19, "[six] key: set in line 18 already; keep one of the two"),
        (21, "[seven] key: %(nobody)s names no key of this section or [DEFAULT]; define it, or write %% for a plain %"),
        (23, "[eight] _after: eight -> nine -> eight goes in a circle; take one of them out"),
        (29, "[ten] _environment_file: /nowhere/secrets cannot be read (No such file or directory);"
             " make it readable, 0600 and its owner's"),
        (33, f"[eleven] _pidfile_dir: its pidfile directory {dull}/run cannot be made; mend that or name another"),
    ]  # fmt: skip
    assert said == [f"{box.config}:{line}: {text}" for line, text in expected]
    assert done.stdout.splitlines()[0] == f"{box.directory}/sound"
    assert tree(box.directory) == before

    started = box.master("start", expect=1)
    assert "healthy: running" in started.stdout
    assert started.stderr.splitlines() == said
    assert box.app("healthy")["state"] == "running"


def test_a_missing_or_unreadable_file_is_one_line(box: Box) -> None:
    for verb in ("configtest", "start", "run"):
        done = box.master(verb, expect=6)
        assert done.stderr == (
            f"{box.config}: no such file; write it (samples: README.rst, conf/kegbot_master.cfg in the sources), "
            "or name another with --master_config\n"
        )
    box.config.write_bytes(b"[a]\nx = \xff\n")
    assert box.master("configtest", expect=6).stderr == f"{box.config}:2: is not UTF-8; save it as UTF-8\n"


def test_exit_statuses_tell_wrong_usage_from_a_missing_program(box: Box) -> None:
    box.write("[a]\n_enabled = True\n_command = /nowhere/a\n")
    box.master("start", expect=5)
    box.master("start", "nobody", expect=2)
    box.master("sTart", expect=2)
    box.master("start", "--colour", expect=2)
    box.master(expect=2)
    box.write("[a]\n")
    assert "nothing to start" in box.master("start", expect=6).stderr
    assert not box.run.exists()


def test_help_goes_to_stdout_and_ends_well(box: Box) -> None:
    everything, short = box.master("--help").stdout, box.master("--helpshort").stdout
    for text in (everything, short):
        assert "start the enabled apps" in text
        assert "--pidfile_dir" in text
    assert "_timeout_stop_sec" in everything
    assert "exit status:" in everything
    assert "_timeout_stop_sec" not in short
