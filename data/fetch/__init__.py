"""Fetch the publishers' files over the network, byte for byte, with their provenance."""
