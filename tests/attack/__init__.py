"""Attacks that stopped the server once, as tests: bounded, on loopback."""
