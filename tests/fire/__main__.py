"""Everything is killed, unplugged and filled up while four boards pour; then the books must balance to the tick.

    python -m tests.fire --minutes=2 --seed=1
    python -m tests.fire --minutes=2 --json

The directory is kept if they do not, or with --keep. Exit status: 0 balanced, 1 not.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.fire.fire import Course, run


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--boards", type=int, default=4)
    parser.add_argument(
        "--server",
        choices=("form", "event", "none"),
        default="form",
        help="how the Kegbot Server is spoken to",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the directory whatever comes out")
    options = parser.parse_args()
    course = Course(
        seconds=60 * options.minutes,
        seed=options.seed,
        boards=options.boards,
        server=None if options.server == "none" else options.server,
    )
    folder = Path(tempfile.mkdtemp(prefix="fire-"))
    terminal = sys.stderr.isatty()

    def say(text: str) -> None:
        if terminal:
            print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)

    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    balanced = False
    try:
        books, fire = run(folder, course, say)
        balanced = not books.differences
    finally:
        if terminal:
            print(file=sys.stderr)
        if balanced and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"kept: {folder}", file=sys.stderr)
    report = {"course": asdict(course), "faults": fire.done, "left_out": fire.left_out, **books.as_json()}
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        _print(report)
    return 0 if balanced else 1


def _print(report: dict[str, object]) -> None:
    for kind in ("faults", "left_out"):
        counts = report[kind]
        assert isinstance(counts, dict)
        for name, number in sorted(counts.items()):
            print(f"{number:6} {name}{' (could not be done)' if kind == 'left_out' else ''}")
    for name, value in report.items():
        if isinstance(value, int):
            print(f"{value:6} {name.replace('_', ' ')}")
    server = report.get("server")
    if isinstance(server, dict):
        print(f"{server['recorded']:6} drinks at the server, {server['by_event']} of them by kegboard-event")
        for double in server["doubles"]:
            print(f"       {double}")
    differences = report["differences"]
    assert isinstance(differences, list)
    print("\n".join(differences) or "balanced: every tick is in exactly one place")


if __name__ == "__main__":
    sys.exit(main())
