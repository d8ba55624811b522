"""Which kegerator is meant, and where each of its settings came from.

Knows flags, command lines and configurations as text. Must not know files, processes or the master's format.
Order: the doctor's own flags, the running programs' command lines, the apps of the configuration, defaults.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kegapps.kegnet.address import DEFAULT_ADDRESS, parse_address, shown_address
from kegapps.tools.doctor.facts import Process
from kegapps.tools.doctor.words import program_of, read_flags

CORE: Final = "kegbot_core"
DAEMON: Final = "kegboard_daemon"
OWN: Final = "the command line"
DEFAULT: Final = "the defaults"
AUTO: Final = "auto"
DEFAULT_DEVICE: Final = "/dev/ttyUSB0"
DEFAULT_NAME: Final = "kegboard"

_CORE_FLAGS: Final = (
    "kb_core_bind_addr", "store", "api_url", "api_key", "api_key_file", "kegnet_token_file",
)  # fmt: skip
_DAEMON_FLAGS: Final = ("kegboard_device", "kegboard_name", "kb_core_addr", "kegnet_token_file")
_ALL_ADDRESSES: Final = ("0.0.0.0", "::")
_PATHS: Final = frozenset({"store", "api_key_file", "kegnet_token_file", "kegboard_device"})
_VARIABLES: Final = {"api_url": "KEGBOT_API_URL", "api_key": "KEGBOT_API_KEY"}
SECRET: Final = frozenset({"api_key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value and who said so. What is secret is not shown."""

    value: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSettings:
    """One board: the device its daemon was given (a path, a glob or `auto`), its name, and the daemon's process."""

    device: Setting
    name: Setting
    core: Setting
    process: Process | None = None

    @property
    def is_default(self) -> bool:
        """Nobody named its device, and no daemon of it runs."""
        return self.process is None and self.device.origin == DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCore:
    """A core that runs and is not meant, and where it listens."""

    process: Process
    address: str

    def is_at(self, address: str) -> bool:
        """Whether it is the one who may be reached there."""
        return leads_to(address, self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One kegerator."""

    core: Setting
    store: Setting | None = None
    """None: the default of the user whose core it is."""
    boards: tuple[BoardSettings, ...] = ()
    other_boards: tuple[BoardSettings, ...] = ()
    """Boards of this core that are not looked at, because the person named a device that none of their daemons has."""
    api_url: Setting | None = None
    api_key: Setting | None = None
    api_key_file: Setting | None = None
    token_file: Setting | None = None
    key_is_public: bool = False
    """The key is on a command line, where every user of the machine can read it."""
    core_process: Process | None = None
    other_cores: tuple[OtherCore, ...] = ()
    """Cores that run and are not meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What a configuration says of one app, as a command line."""

    name: str
    argv: tuple[str, ...]


def address_of(text: str) -> str:
    """An address as all are compared and shown; what is none stays as it is."""
    try:
        return shown_address(*parse_address(text))
    except ValueError:
        return text


def leads_to(address: str, bound: str) -> bool:
    """Whether who connects to `address` may reach who listens on `bound`, perhaps on all addresses of the machine."""
    try:
        (host, port), (bound_host, bound_port) = parse_address(address), parse_address(bound)
    except ValueError:
        return address == bound
    return port == bound_port and (host == bound_host or bound_host in _ALL_ADDRESSES)


def choose(
    *,
    own: Mapping[str, str],
    processes: Sequence[Process],
    others: Sequence[Process] = (),
    apps: Sequence[App],
    config: str,
    flagfile: Callable[[str, str], str | None],
    config_is_meant: bool = False,
) -> Settings:
    """The kegerator that is meant: by the doctor's flags, else the one that runs, else the configured one.

    `own` holds only flags that were given. `others` are processes of other kegerators. `flagfile(path, folder)` reads a
    flagfile. `config_is_meant`: the person has named the configuration, so of what runs only its core is meant.
    """
    cores = [_Source.of_process(p, _CORE_FLAGS, flagfile) for p in processes if p.program == CORE]
    strange = [_Source.of_process(p, _CORE_FLAGS, flagfile) for p in others if p.program == CORE]
    configured = [_Source.of_app(app, config, _CORE_FLAGS, flagfile) for app in _apps(apps, CORE)]
    address = own.get("kb_core_addr")
    if address is None and config_is_meant and configured:
        address = configured[0].get("kb_core_bind_addr", DEFAULT_ADDRESS).value
    meant = [core for core in cores if _fits(core, address, own.get("store"))]
    core = _first_by_address(meant, address or DEFAULT_ADDRESS)
    sources = [_Source(values=own, origin=OWN), *([core] if core else configured[:1])]
    core_address = _core_address(own.get("kb_core_addr"), core, configured)
    # Of an address that somebody has chosen, daemons that look elsewhere are another kegerator's.
    boards = _boards(own, processes, apps, config, core_address, flagfile, strays=address is None)
    return Settings(
        core=core_address,
        store=_pick("store", sources),
        boards=boards,
        other_boards=_other_boards(own, processes, core_address, flagfile),
        api_url=_pick("api_url", sources),
        api_key=_pick("api_key", sources),
        api_key_file=_pick("api_key_file", sources),
        token_file=_pick("kegnet_token_file", sources),
        key_is_public=core is not None and core.process is not None and _has_key(core.process.argv),
        core_process=core.process if core else None,
        other_cores=tuple(
            OtherCore(
                process=c.process, address=address_of(c.values.get("kb_core_bind_addr", DEFAULT_ADDRESS))
            )
            for c in (*cores, *strange)
            if c is not core and c.process is not None
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Flags that somebody was given."""

    values: Mapping[str, str] = field(repr=False)
    origin: str
    process: Process | None = None

    @classmethod
    def of_process(
        cls, process: Process, wanted: Iterable[str], flagfile: Callable[[str, str], str | None]
    ) -> _Source:
        values = read_flags(process.argv[1:], wanted, lambda path: flagfile(path, process.folder))
        values = {flag: _absolute(flag, value, process.folder) for flag, value in values.items()}
        for flag, variable in _VARIABLES.items():
            given = flag in values or (flag == "api_key" and "api_key_file" in values)
            if flag in wanted and not given and process.environment.get(variable):
                values[flag] = process.environment[variable]
        return cls(values=values, origin=f"{process.program} (process {process.pid})", process=process)

    @classmethod
    def of_app(
        cls,
        app: App,
        config: str,
        wanted: Iterable[str],
        flagfile: Callable[[str, str], str | None],
    ) -> _Source:
        values = read_flags(app.argv[1:], wanted, lambda path: flagfile(path, ""))
        return cls(values=values, origin=f"{config} [{app.name}]")

    def get(self, flag: str, default: str) -> Setting:
        if flag in self.values:
            return Setting(value=self.values[flag], origin=self.origin)
        return Setting(value=default, origin=f"the defaults of {self.origin}")


def _apps(apps: Iterable[App], program: str) -> list[App]:
    return [app for app in apps if program_of(app.argv) == program]


def _fits(core: _Source, address: str | None, store: str | None) -> bool:
    if address is not None:
        return leads_to(address, core.values.get("kb_core_bind_addr", DEFAULT_ADDRESS))
    return store is None or core.values.get("store") == store


def _first_by_address(cores: Sequence[_Source], address: str) -> _Source | None:
    """Of several cores, the one at `address`, else the one that was started first."""

    def rank(core: _Source) -> tuple[bool, int]:
        bound = core.values.get("kb_core_bind_addr", DEFAULT_ADDRESS)
        return not leads_to(address, bound), core.process.pid if core.process else 0

    return min(cores, key=rank, default=None)


def _core_address(own: str | None, core: _Source | None, configured: Sequence[_Source]) -> Setting:
    if own is not None:
        return Setting(value=address_of(own), origin=OWN)
    for source in ([core] if core else configured)[:1]:
        setting = source.get("kb_core_bind_addr", DEFAULT_ADDRESS)
        return Setting(value=address_of(setting.value), origin=setting.origin)
    return Setting(value=address_of(DEFAULT_ADDRESS), origin=DEFAULT)


def _boards(
    own: Mapping[str, str],
    processes: Sequence[Process],
    apps: Sequence[App],
    config: str,
    core: Setting,
    flagfile: Callable[[str, str], str | None],
    *,
    strays: bool,
) -> tuple[BoardSettings, ...]:
    """The boards of this core; with `strays`, if there are none, those whose daemons look for another core."""
    running = [_Source.of_process(p, _DAEMON_FLAGS, flagfile) for p in processes if p.program == DAEMON]
    configured = [_Source.of_app(app, config, _DAEMON_FLAGS, flagfile) for app in _apps(apps, DAEMON)]
    found = [_board(source) for source in running]
    if "kegboard_device" in own:
        device = own["kegboard_device"]
        found = [board for board in found if board.device.value == device]
        setting = Setting(value=device, origin=OWN)
        default = BoardSettings(
            device=setting, name=Setting(value=DEFAULT_NAME, origin=DEFAULT), core=core, process=None
        )
        return tuple(found) or (default,)
    named = {board.device.value for board in map(_board, configured)}
    ours = [board for board in found if _is_at(board, core) or board.device.value in named]
    known = {board.device.value for board in ours}
    ours += [board for board in map(_board, configured) if board.device.value not in known]
    if not ours and strays:
        ours = found
    if not ours:
        ours = [
            BoardSettings(
                device=Setting(value=DEFAULT_DEVICE, origin=DEFAULT),
                name=Setting(value=DEFAULT_NAME, origin=DEFAULT),
                core=core,
            )
        ]
    return tuple(ours)


def _other_boards(
    own: Mapping[str, str],
    processes: Sequence[Process],
    core: Setting,
    flagfile: Callable[[str, str], str | None],
) -> tuple[BoardSettings, ...]:
    """The running boards of this core, if `own` names a device that none of them has."""
    running = [_Source.of_process(p, _DAEMON_FLAGS, flagfile) for p in processes if p.program == DAEMON]
    boards = [board for board in map(_board, running) if _is_at(board, core)]
    device = own.get("kegboard_device")
    if device is None or any(board.device.value == device for board in boards):
        return ()
    return tuple(boards)


def _is_at(board: BoardSettings, core: Setting) -> bool:
    return leads_to(board.core.value, core.value)


def _board(source: _Source) -> BoardSettings:
    core = source.get("kb_core_addr", DEFAULT_ADDRESS)
    return BoardSettings(
        device=source.get("kegboard_device", DEFAULT_DEVICE),
        name=source.get("kegboard_name", DEFAULT_NAME),
        core=Setting(value=address_of(core.value), origin=core.origin),
        process=source.process,
    )


def _pick(flag: str, sources: Iterable[_Source]) -> Setting | None:
    for source in sources:
        if source.values.get(flag):
            return Setting(value=source.values[flag], origin=source.origin)
    return None


def _has_key(argv: Sequence[str]) -> bool:
    return any(word.lstrip("-").partition("=")[0] == "api_key" for word in argv[1:] if word.startswith("-"))


def _absolute(flag: str, value: str, folder: str) -> str:
    if flag not in _PATHS or not folder:
        return value
    words = value.split(",") if flag == "kegboard_device" else [value]
    return ",".join(
        word
        if not word or word == AUTO or word.startswith("~")
        else posixpath.normpath(posixpath.join(folder, word))
        for word in words
    )
