"""The numbers by which the core decides; each is a flag of kegbot_core.

Knows numbers and their units. Must not know flags, events or the store.
Source of the defaults: shared/kegnet-protocol.md sections 4 and 5, unless the field says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from kegapps.kegnet.events import GUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the core takes for granted about meters, flows, tokens and sensors."""

    default_ml_per_tick: float = 1000 / 2200
    """Calibration of a meter seen for the first time: 2200 ticks a litre."""
    max_step_ml: float = 500.0
    """A reading that is further from the one before than this is not believed."""
    max_flow_ml_per_s: float = 100.0
    """Ours: what may have been poured while nobody listened to a meter, per second of that time."""
    max_catch_up_ml: float = 20_000.0
    """Ours: the most that is believed to have been poured while nobody listened, one small keg."""
    min_drink_ml: float = 10.0
    """A flow of no more than this is not recorded as a drink."""
    idle_timeout_s: float = 10.0
    """Idle limit of anonymous flows, and of flows by a token of a device not named below."""
    rfid_idle_timeout_s: float = 20.0
    """Idle limit of flows by a `core.rfid` token."""
    onewire_idle_timeout_s: float = 120.0
    """Idle limit of flows by a `core.onewire` token."""
    not_captive_devices: frozenset[str] = frozenset({"core.rfid"})
    """Devices whose `removed` does not end the flow."""
    relay_repeat_s: float = 1.0
    """How often `enabled` is repeated while an owned flow lives; boards close a valve after 10 s without."""
    temperature_min_c: float = -20.0
    temperature_max_c: float = 80.0
    """Temperatures outside of this range (ends included in it) are dropped."""
    temperature_silence_s: float = 120.0
    """A sensor silent for so long is logged once."""
    guest_username: str = GUEST
    """`username` of DrinkCreatedEvent for an anonymous drink."""
    max_taps: int = 64
    """Ours: readings of further meters are refused, or any client could fill the store with taps."""
    max_sensors: int = 64
    """Ours: as `max_taps`, for temperature sensors."""
    token_cache_s: float = 30 * 86400.0
    """Ours: how long a token that the Kegbot Server knew is accepted while the server cannot be asked."""
