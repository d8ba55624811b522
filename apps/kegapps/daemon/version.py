"""The version of the package that is installed.

Knows the package's name. Must not know any single program.
"""

from __future__ import annotations


def number() -> str:
    """Such as `0.1.0`; words if it is not installed. Looked up only when asked: the look costs a megabyte."""
    from importlib import metadata

    try:
        return metadata.version("kegmaster")
    except metadata.PackageNotFoundError:
        return "of unknown version: not installed"
