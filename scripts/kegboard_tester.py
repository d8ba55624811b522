#!/usr/bin/env python3
import sys

from kegapps.kegboard.tester import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
