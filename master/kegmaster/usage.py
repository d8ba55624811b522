"""Memory and processor time of apps, for `status --verbose`. psutil is imported here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable


def usage(pids: Iterable[int]) -> dict[int, str]:
    """Resident memory and processor time of each pid that lives."""
    import psutil

    found = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            found[pid] = (
                f"{process.memory_info().rss / 1048576:.1f} MiB, {times.user + times.system:.1f} s CPU"
            )
        except psutil.Error:
            continue
    return found
