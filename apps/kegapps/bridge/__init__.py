"""Kegnet beyond one machine: MQTT and Redis."""
