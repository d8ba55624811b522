"""--print: the section, the files and the commands, on the terminal and nowhere else.

Standard output has what is to stand on the disk: one artefact alone exactly as it is, several each below a line
`# file: PATH`. Commands and notes go to standard error.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

from . import entry, marks
from .work import Work, shown

if TYPE_CHECKING:
    from .install import Request


def show(work: Work, request: Request, *, quiet: bool) -> dict[str, Any]:
    """Print it all, unless `quiet`; returns the same as data."""
    found: dict[str, Any] = {"artefacts": [], "commands": {}, "notes": []}
    pieces: list[tuple[str, str]] = []
    said, commands = [], []
    if request.name:
        found["section"] = request.section
        found["config"] = work.command.config_file
        pieces.append((work.command.config_file, request.section))
        said.append(f"# added to {work.command.config_file}: the section [{request.name}]")
    plan = request.boot.plan if request.boot else None
    for part in plan.artefacts if plan else ():
        where = entry.place(part) if part.path else "the crontab"
        text = part.text if part.role == "file" else marks.block(request.boot.name, part.text)  # type: ignore[union-attr]
        found["artefacts"].append(
            {"role": part.role, "path": where if part.path else "", "mode": f"{part.mode:04o}", "text": text,
             "link": part.link}
        )  # fmt: skip
        if part.link:
            said.append(f"# link: {where} -> {part.link}")
        else:
            pieces.append((where, text))
            said.append(f"# {where}{f', mode {part.mode:04o}' if part.path else ''}")
    if plan:
        steps = {
            "enable": plan.enable, "attempts": tuple(attempt.command for attempt in plan.attempts),
            "start": plan.start, "stop": plan.stop, "disable": plan.disable, "forget": plan.forget,
        }  # fmt: skip
        found["kind"], found["notes"] = plan.kind, list(plan.notes)
        found["commands"] = {key: [list(words) for words in value] for key, value in steps.items()}
        for title, keys in (("install runs", ("enable", "attempts")), ("then", ("start",)),
                            ("remove runs", ("stop", "disable", "forget"))):  # fmt: skip
            words = [shown(words) for key in keys for words in steps[key]]
            commands += [f"{title}: {line}" for line in words]
        said += [f"# note: {note}" for note in plan.notes]
    if not quiet:
        _print(pieces, commands)
        for line in said:
            print(line, file=sys.stderr)
    return found


def _print(pieces: list[tuple[str, str]], commands: list[str]) -> None:
    """All pieces, and the commands as comments of the last: what is one file stays one that can be used as it is."""
    texts = [text + ("" if text.endswith("\n") else "\n") for _, text in pieces] or [""]
    texts[-1] += "".join(_comment(line, texts[-1]) for line in commands)
    if len(pieces) < 2:
        _write(texts[0])
        return
    for (where, _), text in zip(pieces, texts, strict=True):
        _write(f"# file: {where}\n{text}")


def _comment(line: str, text: str) -> str:
    """`line` as a comment in the language of `text`."""
    if text.startswith("<?xml"):
        return f"<!-- {line.replace('--', '- -')} -->\n"
    return f"rem {line}\r\n" if "\r\n" in text else f"# {line}\n"


def _write(text: str) -> None:
    sys.stdout.flush()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.flush()
    else:
        sys.stdout.write(text)
