"""Fit what a site is like to the telemetry of its own journal."""
