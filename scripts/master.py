#!/usr/bin/env python3
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # an early Ctrl-C ends it without a word

from kegmaster.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv))
