"""Where things are when nobody says otherwise: root's places, or the user's own XDG directories."""

from __future__ import annotations

from .lean import dataclass

NAME = "kegbot_master"


class NoHomeError(Exception):
    """Neither HOME nor the needed XDG variable says where a user's files are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Absolute paths."""

    config: str
    pidfile_dir: str
    logfile_dir: str
    state_dir: str


def defaults(environment: dict[str, str], uid: int) -> Defaults:
    """The default places of user `uid`. Raises NoHomeError."""
    if uid == 0:
        return Defaults(
            config="/etc/kegbot/kegbot_master.cfg", pidfile_dir="/run/kegbot", logfile_dir="/var/log/kegbot",
            state_dir="/var/lib/kegbot",
        )  # fmt: skip
    state = _base(environment, "XDG_STATE_HOME", ".local/state")
    runtime = environment.get("XDG_RUNTIME_DIR") or ""
    return Defaults(
        config=f"{_base(environment, 'XDG_CONFIG_HOME', '.config')}/kegbot/kegbot_master.cfg",
        pidfile_dir=f"{runtime}/kegbot" if runtime.startswith("/") else f"{state}/kegbot/run",
        logfile_dir=f"{state}/kegbot/log",
        state_dir=f"{state}/kegbot",
    )


def _base(environment: dict[str, str], variable: str, below_home: str) -> str:
    if (value := environment.get(variable, "")).startswith("/"):
        return value
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        raise NoHomeError("HOME is not set; set it, or give --master_config, --pidfile_dir and --logfile_dir")
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
