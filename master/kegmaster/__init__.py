"""The launcher and watchdog: reads an INI file, starts what it names, and keeps it running."""

__version__ = "0.1.0"
