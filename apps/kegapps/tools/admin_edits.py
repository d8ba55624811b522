"""What kegbot_admin can change, word by word.

Knows the ledger and the flags of edits. Must not know lists, tables or kegnet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from absl import flags

from kegapps.core.ledger import Ledger
from kegapps.daemon.errors import UsageError
from kegapps.tools.admin_tables import parse_since

FLAGS = flags.FLAGS
DEFAULT_ML_PER_TICK: Final = 1000 / 2200

flags.DEFINE_float("ml_per_tick", None, "taps add, set: calibration.")
flags.DEFINE_string("relay", None, "taps add, set: the tap's valve, such as kegboard.relay0; empty: none.")
flags.DEFINE_string(
    "sensor",
    None,
    "taps add, set: the sensor of the tap's temperature, such as kegboard.thermo-cd08001234561028; empty: the only one "
    "of its board, if it has just one. temperatures: only of this sensor.",
)
flags.DEFINE_string("description", None, "taps add, set: any words.")
flags.DEFINE_string("beverage", "", "kegs tap: what is in it.")
flags.DEFINE_float("volume_ml", 50_000.0, "kegs tap: its size in mL.")

flags.DEFINE_string(
    "since",
    None,
    "drinks, temperatures: only from then on; outbox add: all from then on. 90m, 12h, 7d, 2w (ago), 2026-11-20, "
    "2026-11-20T23:00.",
)

Edit = Callable[[Ledger, list[str], float], str]
"""Takes the ledger, the words behind the verb and the time (Unix seconds); returns what it has done, for a person."""


def since_by_flag(now_unix_s: float) -> float | None:
    """The time that --since means; None if it is not given. Raises UsageError."""
    try:
        return None if FLAGS.since is None else parse_since(FLAGS.since, now_unix_s)
    except ValueError as error:
        raise UsageError(f"--since={error}") from None


def _add_tap(ledger: Ledger, words: list[str], _now: float) -> str:
    (name,) = words
    ledger.add_tap(name, DEFAULT_ML_PER_TICK if FLAGS.ml_per_tick is None else FLAGS.ml_per_tick)
    ledger.set_tap(name, relay_name=FLAGS.relay, description=FLAGS.description, sensor_name=FLAGS.sensor)
    return f"tap {name} added"


def _set_tap(ledger: Ledger, words: list[str], _now: float) -> str:
    (name,) = words
    if all(value is None for value in (FLAGS.ml_per_tick, FLAGS.relay, FLAGS.description, FLAGS.sensor)):
        raise UsageError("taps set: give --ml_per_tick, --relay, --sensor or --description")
    ledger.set_tap(
        name,
        ml_per_tick=FLAGS.ml_per_tick,
        relay_name=FLAGS.relay,
        description=FLAGS.description,
        sensor_name=FLAGS.sensor,
    )
    return f"tap {name} changed"


def _remove_tap(ledger: Ledger, words: list[str], now: float) -> str:
    ledger.remove_tap(words[0], now_unix_s=now)
    return f"tap {words[0]} removed; if its meter is heard again, it comes back with the default calibration"


def _add_user(ledger: Ledger, words: list[str], now: float) -> str:
    ledger.add_user(words[0], now)
    return f"user {words[0]} added; give them a token: tokens add DEVICE TOKEN {words[0]}"


def _enable_user(ledger: Ledger, words: list[str], _now: float) -> str:
    ledger.enable_user(words[0], enabled=True)
    return f"user {words[0]} may pour"


def _disable_user(ledger: Ledger, words: list[str], _now: float) -> str:
    ledger.enable_user(words[0], enabled=False)
    return f"user {words[0]} may pour no more; a flow under way ends"


def _add_token(ledger: Ledger, words: list[str], now: float) -> str:
    device, token, username = words
    ledger.add_token(device, token, username, now)
    return f"{device} token {token} is {username}'s"


def _enable_token(ledger: Ledger, words: list[str], _now: float) -> str:
    ledger.enable_token(*words, enabled=True)
    return f"{words[0]} token {words[1]} is accepted"


def _disable_token(ledger: Ledger, words: list[str], _now: float) -> str:
    ledger.enable_token(*words, enabled=False)
    return f"{words[0]} token {words[1]} is accepted no more"


def _remove_token(ledger: Ledger, words: list[str], _now: float) -> str:
    ledger.remove_token(*words)
    return f"{words[0]} token {words[1]} removed"


def _tap_keg(ledger: Ledger, words: list[str], now: float) -> str:
    ledger.tap_keg(words[0], beverage=FLAGS.beverage, volume_ml=FLAGS.volume_ml, now_unix_s=now)
    return f"{FLAGS.beverage} is on {words[0]}"


def _end_keg(ledger: Ledger, words: list[str], now: float) -> str:
    ledger.end_keg(words[0], now_unix_s=now)
    return f"no keg is on {words[0]} any more"


# By noun and verb: the words it wants, and what does it.
EDITS: Final[dict[str, dict[str, tuple[str, Edit]]]] = {
    "taps": {"add": ("TAP", _add_tap), "set": ("TAP", _set_tap), "remove": ("TAP", _remove_tap)},
    "users": {
        "add": ("NAME", _add_user),
        "enable": ("NAME", _enable_user),
        "disable": ("NAME", _disable_user),
    },
    "tokens": {
        "add": ("DEVICE TOKEN NAME", _add_token),
        "enable": ("DEVICE TOKEN", _enable_token),
        "disable": ("DEVICE TOKEN", _disable_token),
        "remove": ("DEVICE TOKEN", _remove_token),
    },
    "kegs": {"tap": ("TAP", _tap_keg), "end": ("TAP", _end_keg)},
}
