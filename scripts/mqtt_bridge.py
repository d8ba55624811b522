#!/usr/bin/env python3
import sys

from kegapps.bridge.mqtt_bridge import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
