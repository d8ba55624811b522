"""Broken input for everything that reads bytes of others: `python -m tests.fuzz --inputs=10000000`.

It is thrown at the codecs of the boards' serial line, of kegnet and of displays, at the hub's real socket and at the
readers of a Kegbot Server's answers and of the gateway's requests; each has a fuzzer of its own, which says what it
checks. The inputs are spread over processes in chunks with a seed each. Exit status 1 at the first that is not taken
as it should be, with the command that does it again, or if a process needs more memory than MAX_PEAK_KIB.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Final

FUZZERS: Final = {
    "kbsp": "tests.apps.kbsp.fuzz",
    "kegnet": "tests.apps.kegnet.fuzz",
    "hub": "tests.apps.kegnet.hub_fuzz",
    "http": "tests.apps.server.fuzz",
    "gateway": "tests.apps.gateway.fuzz",
    "rfid": "tests.apps.rfid.fuzz",
    "lcd": "tests.apps.lcd.fuzz",
    "redis": "tests.apps.bridge.redis_fuzz",
}
CHUNK: Final = 10_000
MAX_PEAK_KIB: Final = 160 * 1024
PROGRESS_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """So many inputs for one of FUZZERS."""

    target: str
    seed: int
    inputs: int

    @property
    def command(self) -> str:
        return f"python -m {FUZZERS[self.target]} --seed={self.seed} --inputs={self.inputs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a chunk; `trouble` is empty if all was taken as it should be."""

    chunk: Chunk
    took_s: float
    outcomes: Counter[str]
    peak_kib: int
    trouble: str


def chunks(targets: list[str], inputs: int, seed: int) -> Iterator[Chunk]:
    """`inputs` inputs, as many for each target, taking turns."""
    left = {
        target: inputs // len(targets) + (at < inputs % len(targets)) for at, target in enumerate(targets)
    }
    number = 0
    while any(left.values()):
        for target in targets:
            if left[target]:
                size = min(CHUNK, left[target])
                left[target] -= size
                yield Chunk(target=target, seed=seed * 1_000_000 + number, inputs=size)
        number += 1


def throw(chunk: Chunk) -> Result:
    """Run `chunk` in this process. Raises nothing."""
    begin_s, outcomes, trouble = time.monotonic(), Counter[str](), ""
    in_threads: list[str] = []
    usual_hook = threading.excepthook
    threading.excepthook = lambda args: in_threads.append("".join(traceback.format_exception(args.exc_value)))
    try:
        outcomes.update(importlib.import_module(FUZZERS[chunk.target]).run(chunk.inputs, chunk.seed))
    except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
        trouble = traceback.format_exc()
    finally:
        threading.excepthook = usual_hook
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if peak_kib > MAX_PEAK_KIB:
        trouble += f"the process needed {peak_kib} KiB of memory\n"
    return Result(
        chunk=chunk, took_s=time.monotonic() - begin_s, outcomes=outcomes, peak_kib=peak_kib,
        trouble=trouble + "".join(in_threads),
    )  # fmt: skip


def run(work: list[Chunk], processes: int) -> bool:
    """Print what becomes of `work`; True if all is well."""
    begin_s = said_s = time.monotonic()
    done: Counter[str] = Counter()
    took_s: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = {target: Counter() for target in FUZZERS}
    peak_kib = 0
    with ProcessPoolExecutor(processes) as pool:
        for future in as_completed([pool.submit(throw, chunk) for chunk in work]):
            result = future.result()
            if result.trouble:
                pool.shutdown(wait=False, cancel_futures=True)
                print(f"{result.trouble}\nagain: {result.chunk.command}")
                return False
            target = result.chunk.target
            done[target] += result.chunk.inputs
            took_s[target] += result.took_s  # type: ignore[assignment] # a Counter of seconds
            outcomes[target] += result.outcomes
            peak_kib = max(peak_kib, result.peak_kib)
            if time.monotonic() - said_s > PROGRESS_S:
                said_s = time.monotonic()
                print(f"{done.total():,} inputs after {said_s - begin_s:.0f} s", flush=True)
    for target in done:
        print(
            f"{target:>7}: {done[target]:>10,} inputs, {done[target] / took_s[target]:>7,.0f} a second in one process"
        )
        print(
            "         " + ", ".join(f"{name} {count:,}" for name, count in sorted(outcomes[target].items()))
        )
    all_s = time.monotonic() - begin_s
    print(
        f"{done.total():,} inputs in {all_s:.0f} s by {processes} processes, {done.total() / all_s:,.0f} a second: "
        f"no exception, no memory beyond {peak_kib / 1024:.0f} MiB a process"
    )
    return True


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--targets", default=",".join(FUZZERS))
    options = parser.parse_args()
    targets = options.targets.split(",")
    if not set(targets) <= set(FUZZERS) or options.processes < 1:
        parser.error(f"--targets: of {', '.join(FUZZERS)}; --processes: at least 1")
    print(f"seed {options.seed}", flush=True)
    return 0 if run(list(chunks(targets, options.inputs, options.seed)), options.processes) else 1


if __name__ == "__main__":
    sys.exit(main())
