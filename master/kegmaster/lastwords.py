"""The `logs --crash` verb: what killed apps, from their crash logs."""

from __future__ import annotations

import json as json_form
import os
import sys
from collections.abc import Mapping

from . import crashlog
from .exit_codes import Verb


def show(paths: Mapping[str, str], *, most: int, json: bool) -> int:
    """Print the last `most` deaths of each app, oldest first; `paths`: app to crash log. Returns the exit status."""
    status = Verb.DONE
    told: list[dict[str, object]] = []
    out = sys.stdout.buffer
    for name, path in paths.items():
        try:
            deaths = crashlog.last(path, most)
        except OSError as error:
            print(f"{name}: {path}: {error.strerror or error}", file=sys.stderr)
            status = Verb.FAILED
            continue
        if json:
            told += [crashlog.fields(death) for death in deaths]
        elif deaths:
            out.write(b"\n".join(deaths))
        elif most:
            print(f"{name}: {_why_nothing(path)}", file=sys.stderr)
    if json:
        out.write(json_form.dumps(told, indent=2).encode() + b"\n")
    out.flush()
    return status


def _why_nothing(path: str) -> str:
    """Why there is no death to tell of, in words."""
    if not os.path.lexists(path):
        return f"has not died, as far as {path} tells"
    if os.path.islink(path):
        return f"nobody knows: {path} is a symlink, into which no death is written; remove it"
    return f"nobody knows: no death could be written to {path}, though it was begun; is the disk full?"
