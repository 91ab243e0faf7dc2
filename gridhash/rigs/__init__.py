"""Rig models that ship with the package, read by `gridhash.rig_models`."""
