"""Keeps reality equal to intention: strategies, runs, the reconciler, logs, identity."""
