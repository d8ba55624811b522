"""Boxes: this machine's own file tree booted under a real init system in namespaces, and thrown away afterwards."""
