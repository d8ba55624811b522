"""Kegbot Servers of each generation, as far as a core sees them, on loopback: for tests, in-process or as a program.

`Emulator(generation="today")` is a context manager with a `url`; `python -m tests.apps.server.emulators` the same
as a process that may be killed and started again. What it answers is section 1 to 6 of kegbot-server-api.md.
"""

from __future__ import annotations

from tests.apps.server.emulators.faults import Fault, Faults
from tests.apps.server.emulators.memory import Memory, Recorded
from tests.apps.server.emulators.serving import Emulator
from tests.apps.server.emulators.site import Site, Tap, Token

__all__ = ["Emulator", "Fault", "Faults", "Memory", "Recorded", "Site", "Tap", "Token"]
