"""Kegnet, the local bus: events, codec, hub (the core side) and client (the app side)."""
