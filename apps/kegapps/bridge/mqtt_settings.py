"""How the broker is reached, and who we are to it: flags made into one record.

Knows absl.flags, the notation of addresses, and files with passwords. Must not know connections.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from absl import flags

from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.secret_file import FileError, check_private, read_plain
from kegapps.kegnet.token_file import TokenFileError, read_token

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "mqtt_address",
    "localhost",
    "The broker: host, or host:port. The port is 1883 unless named, 8883 with --mqtt_tls.",
)
flags.DEFINE_string("mqtt_user", "", "User by which the broker knows us. Empty: none.")
flags.DEFINE_string(
    "mqtt_password_file", "", "A file of mode 0600 with the password on one line. Read once, at the start."
)
flags.DEFINE_boolean(
    "mqtt_tls",
    False,
    "Encrypt, and refuse a broker whose certificate is not for its name in --mqtt_address, or not by an authority "
    "that is trusted.",
)
flags.DEFINE_string(
    "mqtt_tls_ca",
    "",
    "PEM file with the authority to trust. Empty: those that the system trusts. Implies --mqtt_tls.",
)
flags.DEFINE_string(
    "mqtt_tls_certificate",
    "",
    "PEM file with our own certificate, if the broker wants one. Implies --mqtt_tls.",
)
flags.DEFINE_string("mqtt_tls_key", "", "PEM file of mode 0600 with the key of --mqtt_tls_certificate.")

flags.DEFINE_string(
    "mqtt_secret_file",
    "",
    "A file of mode 0600 with a secret on one line, the same one on all machines: openssl rand -hex 32. Nobody else at "
    "the broker can then speak for a machine with boards, or for the core. Empty: no order opens a valve there.",
)

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9]+)?")
_MAX_PASSWORD_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What to trust (the system's authorities if `ca` is empty), and how to show who we are."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where it is, who we are, and whether the line is encrypted."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Tls | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def broker(absolute: Callable[[str], str]) -> Broker:
    """What the flags say; `absolute` makes paths one. Raises UsageError, and StartError for files."""
    tls = _tls(absolute)
    try:
        host, port = parse_broker(FLAGS.mqtt_address, 8883 if tls else 1883)
    except ValueError as error:
        raise UsageError(f"--mqtt_address={error}") from None
    password = ""
    if FLAGS.mqtt_password_file:
        if not FLAGS.mqtt_user:
            raise UsageError("--mqtt_password_file without --mqtt_user: whose password is it?")
        path = absolute(FLAGS.mqtt_password_file)
        lines = _secret("mqtt_password_file", path).rstrip("\r\n").splitlines()
        if len(lines) != 1:
            raise StartError(f"--mqtt_password_file: {path}: expected the password on one line")
        password = lines[0]
    return Broker(host=host, port=port, user=FLAGS.mqtt_user, password=password, tls=tls)


def secret(absolute: Callable[[str], str]) -> str:
    """What the bridges of all machines know, "" if none is wanted; `absolute` makes the path one. Raises StartError."""
    if not FLAGS.mqtt_secret_file:
        return ""
    try:
        return read_token(absolute(FLAGS.mqtt_secret_file))
    except TokenFileError as error:
        raise StartError(f"--mqtt_secret_file: {error}") from None


def parse_broker(text: str, default_port: int) -> tuple[str, int]:
    """(host, port) of `host`, `host:port`, `[IPv6]` or `[IPv6]:port`. Raises ValueError for a person."""
    wrong = f"{text!r} is no address: expected host or host:port, such as broker.local or 192.168.1.5:1883"
    host, port = text.strip(), ""
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(wrong)
        port = rest[1:] if rest else str(default_port)
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    else:
        port = str(default_port)
    if not port.isascii() or not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 65536:
        raise ValueError(wrong)
    if not _HOST.fullmatch(host):
        raise ValueError(wrong)
    return host, int(port)


def _tls(absolute: Callable[[str], str]) -> Tls | None:
    paths = {}
    for name in ("mqtt_tls_ca", "mqtt_tls_certificate", "mqtt_tls_key"):
        value = FLAGS[name].value
        paths[name] = absolute(value) if value else ""
        if value and not (os.path.isfile(paths[name]) and os.access(paths[name], os.R_OK)):
            raise StartError(f"--{name}={value}: no readable file")
    if bool(paths["mqtt_tls_certificate"]) != bool(paths["mqtt_tls_key"]):
        raise UsageError("--mqtt_tls_certificate and --mqtt_tls_key belong together: name both or none")
    if paths["mqtt_tls_key"]:
        try:
            check_private(paths["mqtt_tls_key"], os.stat(paths["mqtt_tls_key"]))
        except FileError as error:
            raise StartError(f"--mqtt_tls_key: {error}") from None
    if not FLAGS.mqtt_tls and not any(paths.values()):
        return None
    return Tls(ca=paths["mqtt_tls_ca"], certificate=paths["mqtt_tls_certificate"], key=paths["mqtt_tls_key"])


def _secret(flag: str, path: str) -> str:
    try:
        text, found = read_plain(path, _MAX_PASSWORD_BYTES + 1)
        check_private(path, found)
    except FileError as error:
        raise StartError(f"--{flag}: {error}") from None
    if len(text) > _MAX_PASSWORD_BYTES:
        raise StartError(f"--{flag}: {path}: longer than {_MAX_PASSWORD_BYTES} bytes")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise StartError(f"--{flag}: {path}: not UTF-8") from None
