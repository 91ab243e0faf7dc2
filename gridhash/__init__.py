"""Run bitcoin-mining rigs as a grid resource."""

__version__ = "0.1.0"
