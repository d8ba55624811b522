"""Where a program keeps what must outlive it, unless a flag says otherwise.

Knows the directories of the system and of a user. Must not know what is kept.
"""

from __future__ import annotations

import os

from kegapps.daemon.errors import StartError


def state_path(name: str, *, flag: str) -> str:
    """The path of the file `name`: in $KEGBOT_HOME, /var/lib/kegbot for root, or kegbot/ of the user's state directory.

    Raises StartError, which names `flag`, if KEGBOT_HOME is relative or there is no home directory.
    """
    if home := os.environ.get("KEGBOT_HOME", ""):
        if not os.path.isabs(home):
            raise StartError(f"KEGBOT_HOME is {home!r}; it must be an absolute path")
        return os.path.join(home, name)
    if os.geteuid() == 0:
        return os.path.join("/var/lib/kegbot", name)
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            raise StartError(f"no home directory to keep anything in: name a file with --{flag}")
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "kegbot", name)
