"""Which kegerator is meant, from command lines alone."""

from __future__ import annotations

import pytest

from kegapps.tools.doctor.facts import Process
from kegapps.tools.doctor.settings import App, Settings, choose, leads_to
from kegapps.tools.doctor.words import program_of, read_flags

PYTHON = "/usr/bin/python3"


def process(pid: int, *argv: str, folder: str = "/home/ann") -> Process:
    return Process(
        pid=pid, parent_pid=1, uid=1000, gid=1000, groups=(), user="ann", program=program_of(argv),
        argv=argv, folder=folder,
    )  # fmt: skip


def core(pid: int, *flags: str) -> Process:
    return process(pid, PYTHON, "/opt/bin/kegbot_core.py", *flags)


def daemon(pid: int, *flags: str) -> Process:
    return process(pid, PYTHON, "kegboard_daemon.py", *flags)


def chosen(*processes: Process, apps: tuple[App, ...] = (), **own: str) -> Settings:
    return choose(own=own, processes=processes, apps=apps, config="/etc/apps.cfg", flagfile=lambda *_: None)


@pytest.mark.parametrize(
    ("argv", "program"),
    [
        ((PYTHON, "/opt/kegbot_core.py", "--store=x"), "kegbot_core"),
        (("/opt/venv/bin/python3.11", "-I", "-u", "kegbot_core.py"), "kegbot_core"),
        (("/opt/kegbot_core.py",), "kegbot_core"),
        (("vim", "kegbot_core.py"), ""),
        ((PYTHON, "-m", "pytest", "kegbot_core.py"), ""),
        ((PYTHON, "-c", "kegbot_core.py"), ""),
        (("bash",), ""),
        ((), ""),
    ],
)
def test_a_script_is_known_by_what_is_run_and_not_by_what_is_mentioned(
    argv: tuple[str, ...], program: str
) -> None:
    assert program_of(argv) == program


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--store=a"], {"store": "a"}),
        (["-store", "a"], {"store": "a"}),
        (["--store=a", "--store=b"], {"store": "b"}),
        (["--daemon", "--logfile", "x", "--store=a=b"], {"store": "a=b"}),
        (["--", "--store=a"], {}),
        (["--store"], {}),
        (["--flagfile=f", "--verbose"], {"store": "from the file", "api_url": "u"}),
        (["--store=a", "--flagfile=f"], {"store": "from the file", "api_url": "u"}),
        (["--flagfile=f", "--store=a"], {"store": "a", "api_url": "u"}),
        (["--flagfile=missing"], {}),
        (["--flagfile=itself"], {}),
    ],
)
def test_flags_are_read_as_the_program_reads_them(words: list[str], found: dict[str, str]) -> None:
    files = {"f": "# a comment\n--store=from the file\n\n--api_url=u\n", "itself": "--flagfile=itself\n"}
    assert read_flags(words, ("store", "api_url"), files.get) == found


def test_without_anything_the_defaults_are_meant() -> None:
    settings = chosen()
    assert (settings.core.value, settings.core.origin) == ("localhost:9805", "the defaults")
    assert [board.device.value for board in settings.boards] == ["/dev/ttyUSB0"]
    assert settings.store is None


def test_of_several_cores_the_one_at_the_usual_address_is_meant_and_the_others_are_known() -> None:
    settings = chosen(
        core(5, "--kb_core_bind_addr=localhost:7000"), core(9), daemon(6, "--kb_core_addr=7000"), daemon(8)
    )
    assert settings.core_process is not None
    assert settings.core_process.pid == 9
    assert [(other.process.pid, other.address) for other in settings.other_cores] == [(5, "localhost:7000")]
    assert [board.process.pid for board in settings.boards if board.process] == [8]


def test_own_flags_choose_the_core_and_its_boards() -> None:
    settings = chosen(
        core(5, "--kb_core_bind_addr=127.0.0.1:7000"), core(9), daemon(6, "--kb_core_addr=7000"), daemon(8),
        kb_core_addr="localhost:7000",
    )  # fmt: skip
    assert settings.core_process is not None
    assert settings.core_process.pid == 5
    assert [board.process.pid for board in settings.boards if board.process] == [6]


def test_a_daemon_that_looks_for_another_core_is_still_the_only_board_there_is() -> None:
    settings = chosen(core(5, "--kb_core_bind_addr=localhost:7000"), daemon(8))
    assert [board.core.value for board in settings.boards] == ["localhost:9805"]


def test_relative_paths_mean_the_folder_where_the_program_was_started() -> None:
    settings = chosen(core(5, "--store=beer.sqlite"), daemon(6, "--kegboard_device=../board"))
    assert settings.store is not None
    assert settings.store.value == "/home/ann/beer.sqlite"
    assert settings.boards[0].device.value == "/home/board"
    assert chosen(daemon(6, "--kegboard_device=auto")).boards[0].device.value == "auto"


def test_a_configured_board_whose_daemon_does_not_run_is_looked_at_too() -> None:
    apps = (
        App(
            name="second",
            argv=("kegboard_daemon.py", "--kegboard_device=/dev/ttyUSB1", "--kegboard_name=two"),
        ),
    )
    boards = chosen(core(5), daemon(6), apps=apps).boards
    assert [(board.name.value, board.device.value, board.process is None) for board in boards] == [
        ("kegboard", "/dev/ttyUSB0", False),
        ("two", "/dev/ttyUSB1", True),
    ]
    assert boards[1].device.origin == "/etc/apps.cfg [second]"


def test_what_runs_is_believed_rather_than_what_is_configured_and_own_flags_above_all() -> None:
    apps = (App(name="core", argv=("kegbot_core.py", "--store=/configured", "--api_url=http://configured/")),)
    settings = chosen(core(5, "--store=/running"), apps=apps)
    assert settings.store is not None
    assert settings.store.value == "/running"
    assert settings.api_url is None, "the core that runs was not given it"
    assert chosen(core(5), apps=apps, store="/own").store is not None
    configured = chosen(apps=apps).store
    assert configured is not None
    assert configured.value == "/configured"


def test_a_configuration_that_somebody_names_is_meant_and_not_another_core_that_runs() -> None:
    apps = (
        App(name="core", argv=("kegbot_core.py", "--kb_core_bind_addr=7000")),
        App(name="board", argv=("kegboard_daemon.py", "--kb_core_addr=7000", "--kegboard_device=/dev/mine")),
    )

    def meant(*processes: Process) -> Settings:
        return choose(
            own={}, processes=processes, apps=apps, config="c", flagfile=lambda *_: None, config_is_meant=True
        )

    settings = meant(core(5), daemon(6))
    assert settings.core_process is None
    assert settings.core.value == "localhost:7000"
    assert [(board.device.value, board.process) for board in settings.boards] == [("/dev/mine", None)]
    settings = meant(
        core(5), core(9, "--kb_core_bind_addr=7000"), daemon(6), daemon(8, "--kegboard_device=/dev/mine")
    )
    assert settings.core_process is not None
    assert settings.core_process.pid == 9
    (board,) = settings.boards
    assert board.process is not None
    assert (board.process.pid, board.core.value) == (8, "localhost:9805"), "it looks elsewhere, by mistake"


def test_a_core_that_listens_on_all_addresses_is_the_one_that_local_daemons_look_for() -> None:
    settings = chosen(
        core(5, "--kb_core_bind_addr=0.0.0.0:7000"), daemon(6, "--kb_core_addr=7000"), daemon(8)
    )
    assert [board.process.pid for board in settings.boards if board.process] == [6]
    assert leads_to("localhost:7000", "0.0.0.0:7000")
    assert not leads_to("localhost:7001", "0.0.0.0:7000")
    assert not leads_to("localhost:7000", "192.168.1.5:7000")
    assert not leads_to("beer", "localhost:7000")


def test_secrets_are_not_in_what_is_printed_of_settings() -> None:
    assert "secret" not in repr(chosen(core(5, "--api_key=secret")))
