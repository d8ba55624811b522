"""Flow meters on the pins of the machine itself."""
