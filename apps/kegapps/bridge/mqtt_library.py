"""The paho library, brought in with as little else as can be.

Knows import, and what paho imports whether or not it is used. Must not know the broker.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any, Final

from kegapps.daemon.extras import extra


class _NeverRaisedError(Exception):
    """Stands for the errors of an encryption that is not there."""


_WITHOUT_TLS: Final[dict[str, dict[str, object] | None]] = {
    "ssl": {"SSLWantReadError": _NeverRaisedError, "SSLWantWriteError": _NeverRaisedError},
    "_hashlib": None,  # OpenSSL's hashes; hashlib falls back to Python's own, which nobody here asks for anything
}
_NEVER_USED: Final[dict[str, dict[str, object] | None]] = {
    "socks": None,  # without it paho looks for no proxy,
    "urllib.request": {},  # for which it has an HTTP client
}


def paho(*, tls: bool, wanted_by: str = "mqtt_bridge.py") -> Any:
    """The module paho.mqtt.client. Raises StartError if it is not installed.

    It imports OpenSSL, and an HTTP client for proxies: 6 MB of the 25 that a program may take. What is not wanted is
    replaced while it is imported, and only then.
    """
    with _replaced(_NEVER_USED if tls else _NEVER_USED | _WITHOUT_TLS):
        return extra("paho.mqtt.client", extra="mqtt", wanted_by=wanted_by)


@contextlib.contextmanager
def _replaced(stand_ins: dict[str, dict[str, object] | None]) -> Iterator[None]:
    """Importing these gives a module with nothing but that in it, or fails (None); what is imported already stays."""
    absent = [name for name in stand_ins if name not in sys.modules]
    packages: list[tuple[types.ModuleType, str]] = []
    for name in absent:
        content = stand_ins[name]
        if content is None:
            sys.modules[name] = None  # type: ignore[assignment] # so Python spells "not to be found"
            continue
        module = sys.modules[name] = types.ModuleType(name)
        vars(module).update(content)
        package_name, _, attribute = name.rpartition(".")
        if package_name:
            package = __import__(package_name)
            setattr(package, attribute, module)
            packages.append((package, attribute))
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
        for package, attribute in packages:
            delattr(package, attribute)
