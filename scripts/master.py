#!/usr/bin/env python3
# The module behind signal, which itself takes a while to import: an early Ctrl-C ends it without a word.
from _signal import SIG_DFL, SIGINT, signal

signal(SIGINT, SIG_DFL)

import sys  # noqa: E402

from kegmaster.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv))
