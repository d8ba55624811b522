"""How the broker is reached: addresses, passwords, TLS, and a library that is not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.bridge.mqtt_settings import parse_broker
from tests.apps.bridge.mosquitto import Listener, Mosquitto, needs_mosquitto, until
from tests.apps.bridge.rig import rig
from tests.apps.daemon.harness import environment
from tests.apps.kegboard.programs import SCRIPTS, Bar, Program, bar_in, free_port

needs_passwords = pytest.mark.skipif(
    shutil.which("mosquitto_passwd") is None, reason="mosquitto_passwd is not installed"
)
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("localhost", ("localhost", 1883)),
        ("broker.local:1884", ("broker.local", 1884)),
        ("192.168.1.5:1883", ("192.168.1.5", 1883)),
        ("[::1]", ("::1", 1883)),
        ("[fe80::1]:1884", ("fe80::1", 1884)),
        ("::1", ("::1", 1883)),
    ],
)
def test_a_broker_has_a_name_or_an_address_and_perhaps_a_port(text: str, found: tuple[str, int]) -> None:
    assert parse_broker(text, 1883) == found


@pytest.mark.parametrize(
    "text",
    ["", ":1883", "a:0", "a:65536", "a:b", "a b", "mqtt://a", "[::1", "[::1]1883", "a:1:2:x", "a/b", "a:٣"],
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        parse_broker(text, 1883)


def start(cwd: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """A bridge that does not get far."""
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "mqtt_bridge.py"), "--mqtt_state=bridge.sqlite", *flags],
        cwd=cwd, env=environment(HOME=str(cwd)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "status", "told"),
    [
        (["--mqtt_address=a b"], 2, "--mqtt_address='a b' is no address"),
        (["--mqtt_prefix=a/#"], 2, "--mqtt_prefix=a/#"),
        (["--mqtt_machines=a/b"], 2, "--mqtt_machines"),
        (["--mqtt_role=boards", "--mqtt_name=a/b"], 2, "--mqtt_name=a/b"),
        (["--mqtt_password_file=password"], 2, "--mqtt_password_file without --mqtt_user"),
        (["--mqtt_user=a", "--mqtt_password_file=password"], 1, "chmod 600"),
        (["--mqtt_user=a", "--mqtt_password_file=missing"], 1, "No such file"),
        (["--mqtt_user=a", "--mqtt_password_file=empty"], 1, "expected the password on one line"),
        (["--mqtt_tls_ca=missing.pem"], 1, "--mqtt_tls_ca=missing.pem: no readable file"),
        (["--mqtt_tls_ca=empty"], 1, "--mqtt_tls_ca: "),
        (["--mqtt_tls_ca=password"], 1, "holds no certificate in PEM"),
        (
            ["--mqtt_tls_certificate=empty", "--mqtt_tls_key=empty"],
            1,
            "--mqtt_tls_certificate, --mqtt_tls_key: ",
        ),
        (["--mqtt_secret_file=password"], 1, "--mqtt_secret_file: "),
        (["--mqtt_tls_certificate=password"], 2, "belong together"),
        (["--mqtt_tls_certificate=password", "--mqtt_tls_key=password"], 1, "chmod 600"),
        (["--mqtt_role=boards", "--mqtt_name=a", "--kb_core_bind_addr=x:1"], 2, "--kb_core_bind_addr"),
        (["--mqtt_state=password"], 1, "--mqtt_state"),
    ],
)
def test_a_wrong_flag_is_one_line(tmp_path: Path, flags: list[str], status: int, told: str) -> None:
    (tmp_path / "password").write_text("a word that anybody may read, and not a database either " * 9)
    (tmp_path / "password").chmod(0o644)
    (tmp_path / "empty").touch(0o600)
    done = start(tmp_path, *flags)
    assert done.returncode == status
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.fixture
def bar(tmp_path: Path) -> Iterator[Bar]:
    yield from bar_in(tmp_path)


def run(bar: Bar, broker: Mosquitto, *flags: str) -> Program:
    """A bridge on a file of its own, with a core that is not there."""
    return bar.run(
        "mqtt_bridge.py", f"--mqtt_state=bridge-{free_port()}.sqlite", f"--kb_core_addr=localhost:{free_port()}",
        f"--mqtt_address=127.0.0.1:{broker.port}", *flags,
    )  # fmt: skip


def give_password(folder: Path, user: str, password: str) -> None:
    """To `user`: in the broker's file `passwords`, and in a file of its own."""
    made = folder / "passwords"
    create = [] if made.exists() else ["-c"]
    subprocess.run(
        ["mosquitto_passwd", "-b", *create, str(made), user, password], check=True, capture_output=True
    )
    own = folder / f"{user}.password"
    own.touch(0o600)
    own.write_text(f"{password}\n")


@needs_mosquitto
@needs_passwords
def test_a_password_is_shown_and_a_wrong_one_is_told_and_tried_again(bar: Bar, tmp_path: Path) -> None:
    give_password(tmp_path, "kegbot", "right")
    passwords = tmp_path / "passwords"
    passwords.chmod(0o644)
    (tmp_path / "wrong").touch(0o600)
    (tmp_path / "wrong").write_text("wrong\n")
    lines = ("allow_anonymous false", f"password_file {passwords}")
    with Mosquitto(tmp_path, *lines) as broker:
        wrong = run(bar, broker, "--mqtt_user=kegbot", "--mqtt_password_file=wrong")
        wrong.line("Not authorized; see --mqtt_user and --mqtt_password_file; trying on")
        right = run(bar, broker, "--mqtt_user=kegbot", "--mqtt_password_file=kegbot.password")
        right.line("connected to the broker")
        assert right.end() == wrong.end() == 0


def documented_access_list() -> str:
    """The one of docs/mqtt.rst."""
    text = (SCRIPTS.parent / "docs" / "mqtt.rst").read_text(encoding="utf-8")
    block = text.partition("and ``kegbot.acl``::")[2].partition("Then, on both machines")[0]
    return textwrap.dedent(block)


@needs_mosquitto
@needs_passwords
def test_the_access_list_of_the_docs_lets_through_what_is_needed_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text(documented_access_list())
    for user in ("core", "cellar", "homeassistant"):
        give_password(tmp_path, user, f"of {user}")
    (tmp_path / "passwords").chmod(0o644)
    (tmp_path / "acl").chmod(0o644)
    lines = ("allow_anonymous false", f"password_file {tmp_path}/passwords", f"acl_file {tmp_path}/acl")
    core_flags = ("--mqtt_user=core", "--mqtt_password_file=core.password", "--mqtt_machines=cellar")
    with rig(tmp_path, *lines, core_flags=core_flags) as both:
        both.start_boards_bridge("--mqtt_user=cellar", "--mqtt_password_file=cellar.password")
        board = both.start_board()
        board.verb("pour", "flow0", "100", "--ticks_per_second=1000")
        until(lambda: both.counted() == 100)
        topics = ("kegbot/#", "homeassistant/#")
        with Listener(both.broker.port, *topics, login=("homeassistant", "of homeassistant")) as listener:
            listener.until(lambda: "kegbot/taps/kegboard.flow0" in listener.retained)
            listener.until(lambda: any(topic.endswith("/config") for topic in listener.retained))
            listener.publish("kegbot/machines/cellar/down", b"not for you to say")
            listener.publish("kegbot/machines/cellar/up", b"nor this")
        assert both.core_bridge.end() == 0
        assert both.boards_bridge is not None
        assert both.boards_bridge.end() == 0
        said = "\n".join([*both.core_bridge.lines, *both.boards_bridge.lines])
        assert "skipped" not in said
        assert "does not take what we publish" not in said


def certificates(folder: Path) -> None:
    """An authority, and a broker and a client with certificates of it; another authority that nobody knows."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)

    for name in ("ca", "stranger"):
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem",
        )  # fmt: skip
    for name, alternative in (
        ("broker", "subjectAltName=DNS:localhost"),
        ("client", "subjectAltName=DNS:client"),
    ):
        (folder / f"{name}.ext").write_text(alternative)
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", f"{name}.ext", "-out", f"{name}.pem",
        )  # fmt: skip
        (folder / f"{name}.key").chmod(0o600)


@needs_mosquitto
@needs_openssl
def test_tls_with_certificates_on_both_sides_and_no_broker_that_is_not_to_be_trusted(
    bar: Bar, tmp_path: Path
) -> None:
    certificates(tmp_path)
    lines = (
        f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/broker.pem", f"keyfile {tmp_path}/broker.key",
        "require_certificate true",
    )  # fmt: skip
    mine = ("--mqtt_tls_certificate=client.pem", "--mqtt_tls_key=client.key")
    with Mosquitto(tmp_path, *lines) as broker:
        named = f"--mqtt_address=localhost:{broker.port}"
        trusting = run(bar, broker, "--mqtt_tls_ca=ca.pem", named, *mine)
        trusting.line("connected to the broker")
        run(bar, broker, "--mqtt_tls_ca=stranger.pem", *mine).line("its certificate is not to be trusted")
        run(bar, broker, "--mqtt_tls_ca=ca.pem", named).line("see --mqtt_tls_certificate; trying on")
        run(bar, broker, "--mqtt_tls").line("see --mqtt_tls_ca; trying on")
        run(bar, broker).line("it speaks TLS there, perhaps: see --mqtt_tls; trying on")
        run(bar, broker, "--mqtt_tls_ca=ca.pem", *mine).line("name it so in --mqtt_address; trying on")
        assert trusting.end() == 0


@needs_mosquitto
def test_tls_to_a_port_without_it_is_told(bar: Bar, tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        run(bar, broker, "--mqtt_tls").line("it speaks no TLS there, perhaps: see --mqtt_address")


@needs_mosquitto
@needs_passwords
def test_a_topic_that_the_access_list_refuses_is_named(bar: Bar, tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read #\n")
    (tmp_path / "acl").chmod(0o644)
    with Mosquitto(tmp_path, f"acl_file {tmp_path}/acl") as broker:
        run(bar, broker).line("does not take what we publish to kegbot/core/availability: Not authorized")


@needs_mosquitto
def test_without_tls_no_openssl_is_in_memory_and_that_stays_below_25_mb(bar: Bar, tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        for role in ("core", "boards"):
            program = bar.run(
                "mqtt_bridge.py", f"--mqtt_role={role}", f"--mqtt_state={role}.sqlite", "--mqtt_name=a",
                f"--kb_core_addr=localhost:{free_port()}", f"--kb_core_bind_addr=localhost:{free_port()}",
                f"--mqtt_address=localhost:{broker.port}",
            )  # fmt: skip
            program.line("connected to the broker")
            proc = Path(f"/proc/{program.process.pid}")
            assert "libcrypto" not in (proc / "maps").read_text()
            assert int((proc / "status").read_text().partition("VmHWM:")[2].split()[0]) < 25 * 1024  # KiB
            assert program.end() == 0
        with Listener(broker.port, "kegbot/#") as listener:
            listener.until(lambda: listener.retained.get("kegbot/machines/a/availability") == b"offline")
