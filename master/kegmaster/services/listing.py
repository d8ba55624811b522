"""--print: the section, the files and the commands, on the terminal and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import entry, marks
from .work import Work, shown

if TYPE_CHECKING:
    from .install import Request


def show(work: Work, request: Request, *, quiet: bool) -> dict[str, Any]:
    """Print it all, unless `quiet`; returns the same as data."""
    found: dict[str, Any] = {"artefacts": [], "commands": {}, "notes": []}
    lines = []
    if request.name:
        found["section"] = request.section
        found["config"] = work.command.config_file
        lines += [f"# added to {work.command.config_file}:", request.section]
    plan = request.boot.plan if request.boot else None
    for part in plan.artefacts if plan else ():
        where = entry.place(part) if part.path else "the crontab"
        text = part.text if part.role == "file" else marks.block(request.boot.name, part.text)  # type: ignore[union-attr]
        found["artefacts"].append(
            {"role": part.role, "path": where if part.path else "", "mode": f"{part.mode:04o}", "text": text,
             "link": part.link}
        )  # fmt: skip
        if part.link:
            lines.append(f"# {where} -> {part.link}\n")
        elif plan and plan.foreign:
            lines.append(part.text)
        else:
            mode = f", mode {part.mode:04o}" if part.path else ""
            lines += [f"# {where}{mode}:", text]
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
            lines += [f"# {title}: {line}" for line in words]
        lines += [f"# note: {note}" for note in plan.notes]
    if not quiet:
        for line in lines:
            print(line)
    return found
