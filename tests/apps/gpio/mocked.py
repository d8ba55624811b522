"""gpio_meter.py with gpiozero's own mock for a header, and a hand on its pins: commands on standard input.

`pulse PIN NUMBER SECONDS` ticks so often, that far apart, and prints `pulsed`; `level PIN` prints `level PIN 0` or 1.
The flags are those of the program; it is run by GPIOZERO_PIN_FACTORY=mock, which gpiozero itself knows. How many ticks
went through all its meters so far is in the file that $PASSED names, also when it is killed.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
import time

from gpiozero import Device

from kegapps.gpio.daemon import main


def obey() -> None:
    fd = os.open(os.environ["PASSED"], os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, 8)
    passed = memoryview(mmap.mmap(fd, 8)).cast("q")
    for line in sys.stdin:
        verb, pin_number, *words = line.split()
        pin = Device.pin_factory.pin(f"GPIO{pin_number}")
        if verb == "pulse":
            number, wait_s = int(words[0]), float(words[1])
            for _ in range(number):
                passed[0] += 1
                pin.drive_low()
                pin.drive_high()
                if wait_s:
                    time.sleep(wait_s)
            print("pulsed", flush=True)
        elif verb == "level":
            print(f"level {pin_number} {int(pin.state)}", flush=True)


if __name__ == "__main__":
    threading.Thread(target=obey, daemon=True).start()
    sys.exit(main(["gpio_meter.py", *sys.argv[1:]]))
