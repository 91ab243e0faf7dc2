"""Scenarios, TOML files; read with `gridhash.config_scenario.load_scenario_config`."""
