"""Rig drivers behind one protocol."""
