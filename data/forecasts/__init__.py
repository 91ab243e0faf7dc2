"""Forecasts that know only what was known: persistence, seasonal, and boosted quantiles."""
