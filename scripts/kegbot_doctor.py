#!/usr/bin/env python3
import sys

from kegapps.tools.doctor.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
