"""Site presets as TOML files; read with `gridhash.config.load_site`."""
