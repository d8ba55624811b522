"""Phidget22 without Phidgets: the calls that a reader needs, as the library of 1.26 behaves without and with one.

`open` returns at once, unattached; events come from a thread of the library; what needs an attached device raises
0x34 before; a fresh channel that is waited for in vain raises 3. What happens to the bus stands in a FIFO, a line
each: `plug SERIAL`, `tag TAG PROTOCOL`, `lost TAG PROTOCOL`, `error CODE TEXT`, `unplug`. What the program did to a
device is appended to a file.
"""
