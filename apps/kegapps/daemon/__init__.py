"""What every program shares: flags, logs, pidfile, becoming a daemon, the event loop."""
