"""Boards that speak HTTP, as if they hung on a serial port."""
