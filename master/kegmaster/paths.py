"""Where things are when nobody says otherwise: root's places, the user's own XDG directories, or all below one.

Pure: the environment is passed in. A user's run directory is never in $XDG_RUNTIME_DIR: cron and init scripts have no
such variable and would make a second master, and the directory goes at the user's last logout, under a living master.
"""

from __future__ import annotations

from collections.abc import Mapping

from .lean import Final, dataclass

NAME: Final = "kegbot_master"
HOME_VARIABLE: Final = "KEGBOT_HOME"
"""Names one directory that everything is below, whoever calls. Kegbot's own programs read it, too."""
_SYSTEM_CONFIG: Final = f"/etc/kegbot/{NAME}.cfg"


class NoHomeError(Exception):
    """The environment does not say where a user's files are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Absolute paths."""

    config: str
    system_config: str = _SYSTEM_CONFIG
    """What is read where there is no `config`."""
    pidfile_dir: str
    logfile_dir: str
    state_dir: str
    other_run_dirs: tuple[str, ...] = ()
    """Where a master of this user may live all the same: it was started so, or by a version that did so."""


SYSTEM: Final = Defaults(
    config=_SYSTEM_CONFIG,
    pidfile_dir="/run/kegbot",
    logfile_dir="/var/log/kegbot",
    state_dir="/var/lib/kegbot",
)
"""Root's places, and those of the machine's own master."""


def defaults(environment: Mapping[str, str], uid: int) -> Defaults:
    """The default places of user `uid`. Raises NoHomeError."""
    if home := environment.get(HOME_VARIABLE, ""):
        if not home.startswith("/"):
            raise NoHomeError(f"{HOME_VARIABLE} is {home!r}; it must be an absolute path")
        home = home.rstrip("/")
        return Defaults(
            config=f"{home}/{NAME}.cfg", pidfile_dir=f"{home}/run", logfile_dir=f"{home}/log", state_dir=home or "/"
        )  # fmt: skip
    if uid == 0:
        return SYSTEM
    state = _base(environment, "XDG_STATE_HOME", ".local/state")
    runtime = environment.get("XDG_RUNTIME_DIR") or ""
    bases = dict.fromkeys([*([runtime.rstrip("/")] if runtime.startswith("/") else []), f"/run/user/{uid}"])
    return Defaults(
        config=f"{_base(environment, 'XDG_CONFIG_HOME', '.config')}/kegbot/{NAME}.cfg",
        pidfile_dir=f"{state}/kegbot/run",
        logfile_dir=f"{state}/kegbot/log",
        state_dir=f"{state}/kegbot",
        other_run_dirs=tuple(f"{base}/kegbot" for base in bases),
    )


def _base(environment: Mapping[str, str], variable: str, below_home: str) -> str:
    if (value := environment.get(variable, "")).startswith("/"):
        return value
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        raise NoHomeError(
            f"HOME is not set; set it or {HOME_VARIABLE}, or give --master_config, --pidfile_dir and --logfile_dir"
        )
    return f"{home.rstrip('/')}/{below_home}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """The files of one master: those in --pidfile_dir (`path`), which a reboot may take, and in --state_dir."""

    path: str
    state: str = ""
    """Empty: the same as `path`."""

    @property
    def pidfile(self) -> str:
        """Locked by the living master."""
        return f"{self.path}/{NAME}.pid"

    @property
    def lock(self) -> str:
        """Who has the lock, in more words than the pidfile's number."""
        return f"{self.path}/{NAME}.lock"

    @property
    def socket(self) -> str:
        """Where commands go."""
        return f"{self.path}/{NAME}.sock"

    @property
    def notify(self) -> str:
        """Where apps report (sd_notify)."""
        return f"{self.path}/{NAME}.notify"

    @property
    def stopped(self) -> str:
        """The apps that people stopped by name."""
        return f"{self.state or self.path}/{NAME}.stopped"

    @property
    def records(self) -> str:
        """The run records."""
        return f"{self.path}/{NAME}.records"
