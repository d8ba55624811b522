"""The core of a kegerator: counts what the flow meters tell, and keeps it.

Apps (a board daemon, displays, token readers) connect to it by kegnet. Every tick is on the disk before it is
announced: a crash or a power cut loses none. See what is stored with kegbot_admin.py.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from absl import flags

from kegapps.core.database import StoreError, default_path
from kegapps.core.outbox import server_key
from kegapps.core.rules import Rules
from kegapps.core.server_flags import ServerSettings, server_by_flags
from kegapps.core.server_link import ServerLink
from kegapps.core.shell import Core
from kegapps.core.store import Store
from kegapps.daemon import runner
from kegapps.daemon.boot import boot_id
from kegapps.daemon.errors import UsageError
from kegapps.kegnet.address import DEFAULT_ADDRESS, is_loopback, parse_address, shown_address
from kegapps.kegnet.hub import Hub
from kegapps.kegnet.sockets import why
from kegapps.kegnet.token_flag import kegnet_token

FLAGS = flags.FLAGS
DEFAULTS = Rules()

flags.DEFINE_string(
    "kb_core_bind_addr",
    DEFAULT_ADDRESS,
    "Where to listen for apps: host:port, or a port alone. Without --kegnet_token_file the host must be localhost "
    "or another address that only this machine can reach: whoever connects can pour and open valves.",
)
flags.DEFINE_string(
    "store",
    "",
    "The SQLite file that keeps everything. Empty: $XDG_STATE_HOME/kegbot/kegbot.sqlite or "
    "~/.local/state/kegbot/kegbot.sqlite; as root /var/lib/kegbot/kegbot.sqlite.",
)


def _number(name: str, default: float, text: str, *, low: float = 0.0, high: float = 1e9) -> None:
    flags.DEFINE_float(name, default, text, lower_bound=low, upper_bound=high)


_number(
    "default_ml_per_tick",
    DEFAULTS.default_ml_per_tick,
    "mL per tick of a meter that is seen for the first time. The default is 1000/2200.",
    low=1e-6,
    high=999.0,
)
_number(
    "max_step_ml",
    DEFAULTS.max_step_ml,
    "A reading that is more than so many mL from the one before is not believed.",
)
_number(
    "max_flow_ml_per_s",
    DEFAULTS.max_flow_ml_per_s,
    "After the core or a board daemon was away, so many mL per second of that time are believed as well.",
)
_number("max_catch_up_ml", DEFAULTS.max_catch_up_ml, "The most that is believed after such a time, in mL.")
_number("min_drink_ml", DEFAULTS.min_drink_ml, "A flow of no more than so many mL is no drink.")
_number(
    "idle_timeout_s",
    DEFAULTS.idle_timeout_s,
    "End a flow that had no ticks for more than so many seconds: flows of nobody in particular, and by tokens "
    "of devices that have no flag of their own.",
)
_number("rfid_idle_timeout_s", DEFAULTS.rfid_idle_timeout_s, "The same for flows by a token of core.rfid.")
_number(
    "onewire_idle_timeout_s",
    DEFAULTS.onewire_idle_timeout_s,
    "The same for flows by a token of core.onewire, an iButton.",
)
flags.DEFINE_list(
    "noncaptive_devices",
    sorted(DEFAULTS.not_captive_devices),
    "Token devices whose tokens are only shown: taking the token away does not end the flow.",
)
_number(
    "relay_repeat_s",
    DEFAULTS.relay_repeat_s,
    "Repeat the order to keep a valve open every so many seconds; a Kegboard closes it after 10 s without.",
    low=0.1,
    high=3600.0,
)
_number(
    "temperature_min_c",
    DEFAULTS.temperature_min_c,
    "Temperatures below are not kept, in degrees C.",
    low=-273.15,
)
_number("temperature_max_c", DEFAULTS.temperature_max_c, "Temperatures above are not kept.", low=-273.15)
_number(
    "temperature_silence_s",
    DEFAULTS.temperature_silence_s,
    "Log it when a sensor has said nothing for so many seconds.",
    low=1.0,
)
flags.DEFINE_string(
    "guest_username",
    DEFAULTS.guest_username,
    "The name by which drinks of nobody in particular are announced.",
)
flags.DEFINE_integer("max_taps", DEFAULTS.max_taps, "Refuse further meters.", lower_bound=1, upper_bound=1000)
flags.DEFINE_integer(
    "max_sensors",
    DEFAULTS.max_sensors,
    "Refuse further temperature sensors.",
    lower_bound=1,
    upper_bound=1000,
)

_number(
    "token_cache_s",
    DEFAULTS.token_cache_s,
    "While the Kegbot Server cannot be asked, accept tokens that it knew for so many seconds; the default is 30 days.",
)

log = logging.getLogger("core")


def rules_by_flags() -> Rules:
    """The numbers as the command line gives them. Raises UsageError."""
    names = [name for name in Rules.__dataclass_fields__ if name not in ("not_captive_devices",)]
    values = {name: getattr(FLAGS, name) for name in names}
    if not values["guest_username"].isprintable() or not 0 < len(values["guest_username"]) <= 64:
        raise UsageError("--guest_username: expected 1 to 64 printable characters")
    if values["temperature_min_c"] > values["temperature_max_c"]:
        raise UsageError("--temperature_min_c is above --temperature_max_c")
    return Rules(not_captive_devices=frozenset(filter(None, FLAGS.noncaptive_devices)), **values)


def address_by_flags() -> tuple[str, int]:
    """Where to listen. Raises UsageError; without a token also for an address that other machines could reach."""
    try:
        host, port = parse_address(FLAGS.kb_core_bind_addr)
    except ValueError as error:
        raise UsageError(f"--kb_core_bind_addr={error}") from None
    if not is_loopback(host) and not FLAGS.kegnet_token_file:
        raise UsageError(
            f"--kb_core_bind_addr={FLAGS.kb_core_bind_addr}: other machines could reach that, and whoever reaches "
            f"the core can pour and open valves; use {DEFAULT_ADDRESS}, or give --kegnet_token_file"
        )
    return host, port


def serve(service: runner.Service) -> int | None:
    """Open the store, listen, and serve until told to end."""
    rules, address, token = rules_by_flags(), address_by_flags(), kegnet_token(service.path)
    settings = server_by_flags(service.path)
    status = _Status(service)
    cores: list[Core] = []
    try:
        # First, for a second core must leave no trace. Nobody is served before the loop runs.
        hub = Hub(
            service.loop,
            address,
            on_event=lambda event, peer: cores[0].take(event, peer),
            on_gone=lambda peer: cores[0].leave(peer),
            token=token,
            confirms=True,
        )
    except OSError as error:
        raise runner.StartError(
            f"cannot listen on {shown_address(*address)}: {why(error)}; perhaps another kegbot_core "
            "runs: stop it, or choose another --kb_core_bind_addr"
        ) from None
    try:
        store = Store(
            service.path(FLAGS.store) if FLAGS.store else default_path(),
            boot_id=boot_id(),
            server_url=server_key(settings.url) if settings else "",
        )
        store.server_store().become_current()
        server = _server(service, store, settings, rules, status) if settings else None
        core = Core(service.loop, store, rules, on_trouble=status.of_store, server=server)
        _introduce(store, core, settings)
    except StoreError as error:
        hub.close()
        raise runner.StartError(str(error)) from None
    cores.append(core)
    core.serve(hub)
    shown = shown_address(*hub.address)
    log.info("Listening for apps on %s", shown)
    log.info("All threads started. (It is one thread: kegnet, flows and store take turns in it.)")
    service.ready(status.begin(f"listening on {shown}, store {store.path}"))
    service.loop.run()
    core.close()
    log.info("Ended. Flows under way stay open in the store.")
    return None


def main(argv: Sequence[str]) -> int:
    """Run kegbot_core; the exit status."""
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)


class _Status:
    """What the status line says: the store's trouble or else what is normal, and how the Kegbot Server is."""

    def __init__(self, service: runner.Service) -> None:
        self._service = service
        self._normal = "starting"
        self._trouble = ""
        self._server = ""

    def begin(self, normal: str) -> str:
        """From now on this is normal; the status line."""
        self._normal = normal
        return self._text()

    def of_store(self, trouble: str) -> None:
        self._trouble = trouble
        self._service.status(self._text())

    def of_server(self, text: str) -> None:
        self._server = text
        self._service.status(self._text(), logged=False)  # the log has more to say of it

    def _text(self) -> str:
        return "; ".join(filter(None, (self._trouble or self._normal, self._server)))


def _server(
    service: runner.Service, store: Store, settings: ServerSettings, rules: Rules, status: _Status
) -> ServerLink:
    return ServerLink(
        service.loop,
        store.server_store(),
        settings,
        usual_ml_per_tick=rules.default_ml_per_tick,
        on_status=status.of_server,
    )


def _introduce(store: Store, core: Core, settings: ServerSettings | None) -> None:
    log.info("Store is %s, drinks so far: %d", store.path, store.count_drinks())
    server = store.server_store()
    if settings is not None:
        log.info("Kegbot Server is %s, drinks to be sent: %d", settings.url, server.counts().total)
    if elsewhere := server.count_elsewhere():
        log.warning("Drinks that wait for another Kegbot Server: %d; see: kegbot_admin.py outbox", elsewhere)
    log.info("Taps found: %d (a meter becomes a tap when it is first heard)", len(core.taps))
    for tap in core.taps:
        relay = f", relay {tap.relay_name}" if tap.relay_name else ""
        log.info("Registering tap %s: %.4g mL per tick%s", tap.name, tap.ml_per_tick, relay)
    for flow in core.open_flows:
        owner = flow.username or "nobody in particular"
        log.info(
            "Flow %d on %s goes on: %d ticks so far, of %s", flow.flow_id, flow.tap_name, flow.ticks, owner
        )
