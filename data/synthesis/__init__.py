"""Parts of the synthetic Japanese year: calendar, latent processes, price, surplus, weather."""
