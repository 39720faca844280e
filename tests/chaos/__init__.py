"""Faults at random instants against a real server, agent, zygote and runs, and what must hold.

``python -m tests.chaos --seconds 600 --seed 7`` runs it; a seed gives the same faults in the
same order at the same instants. A minute of it is part of the suite.
"""
