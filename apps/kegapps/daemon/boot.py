"""Which boot of the machine this is: what the monotonic clock measured in another one means nothing now.

Knows one file of /proc. Must not know who keeps times over a boot, or what for.
"""

from __future__ import annotations

from typing import Final

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """Names this boot of the machine; empty where the kernel does not tell."""
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""
