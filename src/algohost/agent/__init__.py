"""The agent: owns the runs of one machine, and outlives the server.

A single-threaded daemon in a session of its own. It starts runs through a zygote or a fresh
interpreter, watches and stops them, keeps a journal, and answers the server on a socket.
"""
