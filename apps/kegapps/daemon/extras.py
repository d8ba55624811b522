"""Packages that only one program needs: imported when it needs them, and named when they are missing.

Knows import. Must not know any single program.
"""

from __future__ import annotations

import errno
import importlib
import shlex
import sys
from typing import Any

from kegapps.daemon.errors import StartError


def extra(module: str, *, extra: str, wanted_by: str) -> Any:
    """The imported `module`, which `pip install 'kegmaster[EXTRA]'` brings.

    `wanted_by` is what a person asked for, such as `--lcd_device_type=hd44780_i2c`. Raises StartError if the module
    is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.split(".")[0] == error.name.split(".")[0]:
            raise StartError(
                f"{wanted_by} needs an extra, for {error.name} is not installed: {_pip(extra)}"
            ) from error
        raise StartError(
            f"{wanted_by}: {module} cannot be used: {error}; reinstall it: {_pip(extra)}"
        ) from error
    except OSError as error:
        if error.errno == errno.EMFILE:
            raise  # nothing is wrong with the package
        raise StartError(f"{wanted_by}: {module} is installed but cannot be used: {error}") from error
    except Exception as error:  # whatever a broken package raises, it is the package that cannot be used
        raise StartError(f"{wanted_by}: {module} is installed but cannot be used: {error}") from error


def _pip(extra: str) -> str:
    """The command as a person types it: by the Python that runs this, for another one's pip installs elsewhere."""
    return f"{shlex.quote(sys.executable)} -m pip install 'kegmaster[{extra}]'"
