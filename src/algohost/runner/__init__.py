"""The far side of the fence: what runs in, beside and just above a strategy's process.

Standard library and ctypes only: this package is imported by interpreters that have nothing
else of ours, and everything it imports is memory that every run carries.
"""
