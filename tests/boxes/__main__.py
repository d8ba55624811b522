"""All proofs in boxes, those that need Debian's packages too: one line each. `python -m tests.boxes [pytest's words]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


class Lines:
    """A line for each proof, as it comes."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.partition("::")[2].removeprefix("test_").replace("_", " ")
            why = f" ({report.longrepr[2]})" if report.skipped and isinstance(report.longrepr, tuple) else ""
            print(f"{report.outcome:8}{report.duration:5.1f} s  {name}{why}", flush=True)


if __name__ == "__main__":
    os.environ["BOXES"] = "all"
    quiet = ("-p", "no:terminalreporter", "-p", "no:cacheprovider")
    loud = ("-q", "--no-header", "--tb=short", "-rf", "--no-summary") if "-v" in sys.argv else quiet
    sys.exit(pytest.main([*loud, str(Path(__file__).parent), *sys.argv[1:]], plugins=[Lines()]))
