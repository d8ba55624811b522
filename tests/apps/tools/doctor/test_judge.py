"""What is said of each link, from facts alone: hints, and what can hardly be caused on a machine without hardware."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kegapps.tools.doctor.facts import (
    CoreFacts,
    DeviceFacts,
    Facts,
    Holder,
    MasterFacts,
    ProbeFacts,
    Process,
    ServerFacts,
    StoreFacts,
    UsbFacts,
)
from kegapps.tools.doctor.finding import Finding, Level, Link, first_cut
from kegapps.tools.doctor.judge import judge
from kegapps.tools.doctor.settings import DEFAULT, BoardSettings, OtherCore, Setting, Settings
from kegapps.tools.doctor.show import as_object, as_text, verdict
from kegapps.tools.doctor.wording import duration, listed, plain, size

TTY = "/dev/ttyUSB0"
NOW = 1_795_216_330.0


def process(pid: int, program: str, parent: int = 1) -> Process:
    return Process(
        pid=pid, parent_pid=parent, uid=1000, gid=1000, groups=(), user="ann", program=program,
        argv=("python3", f"{program}.py"),
    )  # fmt: skip


CORE, DAEMON = process(10, "kegbot_core"), process(11, "kegboard_daemon")
DEVICE = DeviceFacts(
    path=TTY, exists=True, real_path=TTY, is_character_device=True, is_terminal=True, owner="root",
    group="dialout", mode=0o660,    user="ann", may_use=True, in_group=True, holders=(Holder(pid=11, name="kegboard_daemon"),),
)  # fmt: skip
BOARD: dict[str, Any] = {
    "board_name": "kegboard", "state": "online", "detail": "", "firmware_version": 18, "serial_number": "KB-1",
    "device": TTY, "uptime_s": 7300.0, "heard_age_s": 3.0,
}  # fmt: skip
TAP: dict[str, Any] = {
    "name": "kegboard.flow0", "ml_per_tick": 0.5, "source": "set", "last_reading": 900, "counted_ticks": 900,
    "read_unix_s": NOW - 75.0,
}  # fmt: skip
REPORT: dict[str, Any] = {
    "version": "1.0", "pid": 10, "taps": [TAP], "boards": [BOARD], "server": None, "outbox": None, "clients": 2,
    "store": {"path": "/kegbot.sqlite", "trouble": "", "schema_version": 3, "waiting_drinks": 0},
}  # fmt: skip
STORE = StoreFacts(
    path="/kegbot.sqlite", exists=True, owner="ann", mode=0o600, size_bytes=4096, user="ann", may_read=True,
    may_write=True, free_bytes=10**10, free_inodes=10**6, holder_pid=10, application_id=0x4B65_6773,
    schema_version=3, known_schema_version=3, check="ok",
)  # fmt: skip
HEALTHY = Facts(
    master=MasterFacts(program="/bin/master.py"),
    processes=(CORE, DAEMON),
    devices={TTY: DEVICE},
    core=CoreFacts(address="localhost:9805", answer="report", report=REPORT),
    store=STORE,
    now_unix_s=NOW,
)


def setting(value: str) -> Setting:
    return Setting(value=value, origin="a test")


SETTINGS = Settings(
    core=setting("localhost:9805"),
    core_process=CORE,
    boards=(
        BoardSettings(
            device=setting(TTY), name=setting("kegboard"), core=setting("localhost:9805"), process=DAEMON
        ),
    ),
)


def judged(facts: Facts = HEALTHY, settings: Settings = SETTINGS) -> list[Finding]:
    return judge(facts, settings, {board.device.value: (TTY,) for board in settings.boards})


def with_report(**changes: object) -> Facts:
    report = {**REPORT, **changes}
    return replace(HEALTHY, core=CoreFacts(address="localhost:9805", answer="report", report=report))


def cut(facts: Facts, settings: Settings = SETTINGS) -> Finding:
    """The only trouble there is."""
    (found,) = [finding for finding in judged(facts, settings) if finding.level is Level.TROUBLE]
    assert first_cut(judged(facts, settings)) == found
    return found


def test_with_healthy_facts_every_link_is_told_of_once_and_is_well() -> None:
    found = judged()
    assert [finding.link for finding in found] == list(Link)
    assert {finding.level for finding in found} == {Level.OK}
    assert verdict(found) == "The chain is whole."


@pytest.mark.parametrize(
    ("state", "text", "cure"),
    [
        ({"state": "silent"}, "no word from the board", "unplug it and plug it in again"),
        ({"state": "too_old", "firmware_version": 6}, "firmware 6 is too old", "flash a newer firmware"),
        (
            {"state": "absent", "detail": "the daemon that told of it has gone"},
            "has gone",
            "kegboard_daemon's log",
        ),
        (
            {"state": "absent", "detail": "in use by another program"},
            "cannot be opened (in use by another program)",
            "end the program that has it open",
        ),
        (
            {"state": "absent", "detail": "permission denied; add the user to the group"},
            "cannot be opened (permission denied",
            "master.py restart",
        ),
        (
            {"state": "refused", "detail": "two boards are called kegboard"},
            "two boards",
            "names of their own",
        ),
    ],
)
def test_what_the_daemon_tells_of_its_board_is_believed(state: dict[str, Any], text: str, cure: str) -> None:
    found = cut(with_report(boards=[{**BOARD, **state}]))
    assert found.link is Link.BOARD
    assert text in found.text
    assert cure in found.cure


PINS: dict[str, Any] = {
    "board_name": "gpio", "state": "online", "detail": "flow0 on GPIO17", "firmware_version": None,
    "serial_number": "", "device": "", "uptime_s": 60.0, "heard_age_s": 3.0,
}  # fmt: skip
NOT_NAMED = replace(
    SETTINGS,
    boards=(
        BoardSettings(
            device=Setting(value=TTY, origin=DEFAULT), name=Setting(value="kegboard", origin=DEFAULT),
            core=setting("localhost:9805"),
        ),
    ),
)  # fmt: skip


def test_where_no_board_daemon_is_configured_that_is_said_and_not_that_a_plug_is_out() -> None:
    gone = replace(with_report(boards=[]), devices={TTY: replace(DEVICE, exists=False)})
    assert "no such device" in cut(gone, NOT_NAMED).text, "no configuration is known: it may be a plug"
    master = replace(HEALTHY.master, config="/k.cfg", config_exists=True, apps=({"name": "kegbot_core"},))
    found = cut(replace(gone, master=master), NOT_NAMED)
    assert found.link is Link.DEVICE
    assert "none is enabled in /k.cfg" in found.text
    assert "add a section [kegboard_daemon]" in found.cure
    assert "no such device" in cut(replace(gone, master=master)).text, "one runs: it waits for its device"


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({}, ""),
        ({"state": "absent", "detail": "pins: GPIO busy"}, "gpio is not there (pins: GPIO busy)"),
        ({"heard_age_s": 26.0}, "nothing was told of it for 26 s"),
    ],
)
def test_a_board_on_no_serial_port_is_a_board_and_no_other_is_missed(row: dict[str, Any], text: str) -> None:
    facts = replace(with_report(boards=[{**PINS, **row}]), devices={TTY: replace(DEVICE, exists=False)})
    if text:
        found = cut(facts, NOT_NAMED)
        assert found.link is Link.BOARD
        assert text in found.text
        assert "gpio_meter" in found.cure
    else:
        assert verdict(judged(facts, NOT_NAMED)) == "The chain is whole."
        (found,) = [finding for finding in judged(facts, NOT_NAMED) if finding.link is Link.BOARD]
        assert found.text == "gpio answers: up 1 min 0 s (flow0 on GPIO17)"


def test_beside_a_daemons_board_one_on_no_serial_port_that_is_away_is_hinted_at() -> None:
    found = judged(with_report(boards=[BOARD, {**PINS, "state": "absent"}]))
    assert [(f.level, f.text.split()[0]) for f in found if f.link is Link.BOARD] == [
        (Level.OK, "kegboard"), (Level.HINT, "gpio"),
    ]  # fmt: skip


def test_without_any_board_the_device_that_goes_without_saying_is_missed() -> None:
    facts = replace(with_report(boards=[]), devices={TTY: replace(DEVICE, exists=False)})
    assert cut(facts, NOT_NAMED).link is Link.DEVICE


def test_a_daemon_that_tells_nothing_any_more_is_a_cut() -> None:
    found = cut(with_report(boards=[{**BOARD, "heard_age_s": 26.0}]))
    assert found.link is Link.BOARD
    assert "nothing for 26 s" in found.text
    assert "master.py restart kegboard_daemon" in found.cure
    assert first_cut(judged(with_report(boards=[{**BOARD, "heard_age_s": 19.0}]))) is None


def test_a_board_without_a_daemon_is_what_it_says_itself() -> None:
    settings = replace(SETTINGS, boards=(replace(SETTINGS.boards[0], process=None),))
    free = replace(HEALTHY, devices={TTY: replace(DEVICE, holders=())})
    for probe, text in (
        (ProbeFacts(waited_s=5.0), "no hello within 5 s"),
        (ProbeFacts(waited_s=5.0, bytes_heard=99), "(99 bytes came, but no message)"),
        (ProbeFacts(firmware_version=6), "firmware 6, which is too old"),
        (ProbeFacts(firmware_version=18, serial_number=""), "serial not set"),
    ):
        found = cut(replace(free, probes={TTY: probe}), settings)
        assert found.link is Link.BOARD
        assert text in found.text
    unknown = judged(replace(free, probes={TTY: ProbeFacts(problem="in use by another program")}), settings)
    assert any(f.link is Link.BOARD and f.level is Level.UNKNOWN for f in unknown)


def master(state: str, *apps: tuple[str, str], problems: tuple[str, ...] = ()) -> Facts:
    rows = [
        {"name": name, "state": state, "reason": "so it goes", "command": f"{name}.py"}
        for name, state in apps
    ]
    return replace(
        HEALTHY,
        master=MasterFacts(
            program="/bin/master.py", status={"master": {"state": state, "pid": 7}, "apps": rows},
            config="/etc/apps.cfg", config_exists=True, config_problems=problems,
        ),
    )  # fmt: skip


@pytest.mark.parametrize("state", ["backoff", "fatal", "stopped", "exited"])
def test_an_app_that_should_run_and_does_not_is_a_cut_only_if_it_is_a_link(state: str) -> None:
    assert cut(master("running", ("kegboard_daemon", state))).text.startswith("kegboard_daemon is ")
    found = judged(master("running", ("sound_server", state)))
    assert first_cut(found) is None
    assert any(f.level is Level.HINT for f in found) is (state != "exited")


def test_an_app_that_is_started_again_and_again_is_a_cut_with_its_reason_also_while_it_starts() -> None:
    facts = master("running", ("kegbot_core", "starting"))
    assert facts.master.status is not None
    assert first_cut(judged(facts)) is None, "for the first time"
    row = {**facts.master.status["apps"][0], "restarts": 3, "reason": "exit status 1: no key"}
    status = {**facts.master.status, "apps": [row]}
    found = cut(replace(facts, master=replace(facts.master, status=status)))
    assert found.text == "kegbot_core is starting once more (3 times so far): exit status 1: no key"


def test_apps_that_outlive_their_master_cut_nothing_but_are_told_of() -> None:
    found = judged(master("dead", ("kegbot_core", "running"), ("kegboard_daemon", "running")))
    assert "kegbot_core and kegboard_daemon run on unwatched" in found[0].text
    assert (found[0].level, found[0].cure) == (Level.HINT, "master.py start")


def test_a_mistake_in_the_configuration_of_a_running_master_is_hinted_at() -> None:
    found = judged(master("running", ("kegbot_core", "running"), problems=("a.cfg: line 3", "a.cfg: line 9")))
    assert "a.cfg: line 3 (and 1 more)" in found[1].text
    assert first_cut(found) is None


def test_of_another_users_master_the_file_is_not_judged() -> None:
    facts = master("running", ("kegbot_core", "running"), problems=("not root's",))
    theirs = replace(facts, uid=0, processes=(*facts.processes, process(7, "master")))
    assert [f.level for f in judged(theirs) if f.link is Link.MASTER] == [Level.OK]


def test_a_master_that_is_not_where_it_was_looked_for_is_no_cut() -> None:
    parent = process(7, "master")
    child = replace(CORE, parent_pid=7)
    facts = replace(master("stopped"), processes=(parent, child, DAEMON))
    found = judged(facts, replace(SETTINGS, core_process=child))
    assert found[0].level is Level.UNKNOWN
    assert "user ann runs them" in found[0].text
    assert first_cut(found) is None


def test_a_line_that_somebody_unseen_may_have_open_is_left_alone() -> None:
    settings = replace(SETTINGS, boards=(replace(SETTINGS.boards[0], process=None),))
    facts = replace(HEALTHY, devices={TTY: replace(DEVICE, holders=(), holders_complete=False)})
    assert "run the doctor with sudo to have it asked" in cut(facts, settings).text


ANN = {"user": "ann"}


@pytest.mark.parametrize(
    ("holders", "text", "cure"),
    [
        ((Holder(pid=70, name="gpsd", **ANN),), "by gpsd (process 70), not", "end it: kill 70"),
        ((Holder(pid=70, name="gpsd", user="bob"),), "gpsd", "stop gpsd (process 70), which is user bob's"),
        ((Holder(pid=70, name="bash", **ANN),), "bash", "stop bash (process 70)"),
        ((Holder(pid=70, name="kegbot_core", **ANN),), "kegbot_core", "stop kegbot_core (process 70)"),
        ((Holder(pid=70, name="", user=""),), "process 70", "stop process 70"),
        (
            tuple(Holder(pid=70 + n, name="cat", **ANN) for n in range(60)),
            "and 58 more",
            "stop those programs",
        ),
    ],
)
def test_only_a_single_program_of_the_same_user_that_nothing_hangs_on_is_to_be_killed(
    holders: tuple[Holder, ...], text: str, cure: str
) -> None:
    found = cut(replace(HEALTHY, devices={TTY: replace(DEVICE, holders=holders)}))
    assert text in found.text
    assert found.cure.startswith(cure)
    assert ("kill" in found.cure) is cure.startswith("end it: kill")


USB = UsbFacts(vendor_id="0403", product_id="6001", vendor="FTDI", product="FT232R", serial_number="A6")


def test_the_hints_about_a_device_name_the_lasting_path_and_the_udev_line() -> None:
    name = "/dev/serial/by-id/usb-FTDI_FT232R_A6-if00-port0"
    device = replace(DEVICE, usb=USB, by_id=name, modem_manager_pid=7)
    found = [f for f in judged(replace(HEALTHY, devices={TTY: device})) if f.link is Link.DEVICE]
    assert [f.level for f in found] == [Level.OK, Level.HINT, Level.HINT]
    assert "FTDI FT232R, 0403:6001, serial A6" in found[0].text
    assert found[1].cure == f"kegboard_device = {name}"
    assert 'ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6001", ENV{ID_MM_DEVICE_IGNORE}="1"' in found[2].cure
    told = replace(device, ignored_by_modem_manager=True)
    assert len([f for f in judged(replace(HEALTHY, devices={TTY: told})) if f.link is Link.DEVICE]) == 2


def test_who_is_in_the_group_but_may_not_has_to_log_in_again() -> None:
    found = cut(replace(HEALTHY, devices={TTY: replace(DEVICE, may_use=False, holders=())}))
    assert found.link is Link.DEVICE
    assert "log in again" in found.cure
    assert "usermod" not in found.cure
    not_in = replace(DEVICE, may_use=False, in_group=False, holders=())
    assert "sudo usermod -aG dialout ann" in cut(replace(HEALTHY, devices={TTY: not_in})).cure


def test_of_a_pattern_another_programs_port_is_no_trouble_while_a_board_is_there() -> None:
    other = replace(DEVICE, path="/dev/ttyUSB1", holders=(Holder(pid=5, name="gpsd"),))
    settings = replace(SETTINGS, boards=(replace(SETTINGS.boards[0], device=setting("auto")),))
    facts = replace(HEALTHY, devices={TTY: DEVICE, "/dev/ttyUSB1": other})
    found = judge(facts, settings, {"auto": (TTY, "/dev/ttyUSB1")})
    assert first_cut(found) is None
    assert any("gpsd (process 5)" in f.text for f in found)
    assert first_cut(judge(facts, settings, {"auto": ("/dev/ttyUSB1",)})) is not None
    nothing = first_cut(judge(facts, settings, {"auto": ()}))
    assert nothing is not None
    assert "no board is plugged in" in nothing.text


def test_a_calibration_that_no_flow_meter_has_is_hinted_at() -> None:
    found = judged(with_report(taps=[{**TAP, "ml_per_tick": 500.0}]))
    assert any("500 mL per tick is unusual" in f.text for f in found)
    assert first_cut(found) is None


def test_what_is_to_be_typed_names_the_store_unless_it_is_the_default() -> None:
    facts = with_report(taps=[{**TAP, "source": "default"}], outbox={"waiting": 0, "held": 1, "dead": 0})
    settings = replace(SETTINGS, api_url=setting("http://bar/"))
    facts = replace(facts, server=ServerFacts(url="http://bar/", state="fits", version="2.0", taps=None))
    cures = [f.cure for f in judged(facts, settings) if "kegbot_admin.py" in f.cure]
    assert len(cures) == 2
    assert "taps set kegboard.flow0 --ml_per_tick=NUMBER --store=/kegbot.sqlite" in cures[0]
    assert cures[1].endswith("kegbot_admin.py outbox retry --all --store=/kegbot.sqlite")
    usual = judged(replace(facts, default_store="/kegbot.sqlite"), settings)
    assert not any("--store" in f.cure for f in usual)


def test_a_store_that_others_may_read_or_whose_disk_is_nearly_full_is_hinted_at() -> None:
    store = replace(STORE, mode=0o644, free_bytes=50 << 20, free_inodes=5)
    hints = [f.text for f in judged(replace(HEALTHY, store=store)) if f.level is Level.HINT]
    assert len(hints) == 3
    full = replace(STORE, free_inodes=0)
    assert "no inodes left" in cut(replace(HEALTHY, store=full)).text


def test_what_the_core_complains_of_is_told_with_its_cure() -> None:
    trouble = {**REPORT["store"], "trouble": "nothing can be stored: store /k: the disk fails; look at dmesg"}
    found = cut(with_report(store=trouble))
    assert (found.link, found.cure) == (Link.STORE, "look at dmesg")


def test_a_store_that_was_taken_away_is_told_in_the_words_of_the_core_that_has_it_open() -> None:
    gone = "nothing can be stored: store /k: /k was taken away while the core used it; it is written anew"
    core = with_report(store={**REPORT["store"], "trouble": gone}).core
    facts = replace(HEALTHY, core=core, store=StoreFacts(path="/k", user="ann", may_write=True))
    assert [f.level for f in judged(facts) if f.link is Link.STORE] == [Level.TROUBLE]
    assert "was taken away" in cut(facts).text


def test_a_store_with_a_second_name_is_a_cut() -> None:
    found = cut(replace(HEALTHY, store=replace(STORE, names=2)))
    assert (found.link, "find / -xdev -samefile /kegbot.sqlite" in found.cure) == (Link.STORE, True)


def test_what_took_too_long_is_unknown_and_named() -> None:
    late = Facts(master=MasterFacts(), timeouts=frozenset({"master", "core", "store"}), now_unix_s=NOW)
    found = judge(late, replace(SETTINGS, core_process=None), {})
    assert {f.level for f in found if f.link in (Link.MASTER, Link.DEVICE, Link.CORE, Link.STORE)} == {
        Level.UNKNOWN
    }
    assert verdict(found).startswith("No cut was found; not everything could be looked at: master")


@pytest.mark.parametrize(
    ("outbox", "level", "text"),
    [
        ({"waiting": 0, "held": 0, "dead": 0}, Level.OK, "empty"),
        ({"waiting": 2, "held": 0, "dead": 0, "oldest_unix_s": NOW - 5}, Level.OK, "2 drinks wait"),
        ({"waiting": 1, "held": 0, "dead": 0, "oldest_unix_s": NOW - 9000}, Level.HINT, "for 2 h 30 min"),
        ({"waiting": 0, "held": 1, "dead": 0, "oldest_unix_s": NOW - 5}, Level.HINT, "1 drink waits"),
        (
            {"waiting": 0, "held": 0, "dead": 3, "oldest_unix_s": NOW - 5},
            Level.TROUBLE,
            "3 drinks that the server",
        ),
    ],
)
def test_the_outbox_is_judged_by_what_becomes_of_it(outbox: dict[str, Any], level: Level, text: str) -> None:
    server = ServerFacts(url="http://bar/api/v1/", state="fits", version="2.0", taps=None)
    facts = replace(with_report(outbox=outbox), server=server)
    found = judged(facts, replace(SETTINGS, api_url=setting("http://bar/api/v1/")))
    (finding,) = [f for f in found if f.link is Link.OUTBOX]
    assert finding.level is level
    assert text in finding.text


def test_a_core_that_has_not_noticed_that_the_server_is_back_is_hinted_at() -> None:
    server = ServerFacts(url="http://bar/", state="fits", version="2.0", taps=())
    told = {"state": "trouble", "reason": "connection refused"}
    facts = replace(with_report(server=told, taps=[]), server=server)
    found = judged(facts, replace(SETTINGS, api_url=setting("http://bar/")))
    assert any(
        f.link is Link.SERVER and f.level is Level.HINT and "connection refused" in f.text for f in found
    )


def test_while_the_server_is_away_the_outbox_only_waits_for_it() -> None:
    away = ServerFacts(url="http://bar/", state="unreachable", problem="connection refused")
    facts = replace(with_report(outbox={"waiting": 9, "held": 0, "dead": 0}), server=away)
    settings = replace(SETTINGS, api_url=setting("http://bar/"))
    assert cut(facts, settings).link is Link.SERVER
    assert [f.level for f in judged(facts, settings) if f.link is Link.OUTBOX] == [Level.UNKNOWN]


def test_what_others_wrote_cannot_drive_the_terminal() -> None:
    evil = "\x1b[2J\nok       core       all is well"
    facts = with_report(
        taps=[{**TAP, "name": evil}],
        boards=[{**BOARD, "state": "silent", "detail": evil, "board_name": evil}],
    )
    text = as_text(judged(facts), SETTINGS, user="ann", colours=False, width=80)
    assert "\x1b" not in text
    assert "\nok       core       all" not in text


def test_of_several_cuts_the_first_along_the_chain_is_to_be_mended_first() -> None:
    facts = replace(with_report(boards=[{**BOARD, "state": "silent"}]), store=replace(STORE, free_bytes=0))
    line = verdict(judged(facts))
    assert line.startswith("The chain is cut at: board. Do: is it a Kegboard?")
    assert line.endswith(". It is cut, too, at: store.")


def test_the_object_for_programs_names_the_cut() -> None:
    found = judged(with_report(boards=[{**BOARD, "state": "silent"}]))
    told = as_object(found, SETTINGS, user="ann")
    assert set(told) == {"user", "settings", "findings", "cut", "verdict"}
    assert told["cut"] == "board"
    assert set(told["findings"][0]) == {"link", "level", "text", "cure"}


@pytest.mark.parametrize(
    ("changes", "text", "cure"),
    [
        ({"exists": False, "held_path": "/other/k.sqlite"}, "is at /other/k", "mv /other/k.sqlite /kegbot.sqlite"),
        ({"exists": False, "held_path": "/kegbot.sqlite (deleted)"}, "was removed", "do not kill kegbot_core"),
        ({"held_path": "/kegbot.sqlite (deleted)"}, "another is in its place", "put the other aside"),
    ],
)  # fmt: skip
def test_a_store_that_was_taken_from_the_core_is_named_and_the_outbox_is_unknown(
    changes: dict[str, Any], text: str, cure: str
) -> None:
    facts = replace(HEALTHY, store=replace(STORE, held_by=10, outbox={"counts": {}}, **changes))
    found = cut(facts)
    assert found.link is Link.STORE
    assert text in found.text
    assert "kegbot_core (process 10)" in found.text
    assert cure in found.cure
    assert [f.level for f in judged(facts) if f.link is Link.OUTBOX] == [Level.UNKNOWN]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (duration(59.9), "59 s"), (duration(-3), "0 s"), (duration(185), "3 min 5 s"), (duration(90000), "1 d 1 h"),
        (size(512), "512 B"), (size(4096), "4.0 KiB"), (size(10 << 30), "10 GiB"), (size(3 << 50), "3072 TiB"),
        (listed([]), "none"), (listed(["a"]), "a"), (listed(["a", "b", "c"]), "a, b and c"),
        (listed(map(str, range(9)), 4), "0, 1, 2 and 6 more"), (plain("a\x00b" * 100, 10), "a?ba?ba..."),
    ],
)  # fmt: skip
def test_numbers_and_lists_are_told_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected


def beside(*others: OtherCore) -> list[Finding]:
    found = judged(replace(HEALTHY, uid=1000), replace(SETTINGS, other_cores=others))
    return [finding for finding in found if "kegerator" in finding.text]


def test_an_address_is_advised_only_if_a_core_can_be_reached_there() -> None:
    usual, chosen = (
        OtherCore(process=process(pid, "kegbot_core"), address=at)
        for pid, at in ((20, "localhost:7000"), (21, "localhost:0"))
    )
    (found,) = beside(usual)
    assert "--kb_core_addr=localhost:7000" in str(found)
    (found,) = beside(chosen)
    assert "localhost:0" not in str(found)
    assert "a port that the system chose (kegbot_core (process 21), user ann)" in found.text


def test_the_cores_of_other_users_are_one_line() -> None:
    others = [
        OtherCore(
            process=replace(process(pid, "kegbot_core"), uid=1001, user="bob"), address=f"localhost:{pid}"
        )
        for pid in (7020, 7021, 7022)
    ]
    (found,) = beside(*others)
    assert "3 kegerators of other users run here (bob)" in found.text
    own = OtherCore(process=process(20, "kegbot_core"), address="localhost:7000")
    assert len(beside(own, *others)) == 2
