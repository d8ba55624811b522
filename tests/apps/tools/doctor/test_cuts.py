"""The doctor names the link where the chain is cut, each cut caused for real, and says what to do."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.core.store import Store
from kegapps.tools.doctor.look_store import look_at
from kegapps.tools.doctor.rights import me
from tests.apps.core.programs import CoreProgram
from tests.apps.kegboard.programs import free_port
from tests.apps.server.emulators import Emulator, Site, Tap
from tests.apps.small_disk import mounted as small_disk_at
from tests.apps.tools.doctor.kegerator import Kegerator
from tests.master.conftest import Box, eventually

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can look with another user's rights, or mount"
)


def test_a_healthy_chain_is_whole(healthy: Kegerator) -> None:
    found = healthy.doctor()
    assert (found.cut, found.status, found.answer["verdict"]) == (None, 0, "The chain is whole.")
    assert "kegbot_core" in found.of("master", "ok")[0]
    assert "read by kegboard_daemon" in found.of("device", "ok")[0]
    assert "firmware 18" in found.of("board", "ok")[0]
    assert found.of("last tick", "ok")
    assert "kegboard.flow0 and kegboard.flow1" in found.of("core", "ok")[0]
    assert "never set" in found.of("core", "hint")[0]
    assert "sound" in found.of("store", "ok")[0]
    assert "none is configured" in found.of("server", "ok")[0]


# The device


def test_no_device(kegerator: Kegerator) -> None:
    kegerator.core()
    kegerator.daemon()
    kegerator.doctor().must_be_cut_at("device", saying="no such device", cure="plug the board in")


def test_the_board_is_unplugged_while_all_runs(kegerator: Kegerator) -> None:
    board = kegerator.board()
    core = kegerator.core()
    kegerator.daemon()
    core.wait_for("connected")
    board.verb("unplug")
    kegerator.doctor().must_be_cut_at("device", saying="no such device", cure="plug the board in")


@needs_root
@pytest.mark.parametrize(
    ("group", "mode", "cure"),
    [
        ("tty", 0o660, "sudo usermod -aG tty nobody"),
        ("tty", 0o600, "sudo chmod g+rw /dev/pts/"),
        ("root", 0o660, "sudo chgrp dialout /dev/pts/"),
    ],
)
def test_a_device_that_the_user_may_not_use(coreless: Kegerator, group: str, mode: int, cure: str) -> None:
    device = coreless.device.resolve()
    before = device.stat()
    shutil.chown(device, group=group)
    device.chmod(mode)
    try:
        found = coreless.doctor(f"--kegboard_device={device}", "--user=nobody")
    finally:
        os.chown(device, -1, before.st_gid)
        device.chmod(before.st_mode)
    assert found.cut == "device", found.answer
    assert any("user nobody may not read and write it" in text for text in found.of("device", "trouble"))
    assert cure in found.cure
    assert found.of("board", "unknown")


def test_a_device_that_is_no_terminal_is_nobodys_to_give_up(kegerator: Kegerator) -> None:
    kegerator.core()
    kegerator.device.symlink_to("/dev/null")
    kegerator.bar.daemon(kegerator.address).line("not a serial device")
    found = kegerator.doctor()
    assert found.cut == "device", found.answer
    assert "is no serial device (it leads to /dev/null)" in found.of("device", "trouble")[0]
    assert found.cure.startswith("name the board's device with --kegboard_device")
    assert "kill" not in str(found.answer)


def test_a_device_that_another_program_holds(kegerator: Kegerator) -> None:
    kegerator.board()
    kegerator.core()
    monitor = kegerator.bar.run("kegboard_monitor.py", f"--kegboard_device={kegerator.device}")
    monitor.line("opened")
    kegerator.daemon()
    number = monitor.process.pid
    kegerator.doctor().must_be_cut_at(
        "device", saying=f"in use by kegboard_monitor (process {number})", cure=f"kill {number}"
    )


def test_a_device_whose_bytes_another_program_takes_away(kegerator: Kegerator) -> None:
    kegerator.board()
    kegerator.core()
    kegerator.daemon()
    with open(kegerator.device, "rb", buffering=0) as line:
        kegerator.doctor().must_be_cut_at(
            "device", saying=f"(process {os.getpid()}), too: each gets a part", cure=f"kill {os.getpid()}"
        )
        assert line


# The board


def test_nothing_answers_on_the_line(kegerator: Kegerator) -> None:
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    kegerator.core()
    try:
        kegerator.device.symlink_to(name)
        found = kegerator.doctor()
    finally:
        os.close(master)
    found.must_be_cut_at("board", saying="no hello within 5 s", cure="kegboard_monitor.py --kegboard_device=")


def test_the_firmware_is_too_old(kegerator: Kegerator) -> None:
    kegerator.board("--firmware_version=6")
    kegerator.core()
    kegerator.bar.daemon(kegerator.address).line("firmware 6 is too old")
    found = kegerator.doctor()
    found.must_be_cut_at("board", saying="firmware 6 is too old", cure="flash a newer firmware")


def test_an_old_board_to_which_nobody_listens_is_asked_by_the_doctor_itself(kegerator: Kegerator) -> None:
    kegerator.board("--firmware_version=6")
    kegerator.core()
    kegerator.doctor().must_be_cut_at("board", saying="firmware 6, which is too old", cure="flash a newer")


def test_the_board_answers_but_no_daemon_listens_to_it(kegerator: Kegerator) -> None:
    board = kegerator.board()
    kegerator.core()
    found = kegerator.doctor()
    found.must_be_cut_at("board", saying="answers (firmware 18", cure="master.py start kegboard_daemon")
    opened = board.state()["opened"]
    kegerator.doctor("--noprobe").must_be_cut_at("board", saying="was not asked", cure="master.py start")
    assert board.state()["opened"] == opened, "with --noprobe the line is left alone"


# The ticks


def test_a_meter_was_never_seen(kegerator: Kegerator) -> None:
    kegerator.board()
    core = kegerator.core()
    kegerator.daemon()
    core.wait_for("connected")
    kegerator.doctor().must_be_cut_at(
        "last tick", saying="no meter was ever heard", cure="let something flow"
    )


# The core


def test_the_core_does_not_run(coreless: Kegerator) -> None:
    found = coreless.doctor()
    found.must_be_cut_at("core", saying="no core runs", cure="master.py start kegbot_core")
    assert "because the core" in found.of("board", "unknown")[0]


@pytest.mark.parametrize(
    ("says", "what"),
    [(b"SSH-2.0-OpenSSH_9.2\r\n", "it says 'SSH-2.0-OpenSSH_9.2'"), (b"", "does not answer")],
)
def test_something_else_listens_on_the_cores_port(coreless: Kegerator, says: bytes, what: str) -> None:
    with socket.create_server(("127.0.0.1", coreless.port)) as listener:
        kept = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    kept.append(connection)
                    connection.sendall(says)

        threading.Thread(target=serve, daemon=True).start()
        found = coreless.doctor()
        for connection in kept:
            connection.close()
        listener.shutdown(socket.SHUT_RDWR)
    found.must_be_cut_at("core", saying=what, cure="kegbot_core")
    assert f"(process {os.getpid()})" in found.of("core", "trouble")[0]


def test_the_board_daemon_looks_for_the_core_elsewhere(kegerator: Kegerator) -> None:
    kegerator.board()
    kegerator.core()
    kegerator.bar.daemon(f"localhost:{free_port()}").line("ready")
    found = kegerator.doctor()
    assert "looks for the core on localhost:" in found.of("core", "trouble")[0]
    assert (found.cut, found.cure) == ("core", f"give kegboard_daemon --kb_core_addr={kegerator.address}")


def test_a_core_that_wants_a_token_says_so(kegerator: Kegerator) -> None:
    token = kegerator.folder / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef0123\n")
    kegerator.board()
    core = kegerator.core(f"--kegnet_token_file={token}")
    kegerator.daemon(f"--kegnet_token_file={token}")
    core.wait_for("connected")
    assert kegerator.doctor().cut == "last tick", "it has the token from the core's own command line"
    other = kegerator.folder / "other"
    other.touch(mode=0o600)
    other.write_text("another token, which is none")
    found = kegerator.doctor(f"--kegnet_token_file={other}")
    found.must_be_cut_at("core", saying="does not serve the doctor", cure="--kegnet_token_file")
    assert "0123456789abcdef" not in str(found.answer)


# The store


@pytest.fixture
def store(coreless: Kegerator, tmp_path: Path) -> Path:
    path = tmp_path / "kegbot.sqlite"
    Store(str(path), boot_id="").close()
    return path


def test_a_damaged_store(coreless: Kegerator, store: Path) -> None:
    data = bytearray(store.read_bytes())
    data[4096:12288] = bytes(8192)
    store.write_bytes(data)
    found = coreless.doctor(f"--store={store}")
    found.must_be_cut_at("store", saying="is damaged", cure="restore a backup")


def test_a_store_that_is_no_database(coreless: Kegerator, store: Path) -> None:
    store.write_bytes(b"beer" * 4096)
    coreless.doctor(f"--store={store}").must_be_cut_at("store", saying="is damaged", cure="restore a backup")


def test_a_store_of_a_newer_version(coreless: Kegerator, store: Path) -> None:
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("pragma user_version = 99")
    found = coreless.doctor(f"--store={store}")
    found.must_be_cut_at("store", saying="newer version (schema 99", cure="update kegmaster")


@pytest.mark.parametrize("how", ["moved", "removed"])
def test_a_store_that_was_taken_from_under_the_core(kegerator: Kegerator, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    kegerator.store = folder / "kegbot.sqlite"
    pid = kegerator.core().process.pid
    moved = kegerator.store.rename(tmp_path / "elsewhere")
    if how == "removed":
        moved.unlink()
    # Before the core has been asked for anything, so that it has not noticed yet.
    seen = look_at(str(kegerator.store), me(), pid)
    assert (seen.exists, seen.held_by) == (False, pid)
    assert seen.held_path == (f"{moved} (deleted)" if how == "removed" else str(moved))
    found = kegerator.doctor("--noprobe")
    assert found.of("store", "trouble"), found.answer
    assert "the chain is cut at: store" in found.of("outbox", "unknown")[0]


def test_a_database_of_another_program(coreless: Kegerator, tmp_path: Path) -> None:
    path = tmp_path / "photos.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("create table photos (id)")
        db.execute("pragma application_id = 7")
    found = coreless.doctor(f"--store={path}")
    found.must_be_cut_at("store", saying="of another program", cure="name another file with --store")


@needs_root
def test_a_store_that_the_user_may_not_write(coreless: Kegerator, store: Path) -> None:
    device = coreless.device.resolve()
    os.chmod(device, 0o666)
    found = coreless.doctor(f"--store={store}", "--user=nobody", f"--kegboard_device={device}")
    os.chmod(device, 0o620)
    assert any("user nobody may not write" in text for text in found.of("store", "trouble"))
    assert "chown nobody" in str(found.answer)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path / "disk", 512) as path:
        yield path


def test_a_full_disk(coreless: Kegerator, store: Path, small_disk: Path) -> None:
    shutil.copy(store, small_disk)
    with contextlib.suppress(OSError), open(small_disk / "ballast", "wb") as file:
        file.write(bytes(1 << 20))
    found = coreless.doctor(f"--store={small_disk / store.name}")
    found.must_be_cut_at("store", saying="is full", cure="make room")


def test_a_disk_that_is_mounted_read_only(coreless: Kegerator, store: Path, small_disk: Path) -> None:
    shutil.copy(store, small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    found = coreless.doctor(f"--store={small_disk / store.name}")
    found.must_be_cut_at("store", saying="mounted read-only", cure="mount it writable")


def test_a_core_whose_disk_has_filled_up_says_so_itself(kegerator: Kegerator, small_disk: Path) -> None:
    kegerator.store = small_disk / "kegbot.sqlite"
    kegerator.board()
    core = kegerator.core()
    kegerator.daemon()
    core.wait_for("connected")
    with contextlib.suppress(OSError), open(small_disk / "ballast", "wb") as file:
        file.write(bytes(1 << 20))
    found = kegerator.doctor()
    found.must_be_cut_at("store", saying="is full", cure="make room")


@pytest.mark.parametrize(
    ("name", "saying"),
    [("/etc", "is not a file"), ("/etc/passwd", "is damaged"), ("/dev/zero", "is not a file")],
)
def test_a_store_that_is_named_is_looked_at_whatever_the_core_uses(
    healthy: Kegerator, name: str, saying: str
) -> None:
    found = healthy.doctor(f"--store={name}")
    found.must_be_cut_at("store", saying=f"{name} {saying}", cure="--store")
    assert f"the core uses another store: {healthy.store}" in found.of("store", "hint")[0]


def test_a_device_that_is_named_is_looked_at_whatever_the_daemon_uses(healthy: Kegerator) -> None:
    found = healthy.doctor("--kegboard_device=/dev/zero")
    assert found.cut == "device", found.answer
    assert "/dev/zero is no serial device" in found.of("device", "trouble")[0]
    assert f"uses another device than you named: {healthy.device}" in found.of("device", "hint")[0]


# The server


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator("today", site=Site()) as emulator:
        yield emulator


def test_nothing_listens_where_the_server_should_be(healthy: Kegerator) -> None:
    found = healthy.doctor(f"--api_url=http://127.0.0.1:{free_port()}/api/v1/", "--api_key=" + "0" * 32)
    found.must_be_cut_at("server", saying="connection refused", cure="start the server")


def test_the_url_is_that_of_the_other_api(healthy: Kegerator, server: Emulator) -> None:
    found = healthy.doctor(f"--api_url={server.origin}/api/", f"--api_key={server.key}")
    found.must_be_cut_at("server", saying="newer API", cure=f"--api_url={server.url}")


def test_the_key_is_wrong_and_is_not_shown(healthy: Kegerator, server: Emulator) -> None:
    key = "0123456789abcdee" * 2
    found = healthy.doctor(f"--api_url={server.url}", f"--api_key={key}")
    found.must_be_cut_at("server", saying="does not take the API key", cure="copy a key")
    assert key not in str(found.answer)


def test_no_key_is_configured(healthy: Kegerator, server: Emulator) -> None:
    found = healthy.doctor(f"--api_url={server.url}")
    found.must_be_cut_at("server", saying="none is configured", cure="--api_key_file")


def test_a_meter_is_bound_to_no_tap_of_the_server(healthy: Kegerator, server: Emulator) -> None:
    server.site.taps = [server.site.taps[0], Tap(id=7, name="New Tap", meter_name=None)]
    found = healthy.doctor(f"--api_url={server.url}", f"--api_key={server.key}")
    found.must_be_cut_at(
        "server", saying="kegboard.flow1 is bound to no tap", cure="bind meter kegboard.flow1"
    )
    assert "New Tap (no meter)" in found.of("server", "trouble")[0]


def test_no_keg_is_on_the_servers_tap(healthy: Kegerator, server: Emulator) -> None:
    server.site.taps[0].keg_id = None
    found = healthy.doctor(f"--api_url={server.url}", f"--api_key={server.key}")
    found.must_be_cut_at("server", saying="no keg is on Main Tap", cure="put a keg on it")


def test_the_server_is_well(healthy: Kegerator, server: Emulator, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(f"{server.key}\n")
    found = healthy.doctor(f"--api_url={server.url}", f"--api_key_file={key}")
    assert (found.cut, found.status) == (None, 0)
    assert "every meter is bound to a tap with a keg" in found.of("server", "ok")[0]
    assert server.memory.drinks == [], "the doctor pours nothing"


def test_a_drink_that_the_server_will_never_take(healthy: Kegerator) -> None:
    with contextlib.closing(sqlite3.connect(healthy.store, timeout=10)) as db, db:
        db.execute(
            "insert into drinks (id, uuid, flow_id, tap_name, ticks, ml_per_tick, volume_ml, start_unix_s, end_unix_s) "
            "values (900, 'u', 1, 'kegboard.flow0', 100, 0.5, 50, 1000, 1010)"
        )
        db.execute(
            "insert into outbox (drink_id, server_url, state, reason, next_unix_s, meter_name) "
            "values (900, 'http://bar', 'dead', 'the server does not want it', 0, 'kegboard.flow0')"
        )
    try:
        found = healthy.doctor()
    finally:
        with contextlib.closing(sqlite3.connect(healthy.store, timeout=10)) as db, db:
            db.execute("delete from outbox")
            db.execute("delete from drinks where id = 900")
    found.must_be_cut_at("outbox", saying="drink 900: the server does not want it", cure="outbox edit 900")


# The master


def test_an_app_that_the_master_cannot_keep_running(tmp_path: Path) -> None:
    box = Box(tmp_path)
    port = free_port()
    box.write(
        f"""
        [kegbot_core]
        _enabled = True
        kb_core_bind_addr = localhost:{port}
        store = {tmp_path}/kegbot.sqlite
        max_taps = many
        """
    )
    try:
        box.master("start", expect=None)
        eventually(lambda: box.app("kegbot_core")["state"] == "backoff")
        with contextlib.ExitStack() as stack:
            kegerator = Kegerator(tmp_path, stack)
            kegerator.address = f"localhost:{port}"
            found = kegerator.doctor(f"--master_config={box.config}", f"--pidfile_dir={box.run}")
    finally:
        box.master("stop", expect=None)
        box.close()
    assert found.cut == "master", found.answer
    assert any("kegbot_core is in backoff" in text for text in found.of("master", "trouble"))
    assert "kegbot_core.log" in found.cure
    assert "does not run (see master)" in found.of("core", "unknown")[0]


def test_a_core_that_the_master_starts_in_vain_because_of_its_store(tmp_path: Path) -> None:
    with CoreProgram(tmp_path / "kegbot.sqlite") as core:
        core.end()
    with contextlib.closing(sqlite3.connect(tmp_path / "kegbot.sqlite")) as db:
        db.execute("pragma user_version = 99")
    box = Box(tmp_path)
    box.write(f"[kegbot_core]\n_enabled = True\nstore = {tmp_path}/kegbot.sqlite\n")
    try:
        box.master("start", expect=None)
        eventually(lambda: box.app("kegbot_core")["state"] == "backoff")
        with contextlib.ExitStack() as stack:
            kegerator = Kegerator(tmp_path, stack)
            found = kegerator.doctor(f"--master_config={box.config}", f"--pidfile_dir={box.run}")
    finally:
        box.master("stop", expect=None)
        box.close()
    assert found.of("store", "trouble"), found.answer
    # Its next try may just be under way.
    assert re.search("kegbot_core is (in backoff|starting once more)", " ".join(found.of("master", "hint")))
    assert "master" not in found.troubled()
