"""What can be done to an emulated board, as words a person types and as values.

Knows the words, their limits and the complaints about them. Must not know boards, sockets or clocks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kegapps.kbsp.thermo import parse_celsius

TICKS_PER_SECOND: Final = 200.0  # a brisk tap: 1000 ticks, 454.5 mL at 2200 ticks a litre, take 5 s
MAX_TICKS: Final = 2**32 - 1
MAX_SECONDS: Final = 86_400.0
MAX_TICKS_PER_SECOND: Final = 100_000.0
MAX_NOISE_BYTES: Final = 1_000_000
MAX_TOKEN_BYTES: Final = 16
IBUTTON_BYTES: Final = 8
SCRIPT: Final = (
    "script"  # the one word that is not for a board but for a client: it has more of these in a file
)
OPTIONS: Final = ("seconds", "ticks_per_second", "keep_power")

USAGE: Final = """\
pour METER TICKS [--seconds=S | --ticks_per_second=R]
                             let beer flow through flow0..flow5 (200 ticks a second); ends when it is counted
flow METER TICKS_PER_SECOND  let beer flow all the time, whatever happens to the board; 0 closes the tap
odometer METER TICKS         let a meter stand at TICKS, for instance just before it wraps at 4294967296
temperature SENSOR CELSIUS   cool or warm a thermometer; "none": it does not answer
token DEVICE HEX             hold a tag to the reader: core.rfid 0415ab96c3, or onewire 0f07060504030201
token_add DEVICE HEX         put an iButton (onewire) on its contact
token_remove DEVICE HEX      and take it away
unplug [--keep_power]        pull the cable; the board loses its power unless told otherwise
plug                         put it back
power_off, power_on          a board with a power supply of its own loses it, and gets it back
reset                        press the reset button
noise N                      send N bytes of garbage
state                        print what the board knows, as JSON
ticks                        print what became of every tick, over all boots, as JSON
script FILE                  the same verbs, one a line ("-": from standard input); "wait S" waits S seconds,
                             "&" at the end of a line goes on at once, "wait" waits for all of those"""


class VerbError(ValueError):
    """These words say nothing that can be done; the text is one line for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pour:
    """`ticks` through meter 0..5, evenly spread over `seconds`."""

    meter: int
    ticks: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepFlowing:
    """Beer flows through meter 0..5 until this is said again; 0: not at all."""

    meter: int
    ticks_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Odometer:
    """Let meter 0..5 stand at `ticks`."""

    meter: int
    ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """The sensor of this name (`thermo-...`) is at so many degrees C; None: it does not answer."""

    sensor: str
    celsius: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`token` in wire order; `device` is `onewire` or `core.rfid`. Comes, goes, or both."""

    device: str
    token: bytes
    comes: bool = True
    goes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplug:
    """Pull the cable."""

    keep_power: bool = False


@dataclass(frozen=True, slots=True)
class Plug:
    """Put it back."""


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Switch the board's own power supply off; the cable stays."""


@dataclass(frozen=True, slots=True)
class PowerOn:
    """And on again."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Press the reset button."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """So many bytes that mean nothing."""

    count: int


@dataclass(frozen=True, slots=True)
class State:
    """Tell everything."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """Tell what became of every tick."""


Verb = (
    Pour | KeepFlowing | Odometer | Temperature | Token | Unplug | Plug
    | PowerOff | PowerOn | Reset | Noise | State | Ticks
)  # fmt: skip
Options = Mapping[str, str]


def parse(words: Sequence[str]) -> Verb:
    """The verb that `words` spell; options (`--seconds=5`) may stand anywhere. Raises VerbError."""
    options = dict(_option(word) for word in words if word.startswith("--"))
    plain = [word for word in words if not word.startswith("--")]
    if not plain:
        raise VerbError("expected a verb, such as: pour flow0 1000")
    name, arguments = plain[0], plain[1:]
    if name not in _VERBS:
        raise VerbError(f"{name!r} is no verb; there are {', '.join([*_VERBS, SCRIPT])}")
    names, known, make = _VERBS[name]
    if len(arguments) != len(names):
        raise VerbError(f"{name}: expected {' '.join((name, *names))}")
    for option in options:
        if option not in known:
            raise VerbError(f"{name}: takes no --{option}")
    try:
        return make(arguments, options)
    except ValueError as error:
        raise VerbError(f"{name}: {error}") from None


def _option(word: str) -> tuple[str, str]:
    name, _, value = word[2:].partition("=")
    if name not in OPTIONS:
        raise VerbError(f"--{name}: unknown; there are {', '.join('--' + option for option in OPTIONS)}")
    return name, value


def _meter(text: str) -> int:
    if not re.fullmatch("flow[0-5]", text):
        raise ValueError(f"{text!r} is no meter; expected flow0 to flow5")
    return int(text[-1])


def _whole(text: str, limit: int) -> int:
    if not re.fullmatch("[0-9]{1,12}", text, re.ASCII) or int(text) > limit:
        raise ValueError(f"{text!r}: expected a whole number from 0 to {limit}")
    return int(text)


def _positive(name: str, text: str, *, or_zero: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf or (or_zero and value == 0)):
        raise ValueError(f"--{name}={text}: expected a positive number")
    return value


def _pour(arguments: Sequence[str], options: Options) -> Pour:
    ticks = _whole(arguments[1], MAX_TICKS)
    if "seconds" in options:
        seconds = _positive("seconds", options["seconds"], or_zero=True)
    elif "ticks_per_second" in options:
        seconds = ticks / _positive("ticks_per_second", options["ticks_per_second"])
    else:
        seconds = ticks / TICKS_PER_SECOND
    if seconds > MAX_SECONDS:
        raise ValueError(f"that would take {seconds:.0f} s; the longest pour takes {MAX_SECONDS:.0f} s")
    return Pour(meter=_meter(arguments[0]), ticks=ticks, seconds=seconds)


def _flow(arguments: Sequence[str], _: Options) -> KeepFlowing:
    try:
        rate = float(arguments[1])
    except ValueError:
        rate = math.nan
    if not 0 <= rate <= MAX_TICKS_PER_SECOND:
        raise ValueError(f"{arguments[1]!r}: expected ticks a second, 0 to {MAX_TICKS_PER_SECOND:.0f}")
    return KeepFlowing(meter=_meter(arguments[0]), ticks_per_second=rate)


def _odometer(arguments: Sequence[str], _: Options) -> Odometer:
    return Odometer(meter=_meter(arguments[0]), ticks=_whole(arguments[1], MAX_TICKS))


def _temperature(arguments: Sequence[str], _: Options) -> Temperature:
    celsius = None if arguments[1] == "none" else parse_celsius(arguments[1])
    return Temperature(sensor=arguments[0], celsius=celsius)


def _token_bytes(arguments: Sequence[str]) -> tuple[str, bytes]:
    device = {"core.onewire": "onewire"}.get(arguments[0], arguments[0])
    if device not in ("onewire", "core.rfid"):
        raise ValueError(f"{arguments[0]!r} is no reader; expected core.rfid or onewire")
    if not re.fullmatch("([0-9a-fA-F]{2})+", arguments[1]):
        raise ValueError(f"{arguments[1]!r}: expected pairs of hex digits, such as 0415ab96c3")
    token = bytes.fromhex(arguments[1])[::-1]
    if device == "onewire" and len(token) != IBUTTON_BYTES:
        raise ValueError(f"an iButton has {IBUTTON_BYTES * 2} hex digits, not {len(token) * 2}")
    if len(token) > MAX_TOKEN_BYTES:
        raise ValueError(f"{len(token) * 2} hex digits, at most {MAX_TOKEN_BYTES * 2}")
    return device, token


def _token(arguments: Sequence[str], _: Options) -> Token:
    device, token = _token_bytes(arguments)
    return Token(device=device, token=token)


def _one_way(arguments: Sequence[str], *, comes: bool) -> Token:
    device, token = _token_bytes(arguments)
    if device != "onewire":
        raise ValueError(f"a contactless tag comes and goes at once: token {' '.join(arguments)}")
    return Token(device=device, token=token, comes=comes, goes=not comes)


def _unplug(_: Sequence[str], options: Options) -> Unplug:
    value = options.get("keep_power", "false").lower()
    if value not in ("", "true", "1", "false", "0"):
        raise ValueError(f"--keep_power={value}: expected true or false")
    return Unplug(keep_power=value in ("", "true", "1"))


_VERBS: Final[
    Mapping[str, tuple[tuple[str, ...], tuple[str, ...], Callable[[Sequence[str], Options], Verb]]]
] = {
    "pour": (("METER", "TICKS"), ("seconds", "ticks_per_second"), _pour),
    "flow": (("METER", "TICKS_PER_SECOND"), (), _flow),
    "odometer": (("METER", "TICKS"), (), _odometer),
    "temperature": (("SENSOR", "CELSIUS"), (), _temperature),
    "token": (("DEVICE", "HEX"), (), _token),
    "token_add": (("DEVICE", "HEX"), (), lambda words, _: _one_way(words, comes=True)),
    "token_remove": (("DEVICE", "HEX"), (), lambda words, _: _one_way(words, comes=False)),
    "unplug": ((), ("keep_power",), _unplug),
    "plug": ((), (), lambda *_: Plug()),
    "power_off": ((), (), lambda *_: PowerOff()),
    "power_on": ((), (), lambda *_: PowerOn()),
    "reset": ((), (), lambda *_: Reset()),
    "noise": (("N",), (), lambda words, _: Noise(count=_whole(words[0], MAX_NOISE_BYTES))),
    "state": ((), (), lambda *_: State()),
    "ticks": ((), (), lambda *_: Ticks()),
}
