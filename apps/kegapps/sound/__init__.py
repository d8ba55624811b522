"""Sounds for what happens at the taps."""
