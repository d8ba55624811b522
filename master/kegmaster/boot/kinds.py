"""The init systems that can be asked for, and which of them a machine has."""

from __future__ import annotations

from dataclasses import dataclass

from .plan import BootError, Plan, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What tells which init system is there: the paths that exist, pid 1's name, the programs on PATH, the caller."""

    booted_systemd: bool = False
    pid1: str = ""
    paths: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()
    root: bool = True


def choose(machine: Machine, *, system: bool) -> str:
    """The kind that `auto` means on this machine. Raises BootError if there is none."""
    del machine, system
    raise BootError("not built yet")


def plan(kind: str, service: Service) -> Plan:
    """What `kind` needs to start this service at boot. Raises BootError."""
    del kind, service
    raise BootError("not built yet")
