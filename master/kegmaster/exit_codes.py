"""Exit statuses of master.py: those the LSB gives to init scripts, so that any init system understands them.

Source: Linux Standard Base, "Init Script Actions".
"""

from __future__ import annotations

from enum import IntEnum


class Verb(IntEnum):
    """Status of every verb but `status`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_ACTIVE = 3
    """install: all is written, but the init system it is for does not run here."""
    NO_RIGHTS = 4
    NOT_INSTALLED = 5
    NOT_CONFIGURED = 6
    NOT_RUNNING = 7


class Status(IntEnum):
    """Status of `status`."""

    RUNNING = 0
    DEAD = 1
    NOT_RUNNING = 3
    UNKNOWN = 4
    SOME_NOT_RUNNING = 7


HELP = """\
exit status:
  0  done                             status: everything wanted runs
  1  failed                           status: the master is dead, its records are there
  2  wrong usage
  3  install: that init does not run  status: not running
  4  no rights                        status: cannot be told
  5  a program is not installed
  6  configuration missing or wrong
  7  no master runs, none is made     status: something wanted does not run
  130  interrupted by Ctrl-C; what was begun goes on
"""
