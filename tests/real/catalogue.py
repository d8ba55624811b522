"""The real programs: which example and section, what they need to be there, and the files they want to find.

Knows the programs. Must not know the launcher: `rounds` runs them under it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
Ports = Mapping[int, int]
"""The ports as the example names them, and those that they have in this run."""

HELLO_WSGI = """def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "6")])
    return [b"hello\\n"]
"""
HELLO_JS = (
    'require("http").createServer((q, r) => r.end("hello\\n")).listen(process.env.PORT, "127.0.0.1");\n'
)
BROKER = """[broker]
bootstrap.servers = $KAFKA_BOOTSTRAP_SERVERS

[producer]
key.serializer = StringSerializer
value.serializer = DataFileChunkSerializer
"""
MOCK_BROKER = """import signal
from confluent_kafka import Producer
producer = Producer({"test.mock.num.brokers": 1})  # the brokers live as long as it does
brokers = producer.list_topics(timeout=20).brokers.values()
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
signal.pause()
"""
# cron looks into the machine's own tables, whose jobs must not run a second time: it sees empty ones instead.
PRIVATE_CRON = """#!/bin/sh
exec unshare --mount -- sh -ec '
for place in /run /var/spool/cron /etc/cron.d; do mount -t tmpfs none $place; done
mkdir /var/spool/cron/crontabs
mount --bind /dev/null /etc/crontab
exec cron "$@"' sh "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Virtualenv:
    """`packages` in a virtualenv of Python `python`, which the example calls /opt/`name`."""

    name: str
    packages: tuple[str, ...]
    python: str = ""
    """Major and minor version, or a path; empty: the one that runs this."""
    fresh: bool = False
    """Its packages may change from run to run: they are installed anew each time."""

    def interpreter(self) -> str:
        """A Python of that version; empty if there is none."""
        if not self.python:
            return sys.executable
        if self.python.startswith("/"):
            return self.python if os.access(self.python, os.X_OK) else ""
        if found := shutil.which(f"python{self.python}"):
            version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
            if f" {self.python}." in version.stdout:
                return found
        root = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
        return next((str(path) for path in root.glob(f"versions/{self.python}.*/bin/python")), "")


@dataclass(frozen=True, kw_only=True)
class Program:
    """One section of one example."""

    section: str
    example: str
    ports: tuple[int, ...] = ()
    binary: str = ""
    """The program that must be on this machine; empty: it comes with `virtualenv`."""
    package: str = ""
    """Debian's package of it."""
    virtualenv: Virtualenv | None = None
    prepare: Callable[[Path, Ports], None] = lambda _root, _ports: None
    """Make the files that it wants below a root of our own, where the example says /etc, /var, /run, /srv, /opt."""
    replace: tuple[tuple[str, str], ...] = ()
    """Further texts of the example, and what they are here."""
    beside: str = ""
    """Python run in the virtualenv as long as the program is: prints one line, the brokers' address."""
    root_only: bool = False
    says: str = ""
    """What it prints each time it has come up, if its example has no `_ready`."""
    ends: str = ""
    """It ends by itself, and well, for this reason; empty: it stays."""
    hangs: str = ""
    """Here it is only stopped, since it does not end when it is told so, in this case."""


def installed(binary: str) -> str | None:
    """Where the program is, root's folders included."""
    return shutil.which(binary, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")


def _nginx(root: Path, ports: Ports) -> None:
    (root / "etc/nginx").mkdir(parents=True)
    temporary = "".join(
        f"  {name}_temp_path {root}/var/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (root / "etc/nginx/nginx.conf").write_text(
        f"pid {root}/run/nginx.pid;\nworker_processes 2;\nerror_log stderr;\nevents {{}}\nhttp {{\n  access_log off;\n"
        f"{temporary}  server {{ listen 127.0.0.1:{ports[80]}; return 200 hello; }}\n}}\n"
    )


def _mosquitto(root: Path, ports: Ports) -> None:
    (root / "etc/mosquitto").mkdir(parents=True)
    user = "user root\n" if os.geteuid() == 0 else ""
    (root / "etc/mosquitto/mosquitto.conf").write_text(
        f"{user}listener {ports[1883]} 127.0.0.1\nallow_anonymous true\npid_file {root}/run/mosquitto.pid\n"
    )


def _redis(root: Path, ports: Ports) -> None:
    (root / "var/lib/redis").mkdir(parents=True)


def _hello(root: Path, ports: Ports) -> None:
    (root / "srv/hello").mkdir(parents=True)
    (root / "srv/hello/hello.py").write_text(HELLO_WSGI)
    (root / "srv/hello/server.js").write_text(HELLO_JS)


def _cron(root: Path, ports: Ports) -> None:
    (root / "srv").mkdir()
    (root / "srv/cron").write_text(PRIVATE_CRON)
    (root / "srv/cron").chmod(0o755)


def _pyrolab(root: Path, ports: Ports) -> None:
    (root / "var/lib/pyrolab").mkdir(parents=True)
    (root / "var/lib/pyrolab/user_configuration.yaml").write_text(
        'version: "1.0"\n'
        f"nameservers:\n  lab: {{host: localhost, ns_port: {ports[9090]}, broadcast: false}}\n"
        "autolaunch:\n  nameservers: [lab]\n"
    )


def bots_home(virtualenv: Path, home: Path, called: str, ports: Ports, *, watches: bool = True) -> None:
    """Make the folder that Bots works in from what its package brings; `called` is its path as Bots will see it."""
    for folder in ("config", "botssys/sqlitedb", "incoming"):
        (home / folder).mkdir(parents=True)
    packaged = next(virtualenv.glob("lib/python*/site-packages/bots/install"))
    shutil.copy(packaged / "botsdb", home / "botssys/sqlitedb/botsdb")
    settings = (packaged / "settings.py").read_text()
    (home / "config/__init__.py").touch()
    (home / "config/settings.py").write_text(
        settings.replace("os.path.join(PROJECT_PATH, BOTSSYS)", repr(f"{called}/botssys"))
    )
    # Theirs watches two directories that are not there.
    head, _, rest = (packaged / "bots.ini").read_text().partition("\n[dirmonitor]\n")
    _, _, tail = rest.partition("\n[directories]\n")
    before_queue, _, queue = head.partition("\n[jobqueue]\n")
    (home / "config/bots.ini").write_text(
        before_queue.replace("port = 8080", f"port = {ports[8080]}")
        + "\n[jobqueue]\n"
        + queue.replace("enabled = False", "enabled = True").replace("28082", str(ports[28082]))
        + "\n[dirmonitor]\n"
        + (f"[dirmonitor1]\npath = {called}/incoming\nroute = orders\n" if watches else "")
        + "\n[directories]\n"
        + tail.replace("botssys = botssys", f"botssys = {called}/botssys")
    )


def _bots(root: Path, ports: Ports, *, watches: bool = True) -> None:
    home = root / "var/lib/bots"
    bots_home(root / "opt/bots", home, str(home), ports, watches=watches)


def _bots_without_watch(root: Path, ports: Ports) -> None:
    """A directory monitor without a directory."""
    _bots(root, ports, watches=False)


def _openmsistream(root: Path, ports: Ports) -> None:
    for folder in ("etc/openmsistream", "var/log/openmsistream", "srv/data"):
        (root / folder).mkdir(parents=True)
    (root / "etc/openmsistream/broker.config").write_text(BROKER)


PYROLAB = Virtualenv(name="pyrolab", packages=("pyrolab==0.5.0",), python="3.11")
BOTS = Virtualenv(name="bots", packages=("bots-ediint==3.3.1", "django<3"), python="3.8")
OPENMSISTREAM = Virtualenv(name="openmsistream", packages=("openmsistream==1.8.8",), python="3.11")
_HELLO = Virtualenv(name="hello", packages=("gunicorn",))

PROGRAMS = (
    Program(section="redis", example="redis", binary="redis-server", package="redis-server", ports=(6379,), prepare=_redis),
    Program(section="redis-daemon", example="redis", binary="redis-server", package="redis-server", ports=(6379,),
            prepare=_redis),
    Program(section="nginx", example="nginx", binary="nginx", package="nginx-light", ports=(80,), prepare=_nginx),
    Program(section="nginx-daemon", example="nginx", binary="nginx", package="nginx-light", ports=(80,), prepare=_nginx),
    Program(section="mosquitto", example="mosquitto", binary="mosquitto", package="mosquitto", ports=(1883,),
            prepare=_mosquitto),
    Program(section="mosquitto-daemon", example="mosquitto", binary="mosquitto", package="mosquitto", ports=(1883,),
            prepare=_mosquitto),
    Program(section="hello", example="node", binary="node", package="nodejs", ports=(3000,), prepare=_hello),
    Program(section="cron", example="cron", binary="cron", package="cron", prepare=_cron, root_only=True,
            replace=(("= cron -f", "= /srv/cron -f"),)),
    Program(section="gunicorn", example="gunicorn", virtualenv=_HELLO, ports=(8000,), prepare=_hello),
    Program(section="gunicorn-daemon", example="gunicorn", virtualenv=_HELLO, ports=(8000,), prepare=_hello),
    Program(section="pyro5-nameserver", example="pyrolab", virtualenv=PYROLAB, ports=(9090,)),
    Program(section="pyrolab", example="pyrolab", virtualenv=PYROLAB, ports=(9777, 9090), prepare=_pyrolab),
    Program(section="bots-webserver", example="bots", virtualenv=BOTS, ports=(8080, 28082), prepare=_bots),
    Program(section="bots-jobqueueserver", example="bots", virtualenv=BOTS, ports=(28082, 8080), prepare=_bots),
    Program(section="bots-dirmonitor", example="bots", virtualenv=BOTS, ports=(8080, 28082), prepare=_bots, says="Bots dirmonitor configdir"),
    Program(section="bots-jobqueueserver", example="bots", virtualenv=BOTS, ports=(28082, 8080), prepare=_bots,
            replace=(("_ready = tcp://127.0.0.1:28082", "_ready = tcp://127.0.0.1:28082\n_kill_signal = INT\n_timeout_stop_sec = 2"),),
            hangs="on INT"),
    Program(section="bots-dirmonitor", example="bots", virtualenv=BOTS, ports=(8080, 28082), prepare=_bots_without_watch,
            ends="nothing to watch"),
    Program(section="upload", example="openmsistream", virtualenv=OPENMSISTREAM, prepare=_openmsistream,
            beside=MOCK_BROKER, says="Listening for files"),
)  # fmt: skip
"""In the order in which they are run; the light ones first."""
