"""How the core hears at once that kegbot_admin has edited its store.

Knows the core's address and how to greet it. Must not know what was edited.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from kegapps.core.ledger import Ledger
from kegapps.kegnet.codec import encode
from kegapps.kegnet.events import Credentials, Ping
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.tools.admin_edits import Edit

WAKE_TIMEOUT_S: Final = 1.0


def and_wake(edit: Edit) -> Edit:
    """`edit`, after which the core is greeted: it looks into the store when something reaches it."""

    def edit_and_wake(ledger: Ledger, words: list[str], now: float) -> str:
        done = edit(ledger, words, now)
        token = kegnet_token(os.path.abspath)
        greeting = (encode(Credentials(token=token)) if token else b"") + encode(Ping())
        try:
            with socket.create_connection(core_address(), WAKE_TIMEOUT_S) as core:
                core.sendall(greeting)
        except OSError:
            pass  # it is not there, or elsewhere: then it finds the edit when it next looks
        return done

    return edit_and_wake
