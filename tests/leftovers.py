"""What a master leaves behind that was killed on purpose, removed. Knows the launcher's cgroups."""

from __future__ import annotations

import os
from pathlib import Path

from kegmaster import launching
from kegmaster.journal import Journal


def remove_cgroups(run: Path) -> None:
    """Those of the apps of the master of the run directory `run`, once nobody is in them."""
    if leaves := launching.find_leaves(str(run), Journal(os.devnull)):
        leaves.close()
