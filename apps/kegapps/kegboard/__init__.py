"""The Kegboard programs: daemon, monitor and an emulated board."""
