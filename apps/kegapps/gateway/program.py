"""Lets today's network Kegboards, which speak HTTP, pour into the core beside the serial ones.

  (nothing)       serve: boards POST to http://HOST:PORT/api/kegboard-event
  devices         the boards that came so far, their meters and what is to be done about them (--json)
  allow DEVICE    let a board in: it fetches its token when it comes next
  deny DEVICE     send it away; it asks again after its next start
  revoke DEVICE   its token is void: it has to be allowed again
  forget DEVICE   as if it had never come; what it poured stays counted

The words work while the gateway runs. Boards are in the network: --gateway_bind_addr=0.0.0.0:9806 listens there.
Example: kegboard_gateway.py allow kegboard-a1b2c3
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from absl import flags

from kegapps.daemon import runner
from kegapps.daemon.boot import boot_id
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.service import Service
from kegapps.daemon.state_path import state_path
from kegapps.daemon.streams import printable
from kegapps.gateway.gateway import Gateway
from kegapps.gateway.records import Device, Meter
from kegapps.gateway.server import HttpServer, ServerLimits
from kegapps.gateway.store import Store, StoreError
from kegapps.kegnet.address import is_loopback, parse_address, shown_address
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.kegnet.sockets import why

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "gateway_bind_addr",
    "localhost:9806",
    "Where to listen for boards: host:port, or a port alone. 0.0.0.0:9806 is every network of this machine; what "
    "travels there is plain HTTP, so let it be a network that you trust.",
)
flags.DEFINE_string(
    "gateway_store",
    "",
    "The SQLite file that keeps boards and what they poured. Empty: gateway.sqlite beside the core's store.",
)
flags.DEFINE_float(
    "gateway_ml_per_tick",
    0.185,
    "mL per tick of a board that tells a pour's volume, but neither its ticks nor its calibration. The default is "
    "that of a Kegboard.",
    lower_bound=1e-6,
    upper_bound=999.0,
)
flags.DEFINE_float(
    "token_wait_s",
    0.3,
    "How long the answer to a token waits for the core to let its owner in, in seconds, before it is a refusal. A "
    "board waits 5 s. Where a Kegbot Server has to be asked about tokens, 1 or 2 may be right.",
    lower_bound=0.0,
    upper_bound=4.0,
)
flags.DEFINE_integer(
    "gateway_per_host",
    ServerLimits().max_connections_of_one,
    "So many connections one address may have. Behind a proxy all boards have the proxy's: as many as there are boards "
    "is right then.",
    lower_bound=1,
    upper_bound=ServerLimits().max_connections,
)
flags.DEFINE_boolean("json", False, "devices: print JSON.")

log = logging.getLogger("gateway")


def _allow(store: Store, device: Device) -> str:
    # A token that is in use holds until the board fetches another: nobody who only uses its name ends its service.
    store.set_state(device.device, "allowed", fresh=True, keep_token=device.state == "allowed")
    return f"{device.device} is allowed: it fetches its token when it comes next"


def _deny(store: Store, device: Device) -> str:
    store.set_state(device.device, "denied")
    return f"{device.device} is denied"


def _revoke(store: Store, device: Device) -> str:
    store.set_state(device.device, "pending")
    return f"the token of {device.device} is void; it waits to be allowed"


def _forget(store: Store, device: Device) -> str:
    store.forget(device.device)
    return f"{device.device} is forgotten"


EDITS: Final[dict[str, Callable[[Store, Device], str]]] = {
    "allow": _allow,
    "deny": _deny,
    "revoke": _revoke,
    "forget": _forget,
}


def main(argv: Sequence[str]) -> int:
    """The program; returns its exit status."""
    does_job = any(word == "devices" or word in EDITS for word in argv[1:] if not word.startswith("-"))
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, job=does_job, max_positional=2)


def serve(service: Service) -> int | None:
    """Serve, or do what the words say. Raises UsageError and StartError."""
    words = service.positional
    if words and words[0] != "devices" and words[0] not in EDITS:
        raise UsageError(f"{words[0]}: expected devices, {', '.join(EDITS)}, or nothing")
    if words and len(words) != (1 if words[0] == "devices" else 2):
        raise UsageError(f"{words[0]}: expected {'no more words' if words[0] == 'devices' else 'DEVICE'}")
    path = (
        service.path(FLAGS.gateway_store)
        if FLAGS.gateway_store
        else state_path("gateway.sqlite", flag="gateway_store")
    )
    try:
        store = Store(path, create=not words)
        try:
            if words:
                return _do(store, words)
            _serve(service, store)
            return None
        finally:
            store.close()
    except StoreError as error:
        raise StartError(str(error)) from None


def _do(store: Store, words: list[str]) -> int:
    if words == ["devices"]:
        _print_devices(store)
        return 0
    verb, name = words
    device = store.device(name)
    if device is None:
        known = ", ".join(known.device for known in store.devices()[:8])
        raise StartError(printable(f"{name}: no such board; there is {known or 'none yet'}"))
    done = EDITS[verb](store, device)
    store.commit()
    print(printable(done))
    return 0


def _serve(service: Service, store: Store) -> None:
    core = core_address()
    try:
        host, port = parse_address(FLAGS.gateway_bind_addr)
    except ValueError as error:
        raise UsageError(f"--gateway_bind_addr={error}") from None
    token = kegnet_token(service.path)
    store.own()
    gateway: Gateway | None = None
    server: HttpServer | None = None

    def status() -> str:
        if gateway is None or server is None:
            return ""
        away = (
            ""
            if gateway.core.connected
            else f"; core not reached at {shown_address(*gateway.core.client.address)}"
        )
        return f"{gateway.status}, at {shown_address(*server.address)}{away}"

    def show() -> None:
        if server is not None:
            service.status(status())

    gateway = Gateway(
        service,
        store,
        core,
        token=token,
        default_ml_per_tick=FLAGS.gateway_ml_per_tick,
        decision_s=FLAGS.token_wait_s,
        # Unknown: nothing of an earlier run is measured by the monotonic clock.
        boot=boot_id() or f"run-{time.time()}",
        on_change=show,
    )
    try:
        server = HttpServer(
            service.loop,
            ("127.0.0.1" if host == "localhost" else host, port),
            gateway.handle,
            limits=ServerLimits(max_connections_of_one=FLAGS.gateway_per_host),
            is_known=gateway.is_known,
        )
    except OSError as error:
        gateway.close()
        raise StartError(f"--gateway_bind_addr={FLAGS.gateway_bind_addr}: {why(error)}") from None
    if not is_loopback(server.address[0]):
        log.warning(
            "boards in the network send their tokens in plain text to %s", shown_address(*server.address)
        )
    log.info("Listening for boards on %s", shown_address(*server.address))
    service.ready(status())
    service.loop.run()
    server.close()
    gateway.close()


def _print_devices(store: Store) -> None:
    meters = list(store.meters().values())
    devices = store.devices()
    if FLAGS.json:
        rows = [_row(device, [m for m in meters if m.device == device.device]) for device in devices]
        print(json.dumps(rows, indent=2))
        return
    if not devices:
        print("no boards yet: point one at http://THIS-MACHINE:9806/api/kegboard-event")
    for device in devices:
        print(printable(_line(device)))
        for meter in meters:
            if meter.device == device.device:
                print("  " + printable(_meter_line(meter)))


def _row(device: Device, meters: list[Meter]) -> dict[str, Any]:
    row = {name: value for name, value in asdict(device).items() if name not in ("token_hash", "fresh")}
    row["state"] = _state(device)
    row["meters"] = [
        {
            "name": meter.meter,
            "ticks": meter.position,
            "ticks_in_core": meter.told,
            "ml_per_tick": meter.ml_per_tick,
            "core_ml_per_tick": meter.core_ml_per_tick,
        }
        for meter in meters
    ]
    return row


def _state(device: Device) -> str:
    if device.state == "allowed" and device.fresh:
        return "allowed, to fetch its token"
    if device.state == "allowed" and device.asks_unix_s is not None:
        return "allowed, but one of its name asks for a token"
    return device.state


def _line(device: Device) -> str:
    ago_s = max(0, round(time.time() - device.heard_unix_s))
    parts = [f"{device.device}: {_state(device)}", f"heard {ago_s} s ago from {device.host}"]
    if device.board_name != device.device:
        parts.append(f"called {device.board_name} in the core")
    if device.fw_version:
        parts.append(f"firmware {device.fw_version}")
    if device.events_dropped:
        parts.append(f"events that it lost: {device.events_dropped}")
    if device.events_malformed:
        parts.append(f"malformed events: {device.events_malformed}")
    return ", ".join(parts)


def _meter_line(meter: Meter) -> str:
    text = f"{meter.meter}: {meter.position} ticks, {meter.position - meter.told} of them not known to be in the core"
    if meter.ml_per_tick is not None:
        text += f"; {meter.ml_per_tick:.4g} mL per tick"
        if meter.core_ml_per_tick is not None and abs(meter.ml_per_tick - meter.core_ml_per_tick) > 1e-9:
            text += f", in the core {meter.core_ml_per_tick:.4g}"
    return text
