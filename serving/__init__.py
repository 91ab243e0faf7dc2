"""How a site is run: rigs, drivers, controller, journal."""
