"""Doubles that are shipped: whoever extends algohost tests against the ones we test against."""
