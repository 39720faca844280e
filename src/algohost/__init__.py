"""algohost: a self-hosted home for Python trading strategies."""

__version__ = "0.1.0"
