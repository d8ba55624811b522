"""Which meter and relay hangs on which pin, as people write it: `flow0=GPIO17,flow1=GPIO27`.

Knows the notation and the pins of a Raspberry Pi's header. Must not know gpiozero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

PINS: Final = range(2, 28)
"""GPIO2 to GPIO27 are for everybody; 0 and 1 belong to the memory of a HAT."""
MAX_BOARD_NAME: Final = (
    40  # with `.thermo-` and 16 digits behind it a name fits into the 64 characters of a core
)
MAX_PORT_NAME: Final = 16

_BOARD: Final = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]*")
_PORT: Final = re.compile(r"[A-Za-z0-9_:-]+")
_PIN: Final = re.compile(r"(?:GPIO)?([0-9]{1,2})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """The meter or relay `name` on GPIO `pin` (Broadcom's number, not the place on the header)."""

    name: str
    pin: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What hangs on the header."""

    meters: tuple[Port, ...] = ()
    relays: tuple[Port, ...] = ()

    @property
    def text(self) -> str:
        """For a person: `flow0 on GPIO17, relay0 on GPIO5`."""
        return ", ".join(f"{port.name} on GPIO{port.pin}" for port in (*self.meters, *self.relays))


def parse_wiring(*, meters: Iterable[str], relays: Iterable[str]) -> Wiring:
    """The wiring of words such as `flow0=GPIO17`. Raises ValueError, for a person to read, naming flag and word."""
    wiring = Wiring(meters=_ports("meters", meters), relays=_ports("relays", relays))
    ports: Sequence[Port] = (*wiring.meters, *wiring.relays)
    for at, port in enumerate(ports):
        for other in ports[:at]:
            if other.name == port.name:
                raise ValueError(f"{port.name} is given twice")
            if other.pin == port.pin:
                raise ValueError(f"{other.name} and {port.name} are both on GPIO{port.pin}")
    return wiring


def check_board_name(name: str) -> None:
    """Raises ValueError, for a person to read, unless boards may have this name."""
    if len(name) > MAX_BOARD_NAME or not _BOARD.fullmatch(name):
        raise ValueError(
            f"{name!r}: expected a short name such as gpio, of letters, digits and the signs _ - : ."
        )


def _ports(flag: str, words: Iterable[str]) -> tuple[Port, ...]:
    return tuple(_port(flag, word.strip()) for word in words if word.strip())


def _port(flag: str, word: str) -> Port:
    name, equals, pin = (part.strip() for part in word.partition("="))
    if not equals or len(name) > MAX_PORT_NAME or not _PORT.fullmatch(name):
        raise ValueError(f"--{flag}: {word!r}: expected NAME=PIN, such as flow0=GPIO17")
    found = _PIN.fullmatch(pin)
    if not found or int(found[1]) not in PINS:
        raise ValueError(
            f"--{flag}: {word!r}: expected a pin from GPIO{PINS[0]} to GPIO{PINS[-1]}, such as GPIO17"
        )
    return Port(name=name, pin=int(found[1]))
