# ruff: noqa: N999
from __future__ import annotations

NOT_ATTACHED = 0x34
TIMED_OUT = 0x03


class PhidgetException(Exception):  # noqa: N818 - its name
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
        self.description = {NOT_ATTACHED: "Device not Attached", TIMED_OUT: "Timed Out"}[code]
        self.details = ""
