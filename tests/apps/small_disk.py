"""A disk that is soon full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(path: Path, size_kib: int) -> Iterator[Path]:
    """A file system of that size at `path`, which is made; skips the test where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    path.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size_kib}k,mode=755", "tmpfs"]
    if subprocess.run(["mount", *options, str(path)], capture_output=True, check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
