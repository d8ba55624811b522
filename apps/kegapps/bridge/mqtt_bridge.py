"""Joins machines by MQTT: the tap room to whoever wants to know, and boards on other machines to the core.

With --mqtt_role=core, beside the core, it publishes taps, pours, drinks, temperatures, valves and boards, tells Home
Assistant of them, and passes on to the core what machines with boards say. With --mqtt_role=boards, on a machine with
boards, it stands in for the core: kegboard_daemon and other apps there talk to it, and what they say is kept on the
disk until the real core has stored it. Nothing from MQTT opens a valve but the core's own orders, and these only if the
bridges of both machines have the same --mqtt_secret_file.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from kegapps.bridge.mqtt_library import paho
from kegapps.bridge.mqtt_settings import Broker, broker, secret
from kegapps.bridge.mqtt_spool import Spool, default_path
from kegapps.bridge.mqtt_tls import context
from kegapps.bridge.mqtt_topics import Topics, is_name, is_prefix
from kegapps.daemon import runner
from kegapps.kegnet.address import DEFAULT_ADDRESS, parse_address, shown_address
from kegapps.kegnet.flags import core_address, kegnet_token

if TYPE_CHECKING:
    from kegapps.bridge.mqtt_boards import BoardsBridge
    from kegapps.bridge.mqtt_core import CoreBridge

FLAGS = flags.FLAGS

flags.DEFINE_enum(
    "mqtt_role",
    "core",
    ["core", "boards"],
    "core: on the machine of the core. boards: on a machine with boards only.",
)
flags.DEFINE_string(
    "mqtt_prefix", "kegbot", "All topics begin with it. Another one for each kegerator on a broker."
)
flags.DEFINE_string(
    "mqtt_name",
    "",
    "With --mqtt_role=boards: the name of this machine, another one for each. Empty: its host name.",
)
flags.DEFINE_list(
    "mqtt_machines",
    [],
    "With --mqtt_role=core: the only machines that may pass on what their boards say, separated by commas. Empty: all "
    "that have the secret of --mqtt_secret_file; without one, all that the broker lets write.",
)
flags.DEFINE_string(
    "mqtt_state",
    "",
    "The file for what must not be forgotten. Empty: $XDG_STATE_HOME/kegbot/mqtt_bridge.sqlite, or "
    "/var/lib/kegbot/mqtt_bridge.sqlite for root.",
)
flags.DEFINE_string(
    "kb_core_bind_addr",
    DEFAULT_ADDRESS,
    "With --mqtt_role=boards: where to listen for the apps of this machine, in place of a core.",
)
flags.DEFINE_boolean("homeassistant", True, "With --mqtt_role=core: tell Home Assistant of all there is.")
flags.DEFINE_string("homeassistant_prefix", "homeassistant", "Where Home Assistant looks for that.")


def main(argv: Sequence[str]) -> int:
    """The program; returns its exit status."""
    return runner.main(_serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)


def _serve(service: runner.Service) -> None:
    for flag in ("mqtt_prefix", "homeassistant_prefix"):
        if not is_prefix(str(FLAGS[flag].value)):
            raise runner.UsageError(
                f"--{flag}={FLAGS[flag].value}: expected letters, digits, - and _, in parts joined by /"
            )
    where = broker(service.path)
    library = paho(tls=where.tls is not None)
    if where.tls is not None:
        context(where.tls)  # what is wrong with its files is better told now than at each attempt
    make = _core if FLAGS.mqtt_role == "core" else _boards
    bridge = make(service, where, library)
    bridge.start()
    service.ready(bridge.status)
    service.loop.run()
    bridge.close()


def _spool(service: runner.Service) -> Spool:
    return Spool(service.path(FLAGS.mqtt_state) if FLAGS.mqtt_state else default_path())


def _core(service: runner.Service, where: Broker, library: Any) -> CoreBridge | BoardsBridge:
    from kegapps.bridge.mqtt_core import CoreBridge

    for name in FLAGS.mqtt_machines:
        if not is_name(name):
            raise runner.UsageError(f"--mqtt_machines: {name!r}: expected letters, digits, - and _")
    return CoreBridge(
        service,
        broker=where,
        library=library,
        topics=Topics(prefix=FLAGS.mqtt_prefix),
        machines=FLAGS.mqtt_machines,
        homeassistant_prefix=FLAGS.homeassistant_prefix if FLAGS.homeassistant else "",
        spool=_spool(service),
        core=core_address(),
        token=kegnet_token(service.path),
        secret=secret(service.path),
    )


def _boards(service: runner.Service, where: Broker, library: Any) -> CoreBridge | BoardsBridge:
    from kegapps.bridge.mqtt_boards import BoardsBridge

    name = FLAGS.mqtt_name or re.sub(r"[^A-Za-z0-9_-]", "-", os.uname().nodename)[:64]
    if not is_name(name):
        raise runner.UsageError(f"--mqtt_name={name}: expected up to 64 letters, digits, - and _")
    try:
        host, port = parse_address(FLAGS.kb_core_bind_addr)
    except ValueError as error:
        raise runner.UsageError(f"--kb_core_bind_addr={error}") from None
    try:
        return BoardsBridge(
            service,
            broker=where,
            library=library,
            topics=Topics(prefix=FLAGS.mqtt_prefix),
            name=name,
            spool=_spool(service),
            address=(host, port),
            token=kegnet_token(service.path),
            secret=secret(service.path),
        )
    except OSError as error:
        hint = ""
        if error.errno == errno.EADDRINUSE:
            hint = "; a core runs here, perhaps: then this is no machine for --mqtt_role=boards"
        raise runner.StartError(
            f"--kb_core_bind_addr: cannot listen on {shown_address(host, port)}: {error.strerror or error}{hint}"
        ) from None
