"""Exogenous series that nobody publishes: derived or drawn, each known when it would be."""
