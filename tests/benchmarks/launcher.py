"""kegmaster beside supervisord 4.3 and runit, in one interleaved run: `python -m tests.benchmarks.launcher`.

The supervised app is a tiny C program that stamps its own start in main(); beside it stands what the machine itself
needs. Figures are medians in ms; only the ratios of one run count. --quick takes about two minutes, all about ten;
Ctrl-C shows what there is by then.
A peer that is not installed is left out, and said: --setup installs supervisord below /tmp and prints the commands,
runit comes with `apt-get install runit`. Name the master.py of an installation that is not editable for fair figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from .supervision import contenders, machine, measures, report


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds, and no more than 10 apps where that will do"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--master", type=Path, metavar="FILE", default=Path(sys.executable).parent / "master.py",
                        help="the master.py to measure; the one beside this interpreter")  # fmt: skip
    parser.add_argument("--setup", action="store_true", help="install supervisord first")
    parser.add_argument(
        "--dir", help="where the contenders' files go; a file system in memory if there is one"
    )
    options = parser.parse_args()
    if options.setup:
        for command in contenders.SETUP:
            print(f"$ {command}", flush=True)
            subprocess.run(command.split(), check=True)
    taking_part = []
    for kind in contenders.ALL:
        if why := kind.missing():
            print(f"{kind.name}: {why}")
        else:
            taking_part.append(kind)
    folder = options.dir or ("/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    scale = measures.QUICK if options.quick else measures.FULL
    with tempfile.TemporaryDirectory(dir=folder, prefix="kegmaster-benchmark-") as name:
        tools = contenders.Tools(
            folder=Path(name), app=machine.compile_c(Path(name), "app"),
            yardstick=machine.compile_c(Path(name), "yardstick"), master=options.master.absolute(),
            python=options.master.read_text().splitlines()[0].removeprefix("#!").strip(),
        )  # fmt: skip
        signal.signal(
            signal.SIGTERM, signal.default_int_handler
        )  # whatever ends us, nothing of ours lives on
        run = measures.Run(tools, tuple(taking_part), scale, _say)
        try:
            run.everything()
        except KeyboardInterrupt:
            print("\ninterrupted: what has been measured so far")
        figures = run.figures
    _say("")
    result = report.Report(figures, scale.sizes)
    print(
        f"{os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}; ms unless said otherwise"
    )
    for what, took_ms in result.floors():
        print(f"floor: {what}: {took_ms:.2f}")
    print()
    rows = list(result.rows())
    print(report.table(rows))
    missed = sum(row.met is False for row in rows)
    print(f"\n{sum(row.met is True for row in rows)} targets met, {missed} missed")
    if options.json:
        options.json.write_text(json.dumps(figures.samples, indent=1))
    return 0


def _say(what: str) -> None:
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
