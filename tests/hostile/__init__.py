"""Runs that attack, with and without confinement, and ordinary ones that must not notice it."""
